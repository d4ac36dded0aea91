import type { PeerName } from '../core/peer-name.ts';
import type { Endpoint } from '../core/address.ts';
import { randomFraction, type RandomSource } from '../core/random.ts';
import { SECOND, type Millis } from '../core/time.ts';
import { backOff, PROVEN_AFTER } from './back-off.ts';
import { dialAddress, formatDialAddress, formatPublished, type DialAddress } from './target-address.ts';

const AFTER_DUPLICATE: Millis = 2 * SECOND;

/** An attempt to connect, as long as its connection lives. */
export interface Attempt {
  readonly conn: number;
  readonly address: DialAddress;
  /** Position of the password tried. */
  readonly passwordIndex: number;
  /** When the connection was registered; undefined until then. */
  connectedAt: Millis | undefined;
}

/** Something to stay connected to: an address that was asked for, or a peer that was heard of. */
export class Target {
  /** The address that was asked for, or the peer's name. */
  readonly key: string;
  /** Asked for on the command line or by `connect`. */
  readonly given: boolean;
  /** Discovery wants a connection to the peer. */
  wanted = false;
  /** Who answered there, or whom we hope to find. */
  peer: PeerName | undefined;
  /** Kept for a peer that left the topology, until then. */
  candidateUntil: Millis | undefined;
  /** There was a way to the peer through others when we last looked. */
  reachable = true;
  /** The peer is part of a sparse mesh by way of others: it need not be dialled. */
  served = false;
  /** The next attempt is made when it is due, however many others are: it was put off, or is not to be. */
  hasTurn = false;
  addresses: readonly DialAddress[];
  /** What {@link addresses} were made from, if the peer published them. */
  #published: readonly Endpoint[] | undefined;
  /** Whose being here was doubted last, and what it published then. */
  #doubted: { readonly peer: PeerName; readonly published: readonly Endpoint[] } | undefined;
  attempt: Attempt | undefined;
  /** Of the last attempt that failed. */
  error: string | undefined;
  nextAttempt: Millis;
  #next = 0;
  #failures = 0;
  #passwordIndex = 0;

  constructor(key: string, addresses: readonly DialAddress[], nextAttempt: Millis, given = false) {
    this.key = key;
    this.addresses = addresses;
    this.given = given;
    this.nextAttempt = nextAttempt;
  }

  get failures(): number {
    return this.#failures;
  }

  /** The address of the attempt under way, or of the next one. */
  get address(): DialAddress {
    return this.attempt?.address ?? this.#preferred;
  }

  get text(): string {
    return formatDialAddress(this.address);
  }

  /** Takes over the addresses that the peer says it has. */
  takePublished(endpoints: readonly Endpoint[]): void {
    if (endpoints === this.#published) return;
    this.#published = endpoints;
    const { host } = this.addresses.length > 0 ? this.#preferred : { host: '' };
    this.addresses = endpoints.map(dialAddress);
    this.#next = 0;
    this.preferHost(host);
  }

  /** The peer is there: it is the first of its addresses to try, should the connection end. */
  preferHost(host: string): void {
    const at = this.addresses.findIndex((address) => address.host === host);
    if (at >= 0) this.#next = at;
  }

  /**
   * Whether `peer`, which answered here, publishes addresses without this one. That may always have been so, as behind a
   * NAT: there is one doubt for each list of addresses.
   */
  doubts(peer: PeerName, published: readonly Endpoint[]): boolean {
    const before = this.#doubted?.peer === peer ? this.#doubted.published : undefined;
    // What is under way or lives here is sure to tell.
    if (published === before || this.attempt !== undefined) return false;
    this.#doubted = { peer, published };
    const texts = formatPublished(published);
    if (texts.includes(this.key)) return false;
    return before === undefined || formatPublished(before).join() !== texts.join();
  }

  begin(conn: number): Attempt {
    const { address } = this;
    const passwordIndex = this.#passwordIndex;
    this.attempt = { conn, address, passwordIndex, connectedAt: undefined };
    return this.attempt;
  }

  /** Forgets earlier failures: the next attempt may come at `at`. */
  resetBackOff(at: Millis): void {
    this.#failures = 0;
    this.nextAttempt = Math.min(this.nextAttempt, at);
  }

  /** The attempt, or the connection that came of it, ended. */
  onEnded(error: string | undefined, now: Millis, random: RandomSource): void {
    const since = this.attempt?.connectedAt;
    const proven = since !== undefined && now - since >= PROVEN_AFTER;
    this.attempt = undefined;
    this.error = error;
    this.#passwordIndex = 0;
    this.#failures = proven ? 1 : this.#failures + 1;
    if (!proven) this.#next = (this.#next + 1) % this.addresses.length;
    this.nextAttempt = now + backOff(this.#failures, randomFraction(random));
  }

  /** The password was refused and another one is held: try that at once. */
  tryPassword(index: number, now: Millis): void {
    this.attempt = undefined;
    this.#passwordIndex = index;
    this.nextAttempt = now;
  }

  /** The list of passwords changed: the next attempt begins with the first of it. */
  onPasswordsChanged(): void {
    this.#passwordIndex = 0;
  }

  /** What failed may succeed now: the next attempt may come at `at`. */
  onPasswordAdded(at: Millis): void {
    this.error = undefined;
    this.resetBackOff(at);
  }

  /** The connection turned out to be a second one to its peer, and the other one serves. */
  onDuplicate(now: Millis): void {
    this.attempt = undefined;
    this.error = undefined;
    this.#passwordIndex = 0;
    this.#failures = 0;
    // The other end may end this one before the hello of the other one has come.
    this.nextAttempt = now + AFTER_DUPLICATE;
  }

  get #preferred(): DialAddress {
    return this.addresses[this.#next % this.addresses.length]!;
  }
}
