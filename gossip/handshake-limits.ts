import { formatEndpoint, type Endpoint, type IpAddress } from '../core/address.ts';
import { SECOND, type Millis } from '../core/time.ts';
import { GuessBook } from './guess-book.ts';
import { HalfOpen } from './half-open.ts';
import { KnownAddresses } from './known-addresses.ts';
import { RateLimit } from './rate.ts';
import { addressKey } from './source.ts';

/** Passwords that we answer for, per second: to all addresses that never proved one, and to all that did. */
const UNKNOWN_PER_SECOND = 100;
const KNOWN_PER_SECOND = 200;

/** Why a connection gets no handshake. */
export type LimitReason = 'half-open-limit' | 'guess-limit' | 'handshake-rate' | 'dial-guess-limit';

/** A connection that is being authenticated. */
export interface Authenticating {
  readonly conn: number;
  readonly remote: { readonly ip: IpAddress };
  readonly outbound: boolean;
}

interface Ended {
  readonly remote: Endpoint;
  readonly sid: Uint8Array;
}

/**
 * What those who have not proved a password may cost us, in memory, in processor time and in guesses at the password.
 * Who dials us has made its guesses once we answer; we count them before we do, so that many at once are no way around
 * the limit. Whom we dial makes one with each tag that we check, and has made them unless one fits. Those who dial us
 * count by source, but each known address for itself; those whom we dial count by address. A proof clears what its
 * guesses were counted against. Time comes from the caller.
 */
export class HandshakeLimits {
  readonly #passwordCount: () => number;
  readonly #guesses = new GuessBook();
  readonly #unknown = new RateLimit({ burst: UNKNOWN_PER_SECOND, interval: SECOND / UNKNOWN_PER_SECOND });
  readonly #known = new RateLimit({ burst: KNOWN_PER_SECOND, interval: SECOND / KNOWN_PER_SECOND });
  readonly #knownAddresses = new KnownAddresses();
  readonly #halfOpen = new HalfOpen((source) => this.#knownAddresses.isKnown(source));
  readonly #dialGuesses = new GuessBook();
  readonly #failingDials = new RateLimit({ burst: 1, interval: SECOND });
  /** Tags that are being checked, by connection that we dialled. */
  readonly #checking = new Map<number, number>();

  /** `passwordCount`: how many passwords we hold; none means that there is nothing to guess. */
  constructor(passwordCount: () => number) {
    this.#passwordCount = passwordCount;
  }

  /** How much is remembered of others. */
  get sizes(): Readonly<Record<'halfOpen' | 'guesses' | 'known' | 'dialGuesses' | 'checking', number>> {
    return {
      halfOpen: this.#halfOpen.size,
      guesses: this.#guesses.size,
      known: this.#knownAddresses.size,
      dialGuesses: this.#dialGuesses.size,
      checking: this.#checking.size,
    };
  }

  /** Why an accepted connection is to be closed before anything is kept or computed for it; undefined if it is not. */
  refuses(ip: IpAddress, now: Millis): LimitReason | undefined {
    if (!this.#halfOpen.mayAdd(this.#knownAddresses.keyOf(ip), now)) return 'half-open-limit';
    const guesses = this.#passwordCount();
    return guesses === 0 ? undefined : this.#refusesGuesses(ip, guesses, now);
  }

  /** An accepted connection begins. Returns another one that is to be closed in exchange, if any. */
  onAccepted(conn: number, ip: IpAddress, now: Millis): number | undefined {
    return this.#halfOpen.add(conn, this.#knownAddresses.keyOf(ip), now);
  }

  /** An accepted connection said who it is. */
  onHello(conn: number): void {
    this.#halfOpen.delete(conn);
  }

  /**
   * Why a dial that reached `ip` is to be given up before it shows anything; undefined if it is not. Dials to addresses
   * that failed of late share one per second.
   */
  refusesDial(ip: IpAddress, now: Millis): LimitReason | undefined {
    if (!this.isSuspect(ip, now)) return undefined;
    // It goes through all passwords, and is shown at least one tag for each.
    const guesses = this.#passwordCount();
    const may =
      this.#dialGuesses.mayGuess(addressKey(ip), guesses, now) && this.#failingDials.mayTake(1, now);
    return may ? undefined : 'dial-guess-limit';
  }

  /** Whether dials to the address failed of late. */
  isSuspect(ip: IpAddress, now: Millis): boolean {
    return this.#dialGuesses.isSuspect(addressKey(ip), now);
  }

  /** Whether it dials us from an address that never proved a password. */
  isStranger({ remote: { ip }, outbound }: Authenticating): boolean {
    return !outbound && !this.#knownAddresses.has(ip);
  }

  /** The other end is about to learn whether `guesses` of its guesses are right. Why it must not; undefined if it may. */
  onGuesses(connection: Authenticating, guesses: number, now: Millis): LimitReason | undefined {
    const { conn, outbound } = connection;
    const { ip } = connection.remote;
    if (outbound) {
      this.#checking.set(conn, (this.#checking.get(conn) ?? 0) + guesses);
      return undefined;
    }
    const reason = this.#refusesGuesses(ip, guesses, now);
    if (reason !== undefined) return reason;
    this.#rateOf(ip).take(guesses, now);
    this.#guesses.add(this.#knownAddresses.keyOf(ip), guesses, now);
    return undefined;
  }

  /** The other end proved that it knows a password; without one, nobody proves anything. */
  onProved({ conn, remote: { ip }, outbound }: Authenticating): void {
    if (this.#passwordCount() === 0) return;
    this.#checking.delete(conn);
    if (outbound) this.#dialGuesses.clear(addressKey(ip));
    else this.#guesses.clear(this.#knownAddresses.keyOf(ip));
    this.#knownAddresses.add(ip);
  }

  /** Why a stream ended by itself, before `onEnded`. `sid`: empty if it was not open. */
  endSentence(connection: Authenticating & Ended, error: string | undefined, now: Millis): string {
    const { outbound, remote, sid } = connection;
    const address = formatEndpoint(remote);
    if (sid.length > 0) return error ?? `${address} closed the connection`;
    // It counts as we do: who breaks off with us after a mismatch has had enough of us.
    if (outbound && this.isSuspect(remote.ip, now)) return limitSentence('dial-guess-limit', remote);
    return `the handshake with ${address} broke off${error === undefined ? '' : `: ${error}`}`;
  }

  /** Dials that failed for want of the password that is held now count no more. */
  onPasswordAdded(): void {
    this.#dialGuesses.reset();
  }

  onEnded({ conn, remote: { ip } }: Authenticating, now: Millis): void {
    this.#halfOpen.delete(conn);
    const guesses = this.#checking.get(conn);
    if (guesses === undefined) return;
    this.#checking.delete(conn);
    this.#dialGuesses.add(addressKey(ip), guesses, now);
    this.#failingDials.take(guesses, now);
  }

  #refusesGuesses(ip: IpAddress, guesses: number, now: Millis): LimitReason | undefined {
    if (!this.#guesses.mayGuess(this.#knownAddresses.keyOf(ip), guesses, now)) return 'guess-limit';
    return this.#rateOf(ip).mayTake(guesses, now) ? undefined : 'handshake-rate';
  }

  #rateOf(ip: IpAddress): RateLimit {
    return this.#knownAddresses.has(ip) ? this.#known : this.#unknown;
  }
}

/** For the operator, with the address it is about. */
export function limitSentence(reason: LimitReason, remote: Endpoint): string {
  const address = formatEndpoint(remote);
  switch (reason) {
    case 'half-open-limit':
      return `too many unfinished connections from ${address}`;
    case 'guess-limit':
      return `too many handshakes without the password from ${address}: one per 30 s is answered`;
    case 'handshake-rate':
      return `too many handshakes in all, so none for ${address}`;
    case 'dial-guess-limit':
      return `password mismatch with ${address}, too often to go on at once`;
  }
}
