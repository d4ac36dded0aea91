import { formatIp, type Endpoint, type IpAddress } from '../core/address.ts';
import { CachedDeadline } from '../core/cached-deadline.ts';
import { compareNames, type PeerName } from '../core/peer-name.ts';
import { draw, type RandomSource } from '../core/random.ts';
import { earlier, HOUR, SECOND, type Millis } from '../core/time.ts';
import { CANDIDATE_FOR, type Candidate } from './candidate.ts';
import type { Dial } from './dials.ts';
import { formatDialAddress, formatPublished, parseTarget, type DialAddress } from './target-address.ts';
import { Target } from './target.ts';

const MAX_CANDIDATES = 1_024;
/** What is left of their time is persisted so often. */
const PERSIST_EVERY: Millis = HOUR;
/** Whom we are connected to is persisted so long after the first of several came. */
const PERSIST_WITHIN: Millis = 30 * SECOND;
/** Peers that are remembered to have been connected. */
const MAX_MET = 8_192;
export const MAX_GIVEN = 1_024;
const TOO_MANY = `more than ${MAX_GIVEN} targets`;
/** Attempts under way at once. */
const MAX_DIALS = 64;
/**
 * Of the addresses that were asked for so many are dialled at once. Where there are more, the mesh most likely tells who the
 * others are before they are due, one each second.
 */
const ENOUGH = 4;
const DEFERRED_BY: Millis = SECOND;
/**
 * Who has ENOUGH connections lets so much time pass before dialling a peer that was heard of: where many start at once,
 * the mesh turns out to be too large for all of them to connect to all.
 */
const PATIENCE: Millis = SECOND;
/** Of two peers that discover each other, the one with the higher name waits for the other. */
const YIELD: Millis = 3 * SECOND;

export interface ConnectionMakerOptions {
  readonly self: PeerName;
  readonly random: RandomSource;
  /** For targets without one. */
  readonly defaultPort: number;
  /** Numbers a connection to be. */
  readonly newConn: () => number;
  /** False: nobody tells of further peers, and every target is dialled at once. */
  readonly discovery: boolean;
  /** The peer is part of the mesh, by whatever way. */
  readonly isReachable: (name: PeerName) => boolean;
}

/** A peer that discovery wants a connection to. */
export interface WantedPeer {
  readonly name: PeerName;
  readonly addresses: readonly Endpoint[];
  /** It could dial us as well. */
  readonly mayDialUs: boolean;
  /** There is a way to it through others, so it lives and a dial should succeed. */
  readonly reachable: boolean;
}

/** An address of a peer that was heard of led to another one: that one may be connected, but this is no way to the first. */
function isAnother({ given, key }: Target, answered: PeerName): boolean {
  return !given && key !== answered;
}

function otherAnswered({ text, key }: Target, answered: PeerName): string {
  return `${text} is ${answered}, not ${key}`;
}

/** Decides when to dial which address. Knows nothing of how connections work. */
export class ConnectionMaker {
  readonly #options: ConnectionMakerOptions;
  /** Given ones under their address, others under the peer's name. */
  readonly #targets = new Map<string, Target>();
  readonly #byConn = new Map<number, Target>();
  /** Connections to be that nobody has answered as yet. */
  readonly #dialling = new Set<number>();
  readonly #connected = new Set<PeerName>();
  /** Peers that were connected once, in order of when they last were; the way to one of the others leads by way of these. */
  readonly #met = new Set<PeerName>();
  readonly #deadline = new CachedDeadline(() => this.#findDeadline());
  /** While false the connection limit is reached: only who is not part of the mesh is dialled, one at a time. */
  #mayDial = true;
  #persistAt: Millis | undefined;

  constructor(options: ConnectionMakerOptions) {
    this.#options = options;
  }

  /** Adds targets, or makes them the only ones. Returns what is wrong if any is malformed; nothing changes then. */
  connect(texts: readonly string[], replace: boolean, now: Millis): string | undefined {
    this.#deadline.invalidate();
    const parsed = this.#parse(texts);
    if (typeof parsed === 'string') return parsed;
    const keys = new Set(parsed.map(formatDialAddress));
    if (new Set([...keys, ...(replace ? [] : this.given())]).size > MAX_GIVEN) return TOO_MANY;
    if (replace) this.#forgetAllBut(keys);
    for (const address of parsed) this.#give(address, parsed.length > ENOUGH, now);
    return undefined;
  }

  /** Removes targets, and peers out of reach that were there; connections live on. Returns what is wrong if any is malformed; nothing changes then. */
  forget(texts: readonly string[], now: Millis): string | undefined {
    this.#deadline.invalidate();
    const parsed = this.#parse(texts);
    if (typeof parsed === 'string') return parsed;
    const keys = new Set(parsed.map(formatDialAddress));
    for (const key of keys) this.#remove(key);
    for (const [, target] of this.#others()) {
      if (!target.addresses.some((address) => keys.has(formatDialAddress(address)))) continue;
      this.#endCandidacy(target, now);
      this.#dropUnneeded(target);
    }
    return undefined;
  }

  /** The addresses that were asked for, ascending. */
  given(): string[] {
    return [...this.#targets].flatMap(([key, target]) => (target.given ? [key] : [])).sort();
  }

  /** When the candidates are to be persisted: they changed, or what is left of their time did by an hour. */
  get persistAt(): Millis | undefined {
    return this.#persistAt;
  }

  /**
   * The candidates to be persisted, ascending. Those whom we are connected to are among them: where all hosts fail at once,
   * and the one that all were given does not come back, they find one another.
   */
  takeCandidates(now: Millis): Candidate[] {
    const others = this.#others();
    const candidates = others.flatMap(([name, target]) => {
      const isHere = target.wanted && this.#connected.has(name);
      const until = isHere ? now + CANDIDATE_FOR : target.candidateUntil;
      if (until === undefined || target.addresses.length === 0) return [];
      return {
        name,
        addresses: target.addresses.map(formatDialAddress),
        remaining: Math.max(0, until - now),
      };
    });
    const isWaning = others.some(([, { candidateUntil }]) => candidateUntil !== undefined);
    this.#persistAt = isWaning ? now + PERSIST_EVERY : undefined;
    return candidates.slice(0, MAX_CANDIDATES);
  }

  /** Given targets in order of address, then the others in order of peer. */
  targets(): Target[] {
    const given = this.given().map((key) => this.#targets.get(key)!);
    return [...given, ...this.#others().map(([, target]) => target)];
  }

  isConnected(target: Target): boolean {
    return target.peer !== undefined && this.#connected.has(target.peer);
  }

  /** No part of the mesh, as far as we know: at the connection limit both ends make room for it. */
  isOutside({ peer }: Target): boolean {
    return peer === undefined || !this.#options.isReachable(peer);
  }

  targetOf(conn: number): Target | undefined {
    return this.#byConn.get(conn);
  }

  /**
   * Takes over which peers discovery wants. What it no longer wants is dropped, and so is a candidate that is reachable
   * by way of others and not wanted.
   */
  discover(wanted: readonly WantedPeer[], isReachable: (name: PeerName) => boolean, now: Millis): void {
    this.#deadline.invalidate();
    const names = new Set<string>(wanted.map(({ name }) => name));
    for (const [key, target] of this.#targets) {
      if (target.given) continue;
      target.wanted = names.has(key);
      if (!target.wanted && isReachable(key as PeerName)) this.#endCandidacy(target, now);
      this.#dropUnneeded(target);
    }
    for (const peer of wanted) this.#want(peer, now);
  }

  /**
   * Takes over who is part of the mesh by way of others and is not to be dialled for that. Who was asked for and is one of
   * them, by name or address, counts as connected.
   */
  serve(peers: readonly Pick<WantedPeer, 'name' | 'addresses'>[]): void {
    this.#deadline.invalidate();
    const given = [...this.#targets.values()].filter((target) => target.given);
    if (given.some(({ peer }) => peer === undefined)) for (const peer of peers) this.#identify(peer);
    const names = new Set(peers.map(({ name }) => name));
    for (const target of given) target.served = target.peer !== undefined && names.has(target.peer);
  }

  /** Takes over what peers publish: who answered at a given address may be there no more. */
  verify(addressesOf: (name: PeerName) => readonly Endpoint[] | undefined, now: Millis): void {
    this.#deadline.invalidate();
    for (const target of this.#targets.values()) {
      if (!target.given || target.peer === undefined) continue;
      const published = addressesOf(target.peer);
      if (published === undefined || !target.doubts(target.peer, published)) continue;
      target.peer = undefined;
      target.served = false;
      target.resetBackOff(now);
    }
  }

  /**
   * A peer left the topology. If it was connected once it is tried for another 24 h; the others were reached by way of
   * such peers, and will be again.
   */
  onGone(name: PeerName, addresses: readonly DialAddress[], now: Millis): void {
    if (!this.#met.has(name) || addresses.length === 0) return;
    this.#addCandidate(name, addresses, CANDIDATE_FOR, now);
    this.#persistAt = now;
  }

  /** A candidate of an earlier run, to be tried for another `remaining`. */
  restore(name: PeerName, addresses: readonly DialAddress[], remaining: Millis, now: Millis): void {
    if (addresses.length === 0) return;
    this.#meet(name);
    this.#addCandidate(name, addresses, Math.min(remaining, CANDIDATE_FOR), now);
    this.#persistAt ??= now + PERSIST_EVERY;
  }

  /** Sets whether peers that are part of the mesh may be dialled. */
  allowDials(allowed: boolean): void {
    if (allowed !== this.#mayDial) this.#deadline.invalidate();
    this.#mayDial = allowed;
  }

  nextTimeout(): Millis | undefined {
    return this.#deadline.at;
  }

  /** The dials that are due: to given addresses that were never tried, then to those who have waited longest. */
  onTimeout(now: Millis): Dial[] {
    if (!this.#deadline.isDue(now)) return [];
    this.#deadline.invalidate();
    this.#endOldCandidacies(now);
    const isMany = this.#options.discovery && this.#countGiven() > ENOUGH;
    let putOffUntil = this.#putOffUntil(now);
    const dials: Dial[] = [];
    for (const target of this.#due(isMany, now)) {
      if (!this.#isIdle(target)) break; // too many are under way
      if (!isMany || !this.#mustWait(target)) {
        dials.push(this.#dial(target));
        continue;
      }
      putOffUntil += DEFERRED_BY;
      target.nextAttempt = putOffUntil;
      target.hasTurn = true;
    }
    return dials;
  }

  /** Both ends said hello, whoever dialled; `ip`: where the other one is. */
  onRegistered(conn: number, peer: PeerName, ip: IpAddress, now: Millis): void {
    this.#deadline.invalidate();
    if (!this.#connected.has(peer)) this.#persistAt = earlier(this.#persistAt, now + PERSIST_WITHIN);
    this.#connected.add(peer);
    this.#meet(peer);
    const target = this.#byConn.get(conn);
    const discovered = this.#targets.get(peer);
    // Its own attempt has yet to live for a while: the other end may say hello, and then refuse us.
    if (discovered !== target) discovered?.resetBackOff(now);
    discovered?.preferHost(formatIp(ip));
    this.#dialling.delete(conn);
    if (target === undefined) return;
    if (isAnother(target, peer)) return this.onEnded(conn, otherAnswered(target, peer), now);
    target.peer = peer;
    target.error = undefined;
    if (target.attempt !== undefined) target.attempt.connectedAt = now;
  }

  /** The last connection to `peer` ended. */
  onDisconnected(peer: PeerName): void {
    this.#deadline.invalidate();
    this.#connected.delete(peer);
  }

  /** A dial failed or its connection ended. */
  onEnded(conn: number, error: string | undefined, now: Millis): void {
    this.#deadline.invalidate();
    const target = this.#release(conn);
    if (target === undefined) return;
    target.onEnded(error, now, this.#options.random);
    target.hasTurn = false;
    if (target.given && this.#connected.size === 0) this.#bringForward(now);
    this.#dropUnneeded(target);
  }

  onDuplicate(conn: number, peer: PeerName, now: Millis): void {
    this.#deadline.invalidate();
    const target = this.#byConn.get(conn);
    if (target === undefined) return;
    if (isAnother(target, peer)) return this.onEnded(conn, otherAnswered(target, peer), now);
    this.#release(conn);
    target.peer = peer;
    target.onDuplicate(now);
    this.#dropUnneeded(target);
  }

  /** Dials again at once with another password. */
  tryPassword(conn: number, index: number, now: Millis): void {
    this.#deadline.invalidate();
    this.#release(conn)?.tryPassword(index, now);
  }

  /** What failed may succeed now, as this host is somewhere else. */
  onMoved(now: Millis): void {
    this.#deadline.invalidate();
    for (const target of this.#targets.values()) if (!this.#isPutOff(target, now)) target.resetBackOff(now);
  }

  /** `added`: there is one that was not held before, so that what failed is tried again at once. */
  onPasswordsChanged(added: boolean, now: Millis): void {
    this.#deadline.invalidate();
    for (const target of this.#targets.values()) {
      target.onPasswordsChanged();
      if (added) target.onPasswordAdded(now);
    }
  }

  #findDeadline(): Millis | undefined {
    let next: Millis | undefined;
    for (const target of this.#targets.values()) {
      if (this.#isIdle(target)) next = earlier(next, target.nextAttempt);
      next = earlier(next, target.candidateUntil);
    }
    return next;
  }

  /** An address that was asked for may turn out to be a peer's that published it. */
  #identify({ name, addresses }: Pick<WantedPeer, 'name' | 'addresses'>): void {
    for (const text of formatPublished(addresses)) {
      const target = this.#targets.get(text);
      if (target?.given === true) target.peer ??= name;
    }
  }

  #due(isMany: boolean, now: Millis): Target[] {
    const due = [...this.#targets.values()].filter((one) => this.#isIdle(one) && one.nextAttempt <= now);
    const isNew = ({ given, failures }: Target): boolean => given && failures === 0;
    const fresh = due.filter(isNew);
    const others = due.filter((one) => !isNew(one)).sort((a, b) => a.nextAttempt - b.nextAttempt);
    // Where all are given the same addresses, not all are to dial the first of them.
    return [...(isMany ? draw(fresh, fresh.length, this.#options.random) : fresh), ...others];
  }

  /** Where enough are dialled, or have been found by those who are tried again. */
  #mustWait({ given, hasTurn, failures }: Target): boolean {
    return given && !hasTurn && (failures === 0 ? this.#byConn.size : this.#connected.size) >= ENOUGH;
  }

  /** When the last of those that were put off is due; now if there is none. */
  #putOffUntil(now: Millis): Millis {
    let last = now;
    for (const target of this.#targets.values())
      if (this.#isPutOff(target, now)) last = Math.max(last, target.nextAttempt);
    return last;
  }

  #isPutOff(target: Target, now: Millis): boolean {
    return target.given && target.hasTurn && target.nextAttempt > now && this.#isIdle(target);
  }

  /** Nobody has answered yet: where few of many run, the next one need not wait for its second. */
  #bringForward(now: Millis): void {
    let next: Target | undefined;
    for (const target of this.#targets.values()) {
      if (!this.#isPutOff(target, now)) continue;
      if (target.nextAttempt < (next?.nextAttempt ?? Number.POSITIVE_INFINITY)) next = target;
    }
    if (next !== undefined) next.nextAttempt = now;
  }

  #parse(texts: readonly string[]): DialAddress[] | string {
    const parsed: DialAddress[] = [];
    for (const text of texts) {
      const address = parseTarget(text, this.#options.defaultPort);
      if (address === undefined) return `"${text}" is not an address or host name, with or without a port`;
      parsed.push(address);
    }
    return parsed;
  }

  #countGiven(): number {
    let count = 0;
    for (const { given } of this.#targets.values()) if (given) count++;
    return count;
  }

  /** `inTurn`: of many, of which some are put off. */
  #give(address: DialAddress, inTurn: boolean, now: Millis): void {
    const key = formatDialAddress(address);
    const target = this.#targets.get(key) ?? new Target(key, [address], now, true);
    target.resetBackOff(now);
    if (!inTurn) target.hasTurn = true;
    this.#targets.set(key, target);
  }

  #forgetAllBut(keys: ReadonlySet<string>): void {
    for (const key of this.given()) if (!keys.has(key)) this.#remove(key);
  }

  #meet(name: PeerName): void {
    this.#met.delete(name);
    this.#met.add(name);
    if (this.#met.size > MAX_MET) this.#met.delete(this.#met.keys().next().value!);
  }

  #addCandidate(name: PeerName, addresses: readonly DialAddress[], remaining: Millis, now: Millis): void {
    this.#deadline.invalidate();
    const target = this.#targets.get(name) ?? new Target(name, addresses, now);
    target.peer = name;
    target.candidateUntil = now + remaining;
    this.#targets.set(name, target);
    this.#dropOldestCandidates();
  }

  #endCandidacy(target: Target, now: Millis): void {
    if (target.candidateUntil === undefined) return;
    target.candidateUntil = undefined;
    this.#persistAt = now;
  }

  #endOldCandidacies(now: Millis): void {
    for (const target of this.#targets.values()) {
      if (target.candidateUntil === undefined || now < target.candidateUntil) continue;
      this.#endCandidacy(target, now);
      this.#dropUnneeded(target);
    }
  }

  #dropUnneeded(target: Target): void {
    const isNeeded = target.given || target.wanted || target.candidateUntil !== undefined;
    if (!isNeeded && target.attempt === undefined) this.#targets.delete(target.key);
  }

  #remove(key: string): void {
    const target = this.#targets.get(key);
    if (target?.attempt !== undefined) this.#release(target.attempt.conn);
    this.#targets.delete(key);
  }

  #others(): [PeerName, Target][] {
    const others = [...this.#targets].filter(([, target]) => !target.given) as [PeerName, Target][];
    return others.sort(([a], [b]) => compareNames(a, b));
  }

  #want(peer: WantedPeer, now: Millis): void {
    if (peer.addresses.length === 0) return;
    const yields = peer.mayDialUs && peer.name < this.#options.self;
    const patience = this.#connected.size < ENOUGH ? 0 : PATIENCE;
    const soon = now + (yields ? YIELD : patience);
    const target = this.#targets.get(peer.name) ?? new Target(peer.name, [], soon);
    const isBack = peer.reachable && !target.reachable;
    if (isBack || target.candidateUntil !== undefined) target.resetBackOff(soon);
    target.takePublished(peer.addresses);
    this.#endCandidacy(target, now);
    target.wanted = true;
    target.reachable = peer.reachable;
    target.peer = peer.name;
    this.#targets.set(peer.name, target);
  }

  #dropOldestCandidates(): void {
    if (this.#targets.size <= MAX_CANDIDATES) return;
    const candidates = this.#others().filter(([, target]) => target.candidateUntil !== undefined);
    candidates.sort(([, a], [, b]) => a.candidateUntil! - b.candidateUntil!);
    for (const [name] of candidates.slice(0, Math.max(0, candidates.length - MAX_CANDIDATES))) {
      this.#remove(name);
    }
  }

  #isIdle(target: Target): boolean {
    return (
      target.attempt === undefined &&
      !this.isConnected(target) &&
      !target.served &&
      (this.#mayDial ? this.#dialling.size < MAX_DIALS : this.#dialling.size === 0 && this.isOutside(target))
    );
  }

  #dial(target: Target): Dial {
    const { conn, address, passwordIndex } = target.begin(this.#options.newConn());
    this.#byConn.set(conn, target);
    this.#dialling.add(conn);
    return { conn, address, peer: target.peer, passwordIndex };
  }

  #release(conn: number): Target | undefined {
    const target = this.#byConn.get(conn);
    this.#byConn.delete(conn);
    this.#dialling.delete(conn);
    return target;
  }
}
