import { equalEndpoint, type Endpoint } from '../../core/address.ts';
import type { PeerName } from '../../core/peer-name.ts';
import { randomBelow } from '../../core/random.ts';
import { SECOND, earlier, type Millis } from '../../core/time.ts';
import type { LinkContext } from './context.ts';
import type { PathAck, PathRequest } from '../wire/inner.ts';
import { Candidates } from './candidates.ts';
import { PathTable, type PathOwner } from './path-table.ts';
import type { Circuit, LinkPath } from './path.ts';
import { trustedByBoth } from './trust.ts';

/** Rounds of probes: while we look for a path or one has begun to answer, after looking in vain, and while a circuit serves. */
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

const MOST_CIRCUITS = 4;
const CIRCUIT_PROBE_TIMEOUT: Millis = 6 * SECOND;
const CIRCUIT_IDLE: Millis = 60 * SECOND;

/** The paths of one session: which exist, which is in use, and the probes and heartbeats that decide it. */
export class SessionPaths {
  readonly #context: LinkContext;
  readonly #owner: PathOwner;
  readonly #candidates: Candidates;
  readonly #paths: PathTable;
  #current: LinkPath | undefined;
  #searchingSince: Millis;
  #roamNotBefore: Millis;
  #stopped = false;
  /** The route of the circuit that failed last; the next one had better avoid it. */
  #lostRoute: readonly PeerName[] | undefined;

  constructor(context: LinkContext, owner: PathOwner, now: Millis) {
    this.#context = context;
    this.#owner = owner;
    this.#candidates = new Candidates(owner.candidates);
    this.#paths = new PathTable(context, owner);
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

  /** Since when there is no path, or was none. */
  get searchingSince(): Millis {
    return this.#searchingSince;
  }

  get lostRoute(): readonly PeerName[] | undefined {
    return this.#lostRoute;
  }

  forgetLostRoute(): void {
    this.#lostRoute = undefined;
  }

  /** There is a circuit, in use or on trial. */
  get hasCircuit(): boolean {
    return this.#paths.all().some((path) => !path.direct);
  }

  /** Whether frames on the current path go plain. */
  get plain(): boolean {
    if (!this.#owner.sealed) return true;
    const path = this.#current;
    return path !== undefined && path.direct && path.plainWelcome && this.#trusts(path.endpoint);
  }

  /** While the peer calls our address untrusted, whoever sends plain is not the peer. */
  get refusesPlain(): boolean {
    const path = this.#current;
    return this.#owner.sealed && path?.direct === true && path.liveness !== undefined && !path.plainWelcome;
  }

  /**
   * Whether a plain frame from this address may be taken. Our own address we know by what the peer says of it.
   */
  takesPlainFrom(source: () => Endpoint, onDirectIndex: boolean): boolean {
    if (!this.#owner.sealed) return true;
    return onDirectIndex && !this.refusesPlain && this.#trusts(source());
  }

  /**
   * `circuit` 0 = it came on the direct index; else the id of the circuit's path, from the engine's tag.
   * The answer leaves on the path in use. A probe on a circuit says that the peer has lost a path, perhaps the very one
   * that we still believe in: it is answered on the circuit too, and our own path is put to the test.
   */
  onRequest(message: PathRequest, circuit: number, source: () => Endpoint, now: Millis): void {
    const from = circuit === 0 ? source() : undefined;
    // Without keys no engine can tell that the peer has moved: its requests alone say where it is.
    if (from !== undefined && !this.#owner.sealed) this.onRoamed(from, now);
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
    const path = this.#paths.byId(message.path);
    if (!path?.onAck(message.token, now)) return;
    path.plainWelcome = message.plainWelcome;
    path.prober.hasten(now + PROBE_INTERVAL);
    this.#settle(now);
  }

  /** The peer has the session since now: what was probed before got no answer for the lack of it. */
  onPeerReady(now: Millis): void {
    if (this.confirmed) return;
    for (const path of this.#paths.all()) path.prober.hasten(now);
  }

  /** This host may be somewhere else by now: the peer learns it from the next datagram, and what was in vain is tried again. */
  onMoved(now: Millis): void {
    this.#current?.liveness?.onDoubt();
    for (const path of this.#paths.all()) path.prober.hasten(now);
  }

  /** Data arrived on a circuit. */
  onArrival(circuit: number, now: Millis): void {
    const path = circuit === 0 ? undefined : this.#paths.byId(circuit);
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
    const known = this.#paths.directTo(from);
    if (!this.confirmed || !current?.direct) {
      if (known === undefined) this.#addHeard(from, now);
      return;
    }
    if (known === undefined && now >= this.#roamNotBefore) this.#tryRoaming(from, now);
  }

  #tryRoaming(to: Endpoint, now: Millis): void {
    const tried = this.#paths.all().filter(({ roaming }) => roaming);
    // A new one each time would have the engine decide on every flow anew, of all peers.
    if (tried.some(({ createdAt }) => now < createdAt + PROBE_INTERVAL)) return;
    for (const path of tried) this.#remove(path);
    this.#paths.addDirect(to, now).roaming = true;
  }

  onTooBig(id: number, size: number, now: Millis): void {
    const path = this.#paths.byId(id);
    if (path === undefined || path.mtu.onTooBig(size, now) || path.liveness === undefined) return;
    this.#loseForSize(path, size, now);
    this.#settle(now);
  }

  addCircuit(circuit: Circuit, now: Millis): void {
    const circuits = this.#paths.all().filter((path) => !path.direct && path !== this.#current);
    if (circuits.length >= MOST_CIRCUITS) this.#remove(circuits[0]!);
    this.#paths.addCircuit(circuit, now);
  }

  removeCircuit(circuit: number, now: Millis): void {
    const path = this.#paths.byCircuit(circuit);
    if (path === undefined) return;
    if (path.liveness) this.#lose(path, now);
    else this.#remove(path);
    this.#settle(now);
  }

  /** The link to a neighbour moved to another address, or has no direct path any more. */
  onFirstHopMoved(firstHop: PeerName): void {
    this.#paths.onFirstHopMoved(firstHop);
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
    for (const path of this.#paths.all()) this.#remove(path);
  }

  nextTimeout(): Millis | undefined {
    if (this.#stopped) return undefined;
    let next: Millis | undefined;
    for (const path of this.#paths.all()) {
      next = earlier(next, path.nextTimeout(this.#isProbed(path)));
      next = earlier(next, this.#expiresAt(path));
    }
    return next;
  }

  onTimeout(now: Millis): void {
    if (this.#stopped) return;
    // What is lost first decides which of the others are probed and which have expired.
    for (const path of this.#paths.all()) this.#checkInUse(path, now);
    for (const path of this.#paths.all()) {
      const expiry = this.#expiresAt(path);
      if (expiry !== undefined && expiry <= now) this.#expire(path);
      else this.#onPathTimeout(path, now);
    }
    this.#settle(now);
  }

  /** A circuit that was opened and carried nothing had better be avoided like one that was lost. */
  #expire(path: LinkPath): void {
    if (path.circuit && !this.confirmed) this.#lostRoute = path.circuit.route;
    this.#remove(path);
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
    if (current?.liveness && current.direct)
      return this.#paths.all().find((path) => path.roaming && path.ready);
    if (current?.liveness) {
      const answered = (path: LinkPath) => path.prober.answersInRow >= ANSWERS_TO_RETURN;
      return this.#paths.all().find((path) => path.direct && path.ready && answered(path));
    }
    const ready = this.#paths.all().filter((path) => path.ready && path.endpoint !== undefined);
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
    this.#candidates.putFirst(path.endpoint!);
    const change = { type: 'direct-address', session: this.#owner.session, endpoint: path.endpoint } as const;
    this.#context.emit({ type: 'configure', change });
    for (const other of this.#paths.all().filter(({ direct }) => direct))
      if (other !== path) this.#remove(other);
  }

  #lose(path: LinkPath, now: Millis): void {
    if (path.circuit) this.#lostRoute = path.circuit.route;
    path.quality.onLost();
    path.lose(now);
    this.#searchingSince = now;
    if (path.circuit) this.#remove(path);
    this.#openCandidates(now);
    for (const other of this.#paths.all()) other.prober.hasten(now);
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
    if (path.roaming || path.prober.answersInRow > 0) return PROBE_INTERVAL;
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
    if (from === undefined) return this.#paths.byId(circuit);
    return this.#paths.directTo(from) ?? this.#addHeard(from, now);
  }

  /** Opens a path to an address that the peer was heard from. */
  #addHeard(endpoint: Endpoint, now: Millis): LinkPath | undefined {
    if (this.#stopped) return undefined;
    const dropped = this.#candidates.addHeard(endpoint);
    const path = dropped && this.#paths.directTo(dropped);
    if (path && path !== this.#current) this.#remove(path);
    return this.#paths.addDirect(endpoint, now);
  }

  #openCandidates(now: Millis): void {
    for (const candidate of this.#candidates.all()) {
      if (this.#paths.directTo(candidate) === undefined) this.#paths.addDirect(candidate, now);
    }
  }

  #remove(path: LinkPath): void {
    if (path === this.#current) this.#current = undefined;
    this.#paths.remove(path);
  }

  #trusts(address: Endpoint | undefined): boolean {
    const { cookies, remoteTrusted } = this.#owner;
    if (!this.#owner.sealed || cookies === undefined || address === undefined) return false;
    return trustedByBoth(address.ip, this.#context.trustedSubnets, remoteTrusted);
  }

  #send(path: LinkPath | undefined, message: PathRequest | PathAck, size: number | undefined): void {
    if (path?.endpoint === undefined) return;
    const { session } = this.#owner;
    this.#context.emit({ type: 'send', session, path: path.id, plain: !this.#owner.sealed, message, size });
  }
}
