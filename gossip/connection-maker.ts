import { formatIp, type Endpoint, type IpAddress } from '../core/address.ts';
import { CachedDeadline } from '../core/cached-deadline.ts';
import { compareNames, type PeerName } from '../core/peer-name.ts';
import { draw, type RandomSource } from '../core/random.ts';
import { earlier, HOUR, SECOND, type Millis } from '../core/time.ts';
import { dialAddress, formatDialAddress, parseTarget, type DialAddress } from './target-address.ts';
import { Target } from './target.ts';

/** How long, and how many, peers that left the topology are still tried. */
export const CANDIDATE_FOR: Millis = 24 * HOUR;
const MAX_CANDIDATES = 1_024;
/** What is left of their time is persisted so often. */
const PERSIST_EVERY: Millis = HOUR;
/** Peers that are remembered to have been connected. */
const MAX_MET = 8_192;
const MAX_GIVEN = 1_024;
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

/** A peer once connected, as it is persisted. */
export interface Candidate {
  readonly name: PeerName;
  readonly addresses: readonly string[];
  /** Time for which it is still to be tried. */
  readonly remaining: Millis;
}

export interface Dial {
  readonly conn: number;
  readonly address: DialAddress;
  /** Whom we hope to find there. */
  readonly peer: PeerName | undefined;
  readonly passwordIndex: number;
}

/** Decides when to dial which address. Knows nothing of how connections work. */
export class ConnectionMaker {
  readonly #options: ConnectionMakerOptions;
  /** Given ones under their address, others under the peer's name. */
  readonly #targets = new Map<string, Target>();
  readonly #byConn = new Map<number, Target>();
  readonly #connected = new Set<PeerName>();
  /** Peers that were connected once, in order of when they last were; the way to one of the others leads by way of these. */
  readonly #met = new Set<PeerName>();
  readonly #deadline = new CachedDeadline(() => this.#findDeadline());
  /** No dials while false: the connection limit is reached. */
  #mayDial = true;
  /** When the last one that was deferred is due. */
  #deferredUntil: Millis = Number.NEGATIVE_INFINITY;
  #persistAt: Millis | undefined;

  constructor(options: ConnectionMakerOptions) {
    this.#options = options;
  }

  /** Adds targets, or makes them the only ones. Returns what is wrong if any is malformed; nothing changes then. */
  connect(texts: readonly string[], replace: boolean, now: Millis): string | undefined {
    this.#deadline.invalidate();
    const parsed = this.#parse(texts);
    if (typeof parsed === 'string') return parsed;
    if (replace) this.#forgetAllBut(new Set(parsed.map(formatDialAddress)));
    for (const address of parsed) this.#give(address, now);
    return undefined;
  }

  /** Removes targets; their connections live on. Returns what is wrong if any is malformed; nothing changes then. */
  forget(texts: readonly string[]): string | undefined {
    this.#deadline.invalidate();
    const parsed = this.#parse(texts);
    if (typeof parsed === 'string') return parsed;
    for (const address of parsed) this.#remove(formatDialAddress(address));
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

  /** The candidates to be persisted, ascending. */
  takeCandidates(now: Millis): Candidate[] {
    const candidates = this.#others().flatMap(([name, { addresses, candidateUntil: until }]) => {
      if (until === undefined) return [];
      return { name, addresses: addresses.map(formatDialAddress), remaining: Math.max(0, until - now) };
    });
    this.#persistAt = candidates.length > 0 ? now + PERSIST_EVERY : undefined;
    return candidates;
  }

  /** Given targets in order of address, then the others in order of peer. */
  targets(): Target[] {
    const given = this.given().map((key) => this.#targets.get(key)!);
    return [...given, ...this.#others().map(([, target]) => target)];
  }

  isConnected(target: Target): boolean {
    return target.peer !== undefined && this.#connected.has(target.peer);
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
    for (const target of this.#targets.values()) {
      if (!target.given || target.peer === undefined) continue;
      const published = addressesOf(target.peer);
      if (published === undefined || !target.doubts(target.peer, published)) continue;
      target.peer = undefined;
      target.served = false;
      target.resetBackOff(now);
      this.#deadline.invalidate();
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

  /** Sets whether new dials may begin. */
  allowDials(allowed: boolean): void {
    if (allowed !== this.#mayDial) this.#deadline.invalidate();
    this.#mayDial = allowed;
  }

  nextTimeout(): Millis | undefined {
    return this.#deadline.at;
  }

  /** The dials that are due: to the addresses that were asked for, then to those who have waited longest. */
  onTimeout(now: Millis): Dial[] {
    if (!this.#deadline.isDue(now)) return [];
    this.#deadline.invalidate();
    this.#endOldCandidacies(now);
    const due = [...this.#targets.values()].filter((one) => this.#isIdle(one) && one.nextAttempt <= now);
    const given = due.filter((target) => target.given);
    const others = due.filter((target) => !target.given).sort((a, b) => a.nextAttempt - b.nextAttempt);
    const isMany = this.#options.discovery && this.#countGiven() > ENOUGH;
    // Where all are given the same addresses, not all are to dial the first of them.
    const inTurn = isMany ? draw(given, given.length, this.#options.random) : given;
    const dials: Dial[] = [];
    for (const target of [...inTurn, ...others]) {
      if (!this.#isIdle(target)) break; // too many are under way
      if (isMany && this.#mustWait(target)) this.#defer(target, now);
      else dials.push(this.#dial(target));
    }
    return dials;
  }

  /** Both ends said hello, whoever dialled; `ip`: where the other one is. */
  onRegistered(conn: number, peer: PeerName, ip: IpAddress, now: Millis): void {
    this.#deadline.invalidate();
    this.#connected.add(peer);
    this.#meet(peer);
    const target = this.#byConn.get(conn);
    const discovered = this.#targets.get(peer);
    // Its own attempt has yet to live for a while: the other end may say hello, and then refuse us.
    if (discovered !== target) discovered?.resetBackOff(now);
    discovered?.preferHost(formatIp(ip));
    if (target === undefined) return;
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
    if (target.given && this.#connected.size === 0) this.#bringForward(now);
    this.#dropUnneeded(target);
  }

  onDuplicate(conn: number, peer: PeerName, now: Millis): void {
    this.#deadline.invalidate();
    const target = this.#release(conn);
    if (target === undefined) return;
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
    for (const target of this.#targets.values()) target.resetBackOff(now);
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
    for (const address of addresses) {
      const target = this.#targets.get(formatDialAddress(dialAddress(address)));
      if (target?.given === true) target.peer ??= name;
    }
  }

  #mustWait({ given, deferred }: Target): boolean {
    return given && !deferred && this.#byConn.size >= ENOUGH;
  }

  #defer(target: Target, now: Millis): void {
    this.#deferredUntil = Math.max(now, this.#deferredUntil) + DEFERRED_BY;
    target.deferred = true;
    target.nextAttempt = this.#deferredUntil;
  }

  /** Nobody has answered yet: where few of many run, the next one need not wait for its second. */
  #bringForward(now: Millis): void {
    let next: Target | undefined;
    for (const target of this.#targets.values()) {
      const isPutOff = target.deferred && target.failures === 0 && this.#isIdle(target);
      if (isPutOff && target.nextAttempt < (next?.nextAttempt ?? Number.POSITIVE_INFINITY)) next = target;
    }
    if (next === undefined) return;
    next.nextAttempt = Math.min(next.nextAttempt, now);
    next.deferred = false;
  }

  #parse(texts: readonly string[]): DialAddress[] | string {
    const parsed: DialAddress[] = [];
    for (const text of texts) {
      const address = parseTarget(text, this.#options.defaultPort);
      if (address === undefined) return `"${text}" is not an address or host name, with or without a port`;
      parsed.push(address);
    }
    if (parsed.length + this.#countGiven() > MAX_GIVEN) return `more than ${MAX_GIVEN} targets`;
    return parsed;
  }

  #countGiven(): number {
    let count = 0;
    for (const { given } of this.#targets.values()) if (given) count++;
    return count;
  }

  #give(address: DialAddress, now: Millis): void {
    const key = formatDialAddress(address);
    const target = this.#targets.get(key) ?? new Target(key, [address], now, true);
    target.resetBackOff(now);
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
    if (target?.attempt !== undefined) this.#byConn.delete(target.attempt.conn);
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
      this.#mayDial &&
      target.attempt === undefined &&
      !this.isConnected(target) &&
      !target.served &&
      this.#byConn.size < this.#connected.size + MAX_DIALS
    );
  }

  #dial(target: Target): Dial {
    const { conn, address, passwordIndex } = target.begin(this.#options.newConn());
    this.#byConn.set(conn, target);
    return { conn, address, peer: target.peer, passwordIndex };
  }

  #release(conn: number): Target | undefined {
    const target = this.#byConn.get(conn);
    this.#byConn.delete(conn);
    return target;
  }
}
