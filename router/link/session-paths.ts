import { equalEndpoint, type Cidr, type Endpoint } from '../../core/address.ts';
import type { PeerName } from '../../core/peer-name.ts';
import { randomBelow } from '../../core/random.ts';
import { SECOND, earlier, type Millis } from '../../core/time.ts';
import type { Cookies, EngineChange } from '../engine/port.ts';
import type { LinkContext } from './context.ts';
import type { PathAck, PathRequest } from '../wire/inner.ts';
import { fullSize } from './path-mtu.ts';
import { LinkPath, type Circuit } from './path.ts';
import { trustedByBoth } from './trust.ts';

/** Rounds of probes: while we look for a path, after looking in vain, and while a circuit serves. */
const PROBE_INTERVAL: Millis = 1 * SECOND;
const EAGER_FOR: Millis = 10 * SECOND;
const PROBE_INTERVAL_TIRED: Millis = 5 * SECOND;
export const DIRECT_RETRY_INTERVAL: Millis = 5 * SECOND;
/** Answers in a row after which a direct path takes over from a circuit. */
const ANSWERS_TO_RETURN = 3;
/** A new address of the peer has so long to answer. */
const ROAM_TIMEOUT: Millis = 5 * SECOND;
/** Between two moves; a random part keeps two ends with two addresses each from moving in step for ever. */
const ROAM_PAUSE: Millis = 3 * SECOND;
const ROAM_PAUSE_JITTER_MS = 2_000;

const MOST_CANDIDATES = 20;
const MOST_CIRCUITS = 4;
const CIRCUIT_PROBE_TIMEOUT: Millis = 6 * SECOND;
const CIRCUIT_IDLE: Millis = 60 * SECOND;

/** What the paths need to know of their session. */
export interface PathOwner {
  /** The engine's number. */
  readonly session: number;
  /** False = there is no password and everything goes plain. */
  readonly sealed: boolean;
  readonly cookies: Cookies | undefined;
  readonly remoteIndex: number;
  readonly candidates: readonly Endpoint[];
  readonly remoteBridgeMtu: number;
  readonly remoteTrusted: readonly Cidr[];
}

/** The paths of one session: which exist, which is in use, and the probes and heartbeats that decide it. */
export class SessionPaths {
  readonly #context: LinkContext;
  readonly #owner: PathOwner;
  readonly #full: number;
  /** Addresses where the peer may be, best first. */
  readonly #candidates: Endpoint[];
  #paths: LinkPath[] = [];
  #current: LinkPath | undefined;
  #searchingSince: Millis;
  #roamNotBefore: Millis;
  #stopped = false;
  /** The route of the circuit that failed last; the next one had better avoid it. */
  #lostRoute: readonly PeerName[] | undefined;

  constructor(context: LinkContext, owner: PathOwner, now: Millis) {
    this.#context = context;
    this.#owner = owner;
    this.#full = fullSize(context.bridgeMtu, owner.remoteBridgeMtu);
    this.#candidates = [...owner.candidates];
    this.#searchingSince = now;
    this.#roamNotBefore = now;
    this.#openCandidates(now);
  }

  /** The path to send on: the one in use, or the last one that was, while no other is confirmed. */
  get current(): LinkPath | undefined {
    return this.#current;
  }

  /** The current path is confirmed by answers. */
  get confirmed(): boolean {
    return this.#current?.liveness !== undefined;
  }

  /** When the search for a confirmed path began; undefined while there is one. */
  get searchingSince(): Millis | undefined {
    return this.confirmed ? undefined : this.#searchingSince;
  }

  get lostRoute(): readonly PeerName[] | undefined {
    return this.#lostRoute;
  }

  forgetLostRoute(): void {
    this.#lostRoute = undefined;
  }

  /** There is a circuit, in use or on trial. */
  get hasCircuit(): boolean {
    return this.#paths.some((path) => !path.direct);
  }

  /** Whether frames on the current path go plain. */
  get plain(): boolean {
    if (!this.#owner.sealed) return true;
    const path = this.#current;
    return path !== undefined && path.direct && path.plainWelcome && this.#trusts(path.endpoint);
  }

  /** Whether a plain frame from this address may be taken. */
  takesPlainFrom(source: () => Endpoint, onDirectIndex: boolean): boolean {
    return !this.#owner.sealed || (onDirectIndex && this.#trusts(source()));
  }

  /**
   * `circuit` 0 = it came on the direct index; else the id of the circuit's path, from the engine's tag.
   * The answer leaves on the path in use. A probe on a circuit says that the peer has lost a path, perhaps the very one
   * that we still believe in: it is answered on the circuit too, and our own path is put to the test.
   */
  onRequest(message: PathRequest, circuit: number, source: () => Endpoint, now: Millis): void {
    const from = circuit === 0 ? source() : undefined;
    const ack: PathAck = {
      kind: message.kind === 'probe' ? 'probe-ack' : 'heartbeat-ack',
      path: message.path,
      token: message.token,
      plainWelcome: this.#trusts(from),
    };
    if (!this.confirmed) {
      this.#send(this.#pathBack(circuit, from, now), ack, undefined);
      return;
    }
    this.#send(this.#current, ack, undefined);
    if (message.kind !== 'probe' || circuit === 0 || !this.#current!.direct) return;
    this.#send(this.#pathBack(circuit, from, now), ack, undefined);
    this.#current!.liveness!.onDoubt();
  }

  onAck(message: PathAck, now: Millis): void {
    const path = this.#paths.find(({ id }) => id === message.path);
    if (!path?.onAck(message.token, now)) return;
    path.plainWelcome = message.plainWelcome;
    this.#settle(now);
  }

  /** Data arrived on a circuit. */
  onArrival(circuit: number, now: Millis): void {
    const path = circuit === 0 ? undefined : this.#paths.find(({ id }) => id === circuit);
    if (path) path.lastUsed = now;
  }

  /** Data was sent on the current path; true if the next heartbeat comes sooner for it. */
  onDataSent(now: Millis): boolean {
    const path = this.#current;
    if (path === undefined) return false;
    path.lastUsed = now;
    return path.liveness?.onDataSent() ?? false;
  }

  /** The peer was heard from another address than we send to. */
  onRoamed(from: Endpoint, now: Millis): void {
    const current = this.#current;
    if (this.#stopped || (current?.endpoint && equalEndpoint(current.endpoint, from))) return;
    const known = this.#directPathTo(from);
    if (!this.confirmed || !current?.direct) {
      if (known === undefined) this.#addCandidate(from, now);
      return;
    }
    if (known !== undefined || now < this.#roamNotBefore) return;
    for (const path of this.#paths.filter(({ roaming }) => roaming)) this.#remove(path);
    this.#addDirect(from, now).roaming = true;
  }

  onTooBig(id: number, size: number, now: Millis): void {
    const path = this.#paths.find((candidate) => candidate.id === id);
    if (path === undefined || path.mtu.onTooBig(size, now) || path.liveness === undefined) return;
    this.#loseForSize(path, size, now);
    this.#settle(now);
  }

  addCircuit(circuit: Circuit, now: Millis): void {
    const circuits = this.#paths.filter((path) => !path.direct && path !== this.#current);
    if (circuits.length >= MOST_CIRCUITS) this.#remove(circuits[0]!);
    const id = this.#context.paths.take();
    const endpoint = this.#context.directEndpoint(circuit.firstHop);
    const path = new LinkPath(id, this.#full, { circuit, endpoint }, now);
    this.#paths.push(path);
    this.#configurePath(path);
    const tag = { session: this.#owner.session, tag: id, roams: false };
    this.#configure({ type: 'receive-index', index: circuit.alias, ...tag });
  }

  /** False if there is no such circuit here. */
  removeCircuit(circuit: number, now: Millis): boolean {
    const path = this.#paths.find((candidate) => candidate.circuit?.circuit === circuit);
    if (path === undefined) return false;
    this.#remove(path);
    this.#settle(now);
    return true;
  }

  /** The link to a neighbour moved to another address, or has no direct path any more. */
  onFirstHopMoved(firstHop: PeerName): void {
    for (const path of this.#paths) {
      if (path.circuit?.firstHop !== firstHop) continue;
      const had = path.endpoint !== undefined;
      path.endpoint = this.#context.directEndpoint(firstHop);
      if (path.endpoint) this.#configurePath(path);
      else if (had) this.#configure({ type: 'path-removed', path: path.id });
    }
  }

  /** Heartbeats every 0.5 s while a new key waits to be used by the peer. */
  setUrgent(urgent: boolean): void {
    this.#current?.liveness?.setUrgent(urgent);
  }

  /** The session is about to be replaced: it receives and may send, but keeps nothing alive any more. */
  stop(): void {
    this.#stopped = true;
  }

  removeAll(): void {
    for (const path of [...this.#paths]) this.#remove(path);
  }

  nextTimeout(): Millis | undefined {
    if (this.#stopped) return undefined;
    let next: Millis | undefined;
    for (const path of this.#paths) {
      next = earlier(next, path.nextTimeout(this.#isProbed(path)));
      next = earlier(next, this.#expiresAt(path));
    }
    return next;
  }

  onTimeout(now: Millis): void {
    if (this.#stopped) return;
    // What is lost first decides which of the others are probed and which have expired.
    for (const path of [...this.#paths]) this.#checkInUse(path, now);
    for (const path of [...this.#paths]) {
      const expiry = this.#expiresAt(path);
      if (expiry !== undefined && expiry <= now) this.#remove(path);
      else this.#onPathTimeout(path, now);
    }
    this.#settle(now);
  }

  #checkInUse(path: LinkPath, now: Millis): void {
    const liveness = path.liveness;
    if (liveness && (liveness.lostAt() ?? Infinity) <= now) {
      this.#lose(path, now);
      return;
    }
    if (liveness?.blackHole(now)) {
      const size = path.mtu.size ?? 0;
      if (path.mtu.onBlackHole(now)) liveness.forgetPadded();
      else this.#loseForSize(path, size, now);
    }
  }

  #onPathTimeout(path: LinkPath, now: Millis): void {
    if (path.liveness === undefined && !this.#isProbed(path)) return;
    path.onTimeout(
      this.#probeInterval(path, now),
      () => this.#context.random.bytes(8),
      (kind, { id }, token, size) => this.#send(path, { kind, path: id, token }, size),
      now,
    );
  }

  /** Takes the path into use that the answers so far speak for. */
  #settle(now: Millis): void {
    if (this.#stopped) return;
    const best = this.#bestReady();
    if (best !== undefined && (best !== this.#current || !this.confirmed)) this.#takeIntoUse(best, now);
  }

  #bestReady(): LinkPath | undefined {
    const current = this.#current;
    if (current?.liveness && current.direct) return this.#paths.find((path) => path.roaming && path.ready);
    if (current?.liveness) {
      const answered = (path: LinkPath) => path.prober.answersInRow >= ANSWERS_TO_RETURN;
      return this.#paths.find((path) => path.direct && path.ready && answered(path));
    }
    const ready = this.#paths.filter((path) => path.ready && path.endpoint !== undefined);
    return ready.find((path) => path.direct) ?? ready[0];
  }

  #takeIntoUse(path: LinkPath, now: Millis): void {
    if (this.#current?.direct && path.direct) {
      this.#roamNotBefore = now + ROAM_PAUSE + randomBelow(this.#context.random, ROAM_PAUSE_JITTER_MS);
    }
    if (this.#current && this.#current !== path) this.#current.lose(now);
    this.#current = path;
    path.takeIntoUse(now);
    path.lastUsed = now;
    if (!path.direct) {
      this.#openCandidates(now);
      return;
    }
    this.#rememberFirst(path.endpoint!);
    this.#configure({ type: 'direct-address', session: this.#owner.session, endpoint: path.endpoint });
    for (const other of this.#paths.filter(({ direct }) => direct)) if (other !== path) this.#remove(other);
  }

  #lose(path: LinkPath, now: Millis): void {
    if (path.circuit) this.#lostRoute = path.circuit.route;
    path.quality.onLost();
    path.lose(now);
    this.#searchingSince = now;
    if (path.circuit) this.#remove(path);
    this.#openCandidates(now);
    for (const other of this.#paths) other.prober.hasten(now);
  }

  #loseForSize(path: LinkPath, size: number, now: Millis): void {
    const fields = { peer: this.#context.peer, bytes: size };
    const message = 'path carries no datagrams of the least size';
    this.#context.emit({ type: 'control', message: { type: 'log', level: 'warn', message, fields } });
    this.#lose(path, now);
  }

  #isProbed(path: LinkPath): boolean {
    if (path.liveness) return false;
    if (!this.confirmed) return true;
    return path.direct && (!this.#current!.direct || path.roaming);
  }

  #probeInterval(path: LinkPath, now: Millis): Millis {
    if (path.roaming) return PROBE_INTERVAL;
    if (this.confirmed) return DIRECT_RETRY_INTERVAL;
    return now < this.#searchingSince + EAGER_FOR ? PROBE_INTERVAL : PROBE_INTERVAL_TIRED;
  }

  #expiresAt(path: LinkPath): Millis | undefined {
    if (path.roaming) return path.createdAt + ROAM_TIMEOUT;
    if (path.direct || path === this.#current) return undefined;
    if (this.confirmed) return path.lastUsed + CIRCUIT_IDLE;
    return Math.max(path.createdAt, this.#searchingSince) + CIRCUIT_PROBE_TIMEOUT;
  }

  #pathBack(circuit: number, from: Endpoint | undefined, now: Millis): LinkPath | undefined {
    if (from === undefined) return this.#paths.find(({ id }) => id === circuit);
    return this.#directPathTo(from) ?? this.#addCandidate(from, now);
  }

  /** Opens a path to an address that the peer itself did not name. */
  #addCandidate(endpoint: Endpoint, now: Millis): LinkPath | undefined {
    if (this.#stopped) return undefined;
    const named = this.#owner.candidates.length;
    if (this.#candidates.length >= MOST_CANDIDATES) {
      const dropped = this.#candidates.splice(named, 1)[0];
      const path = dropped && this.#directPathTo(dropped);
      if (path && path !== this.#current) this.#remove(path);
    }
    this.#candidates.push(endpoint);
    return this.#addDirect(endpoint, now);
  }

  #rememberFirst(endpoint: Endpoint): void {
    const at = this.#candidates.findIndex((candidate) => equalEndpoint(candidate, endpoint));
    if (at >= 0) this.#candidates.splice(at, 1);
    this.#candidates.unshift(endpoint);
    if (this.#candidates.length > MOST_CANDIDATES) this.#candidates.pop();
  }

  #openCandidates(now: Millis): void {
    for (const candidate of this.#candidates) {
      if (this.#directPathTo(candidate) === undefined) this.#addDirect(candidate, now);
    }
  }

  #addDirect(endpoint: Endpoint, now: Millis): LinkPath {
    const path = new LinkPath(this.#context.paths.take(), this.#full, { endpoint }, now);
    this.#paths.push(path);
    this.#configurePath(path);
    return path;
  }

  #directPathTo(endpoint: Endpoint): LinkPath | undefined {
    return this.#paths.find((path) => path.direct && equalEndpoint(path.endpoint!, endpoint));
  }

  #remove(path: LinkPath): void {
    this.#paths = this.#paths.filter((other) => other !== path);
    if (path === this.#current) this.#current = undefined;
    if (path.endpoint) this.#configure({ type: 'path-removed', path: path.id });
    this.#context.paths.release(path.id);
    const circuit = path.circuit;
    if (circuit === undefined) return;
    const { peer } = this.#context;
    this.#configure({ type: 'receive-index-removed', index: circuit.alias });
    this.#context.emit({
      type: 'control',
      message: { type: 'circuit-ended', peer, circuit: circuit.circuit },
    });
    this.#context.emit({ type: 'control', message: { type: 'indexes-released', indexes: [circuit.alias] } });
  }

  #trusts(address: Endpoint | undefined): boolean {
    const { cookies, remoteTrusted } = this.#owner;
    if (!this.#owner.sealed || cookies === undefined || address === undefined) return false;
    return trustedByBoth(address.ip, this.#context.trustedSubnets, remoteTrusted);
  }

  #configurePath(path: LinkPath): void {
    if (path.endpoint === undefined) return;
    const sendIndex = path.circuit?.sendIndex ?? this.#owner.remoteIndex;
    this.#configure({ type: 'path', path: path.id, to: path.endpoint, sendIndex });
  }

  #configure(change: EngineChange): void {
    this.#context.emit({ type: 'configure', change });
  }

  #send(path: LinkPath | undefined, message: PathRequest | PathAck, size: number | undefined): void {
    if (path?.endpoint === undefined) return;
    const { session } = this.#owner;
    this.#context.emit({ type: 'send', session, path: path.id, plain: !this.#owner.sealed, message, size });
  }
}
