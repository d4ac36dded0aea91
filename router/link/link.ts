import type { Endpoint } from '../../core/address.ts';
import type { PeerName } from '../../core/peer-name.ts';
import { SECOND, earlier, type Machine, type Millis } from '../../core/time.ts';
import type { LinkReport, LinkState, SessionMaterial, ToControl, ToData } from '../node-messages.ts';
import type { LinkMessage, MacsPart } from '../wire/inner.ts';
import { BackOff } from './back-off.ts';
import type { LinkContext, LinkEffect, LinkEnvironment } from './context.ts';
import { DirectFlag } from './direct-flag.ts';
import { MacsReceiver, MacsSender } from './macs.ts';
import { BASE_SIZE, innerMtu } from './path-mtu.ts';
import type { LinkPath } from './path.ts';
import { LinkSession } from './session.ts';

const DOWN_AFTER: Millis = 60 * SECOND;
/** A session that never got a valid datagram. */
const PENDING_LIFETIME: Millis = 60 * SECOND;
/** A fresh session has so long to find a path before another is asked for. */
const SESSION_TRIAL: Millis = 10 * SECOND;
/** ... and its addresses so long before a circuit is. */
const DIRECT_TRIAL: Millis = 3 * SECOND;
/** A replaced session receives for so long after its replacement has a path, or, at most, after it was replaced. */
const RETIRE_AFTER_PATH: Millis = 2 * SECOND;
const RETIRE_AFTER: Millis = 10 * SECOND;
/** A flood of frames that wait is one need. */
const NEED_PRECISION: Millis = 1 * SECOND;
const CLOSE_REPEATS = 3;
/** The reason in `close`: the session is of no more use. */
const CLOSE_ENDED = 0;
const LEAST_BRIDGE_MTU = 576;
const LARGEST_BRIDGE_MTU = 65_535;

/** How to send a frame to the peer now. */
export interface LinkRoute {
  readonly session: number;
  readonly path: number;
  readonly plain: boolean;
  /** Largest IP packet (bytes) that goes in one datagram. */
  readonly innerMtu: number;
}

/** An opened datagram, as far as the link cares. */
export interface Arrival {
  readonly session: number;
  /** From the engine's receive-index: 0 = direct, else the id of a circuit's path. */
  readonly tag: number;
  readonly phase: number;
  readonly plain: boolean;
  readonly wireLength: number;
  source(): Endpoint;
}

const NO_PATH = {
  path: 'direct',
  via: undefined,
  address: undefined,
  encrypted: false,
  mtu: 0,
  rttMs: undefined,
  lostFraction: 0,
} as const;

type Rekey = Extract<ToData, { type: 'rekey-message' }>;
type Keys = Extract<ToData, { type: 'rekey-keys' }>;
type CircuitOpened = Extract<ToData, { type: 'circuit' }>;

/**
 * The data link to one peer: idle -> offering -> probing -> up -> down. It installs sessions, chooses among their
 * paths, and asks the ControlNode for sessions and circuits when it lacks them.
 */
export class Link implements Machine<LinkEffect> {
  readonly peer: PeerName;
  readonly #context: LinkContext;
  #effects: LinkEffect[] = [];
  #current: LinkSession | undefined;
  #pending: LinkSession | undefined;
  #retiring: LinkSession | undefined;
  #retireAt: Millis | undefined;
  /** The current session had a confirmed path at some time. */
  #hadPath = false;
  #neededAt: Millis | undefined;
  #unconfirmedSince: Millis | undefined;
  readonly #sessionAsks = new BackOff();
  readonly #circuitAsks = new BackOff();
  /** When the rules below want to be looked at again, apart from the sessions' own timers. */
  #recheckAt: Millis | undefined;
  #state: LinkState = 'idle';
  readonly #direct = new DirectFlag();
  #told: { state: LinkState; direct: boolean } = { state: 'idle', direct: false };
  #toldDirectPath: { id: number; endpoint: Endpoint | undefined } | undefined;
  #sendable = false;
  #localMacs: Uint8Array;
  readonly #macsSender = new MacsSender();
  #macsReceiver = new MacsReceiver();
  #sentBytes = 0;
  #receivedBytes = 0;

  constructor(peer: PeerName, environment: LinkEnvironment, localMacs: Uint8Array) {
    this.peer = peer;
    this.#localMacs = localMacs;
    this.#context = { ...environment, peer, emit: (effect) => void this.#effects.push(effect) };
  }

  get state(): LinkState {
    return this.#state;
  }

  /** Undefined while there is no path at all; frames wait then. */
  route(): LinkRoute | undefined {
    const session = this.#serving();
    const path = session?.paths.current;
    if (session === undefined || path === undefined) return undefined;
    const mtu = this.#innerMtu(session, path);
    return { session: session.number, path: path.id, plain: session.paths.plain, innerMtu: mtu };
  }

  /** The direct path in use, as relay labels and circuits through this peer need it. */
  directPath(): { id: number; endpoint: Endpoint } | undefined {
    const path = this.#serving()?.paths.current;
    if (!path?.direct || path.liveness === undefined || path.endpoint === undefined) return undefined;
    return { id: path.id, endpoint: path.endpoint };
  }

  /** A frame waits for this peer and there is no route. */
  onNeeded(now: Millis): void {
    if (this.#neededAt !== undefined && now < this.#neededAt + NEED_PRECISION) return;
    this.#neededAt = now;
    this.#settle(now);
  }

  onSession(material: SessionMaterial, now: Millis): void {
    this.#pending?.remove();
    const remoteBridgeMtu = Math.min(
      Math.max(material.remoteBridgeMtu, LEAST_BRIDGE_MTU),
      LARGEST_BRIDGE_MTU,
    );
    this.#pending = new LinkSession(this.#context, { ...material, remoteBridgeMtu }, now);
    this.onTimeout(now);
  }

  onSessionClosed(notify: boolean, now: Millis): void {
    if (notify) this.#sendClose();
    for (const session of this.#sessions()) this.#drop(session);
    this.#neededAt = undefined;
    this.#settle(now);
  }

  onRekeyMessage({ phase, step, bytes }: Rekey, now: Millis): void {
    this.#current?.keys?.onOutgoing({ kind: 'rekey', phase, step, bytes }, now);
    this.#settle(now);
  }

  onRekeyKeys(message: Keys, now: Millis): void {
    this.#current?.keys?.onKeys(message, now);
    this.#settle(now);
  }

  /** Opens a path in the newest session; refused if there is none or the route is senseless. */
  onCircuit({ circuit, route, alias, sendIndex }: CircuitOpened, now: Millis): void {
    const session = this.#pending ?? this.#current;
    const firstHop = route.find((name) => name !== this.#context.self);
    if (session === undefined || firstHop === undefined || firstHop === this.peer) {
      this.#tell({ type: 'circuit-ended', peer: this.peer, circuit });
      this.#tell({ type: 'indexes-released', indexes: [alias] });
      return;
    }
    session.paths.addCircuit({ circuit, route, firstHop, alias, sendIndex }, now);
    this.onTimeout(now);
  }

  onCircuitClosed(circuit: number, now: Millis): void {
    for (const session of this.#sessions()) session.paths.removeCircuit(circuit, now);
    this.#settle(now);
  }

  /** No circuit could be opened; the next one need not avoid what was lost. */
  onCircuitFailed(): void {
    for (const session of this.#sessions()) session.paths.forgetLostRoute();
  }

  /** The direct path to another peer, through which circuits may go, has moved. */
  onFirstHopMoved(firstHop: PeerName, now: Millis): void {
    for (const session of this.#sessions()) session.paths.onFirstHopMoved(firstHop);
    this.#settle(now);
  }

  onLocalMacs(macs: Uint8Array, now: Millis): void {
    this.#localMacs = macs;
    if (this.#current) this.#macsSender.restart(macs, now);
    this.#settle(now);
  }

  /**
   * Once per datagram, frames included. True if that changed more than counters. Only a sealed datagram brings a sealed
   * session alive.
   */
  onArrival(arrival: Arrival, now: Millis): boolean {
    const session = this.#sessionOf(arrival.session);
    if (session === undefined) return false;
    this.#receivedBytes += arrival.wireLength;
    session.paths.onArrival(arrival.tag, now);
    if (session.sealed && arrival.plain) return false;
    session.keys?.onDatagrams(1, now);
    const proven = session.keys?.onPhase(arrival.phase, now) ?? false;
    if (session === this.#pending) this.#goLive(session, now);
    else if (proven) this.#settle(now);
    else return false;
    return true;
  }

  /** Whether a frame that came plain may be taken. */
  takesPlain(arrival: Arrival): boolean {
    const session = this.#sessionOf(arrival.session);
    return session?.paths.takesPlainFrom(() => arrival.source(), arrival.tag === 0) ?? false;
  }

  /** A message to the link itself; false if it came plain in a sealed session and was ignored. */
  onMessage(arrival: Arrival, message: LinkMessage, now: Millis): boolean {
    const session = this.#sessionOf(arrival.session);
    if (session === undefined || (session.sealed && arrival.plain)) return false;
    this.#dispatch(session, arrival, message, now);
    this.#settle(now);
    return true;
  }

  onRoamed(number: number, from: Endpoint, now: Millis): void {
    this.#sessionOf(number)?.paths.onRoamed(from, now);
    this.onTimeout(now);
  }

  onTooBig(path: number, size: number, now: Millis): void {
    for (const session of this.#sessions()) session.paths.onTooBig(path, size, now);
    this.#settle(now);
  }

  /** Frames were sent: their datagrams and bytes of UDP payload. True if the next timeout comes sooner for it. */
  onDataSent(number: number, datagrams: number, bytes: number, now: Millis): boolean {
    const session = this.#sessionOf(number);
    this.#sentBytes += bytes;
    session?.keys?.onDatagrams(datagrams, now);
    return session?.paths.onDataSent(now) ?? false;
  }

  nextTimeout(): Millis | undefined {
    let next = this.#recheckAt;
    next = earlier(next, this.#current?.nextTimeout());
    next = earlier(next, this.#pending?.nextTimeout());
    return this.#current?.paths.current ? earlier(next, this.#macsSender.nextTimeout()) : next;
  }

  onTimeout(now: Millis): void {
    this.#current?.onTimeout(now);
    this.#pending?.onTimeout(now);
    if (this.#pending && now >= this.#pending.installedAt + PENDING_LIFETIME) this.#drop(this.#pending);
    if (this.#retiring && now >= (this.#retireAt ?? now)) this.#drop(this.#retiring);
    if (this.#current?.keys?.expired(now)) this.#endExpired(this.#current, now);
    this.#settle(now);
  }

  drain(): LinkEffect[] {
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  report(): LinkReport {
    const session = this.#serving();
    const path = session?.paths.current;
    const [sentBytes, receivedBytes] = [this.#sentBytes, this.#receivedBytes];
    const common = { peer: this.peer, state: this.#state, sentBytes, receivedBytes };
    if (session === undefined || path === undefined) return { ...common, ...NO_PATH };
    return {
      ...common,
      path: path.direct ? 'direct' : 'relay',
      via: path.circuit?.firstHop,
      address: path.endpoint,
      encrypted: !session.paths.plain,
      mtu: this.#innerMtu(session, path),
      rttMs: path.quality.rttMs,
      lostFraction: path.quality.lostFraction,
    };
  }

  #dispatch(session: LinkSession, arrival: Arrival, message: LinkMessage, now: Millis): void {
    switch (message.kind) {
      case 'heartbeat':
      case 'probe':
        session.paths.onRequest(message, arrival.tag, () => arrival.source(), now);
        // A request may have opened a path back to where it came from, which is to be probed at once.
        session.paths.onTimeout(now);
        break;
      case 'heartbeat-ack':
      case 'probe-ack':
        session.paths.onAck(message, now);
        break;
      case 'rekey':
        if (session === this.#current) session.keys?.onMessage(message, now);
        break;
      case 'macs':
        this.#onMacs(session, message);
        break;
      case 'macs-ack':
        this.#macsSender.onAck(message.version);
        break;
      case 'close':
        this.#drop(session);
        this.#neededAt = undefined;
        break;
    }
  }

  #onMacs(session: LinkSession, part: MacsPart): void {
    const { complete, acknowledge } = this.#macsReceiver.onPart(part);
    if (complete) this.#context.emit({ type: 'peer-macs', macs: complete });
    if (acknowledge !== undefined) session.send({ kind: 'macs-ack', version: acknowledge });
  }

  /** The pending session got its first valid datagram: it is the current one, and the old one bows out. */
  #goLive(session: LinkSession, now: Millis): void {
    if (this.#retiring) this.#drop(this.#retiring);
    this.#retiring = this.#current;
    this.#retiring?.paths.stop();
    this.#retireAt = now + RETIRE_AFTER;
    this.#current = session;
    this.#pending = undefined;
    this.#hadPath = false;
    this.#macsReceiver = new MacsReceiver();
    this.#macsSender.restart(this.#localMacs, now);
    this.#tell({ type: 'session-live', peer: this.peer, id: session.id });
    this.#settle(now);
  }

  /** Everything that follows from the state as it is now. Idempotent; called after every input. */
  #settle(now: Millis): void {
    this.#recheckAt = undefined;
    this.#followPath(now);
    this.#updateState(now);
    this.#direct.update(this.#state === 'up' && this.directPath() !== undefined, now);
    this.#recheck(this.#direct.nextTimeout());
    this.#announceState();
    this.#announceDirectPath();
    this.#askForSession(now);
    this.#askForCircuit(now);
    this.#sendMacs(now);
    this.#recheck(this.#pending && this.#pending.installedAt + PENDING_LIFETIME);
    this.#recheck(this.#retiring && this.#retireAt);
  }

  #followPath(now: Millis): void {
    const current = this.#current;
    if (current?.paths.confirmed) {
      if (!this.#hadPath) this.#retireAt = Math.min(this.#retireAt ?? Infinity, now + RETIRE_AFTER_PATH);
      this.#hadPath = true;
    }
    current?.paths.setUrgent(current.keys?.unproven ?? false);
    const sendable = this.#serving()?.paths.current !== undefined;
    if (sendable && !this.#sendable) this.#context.emit({ type: 'sendable' });
    this.#sendable = sendable;
    if (sendable) this.#neededAt = undefined;
  }

  #updateState(now: Millis): void {
    const wanted = this.#neededAt !== undefined && now < this.#neededAt + DOWN_AFTER;
    const session = this.#current ?? this.#pending;
    if (wanted) this.#recheck(this.#neededAt! + DOWN_AFTER);
    if (this.#confirmed() || (session === undefined && !wanted)) this.#unconfirmedSince = undefined;
    else this.#unconfirmedSince ??= now;
    if (this.#unconfirmedSince === undefined) {
      this.#state = this.#confirmed() ? 'up' : 'idle';
    } else if (now >= this.#unconfirmedSince + DOWN_AFTER) {
      this.#state = 'down';
    } else {
      this.#state = session ? 'probing' : 'offering';
      this.#recheck(this.#unconfirmedSince + DOWN_AFTER);
    }
  }

  #announceState(): void {
    const [state, direct] = [this.#state, this.#direct.value];
    if (state === this.#told.state && direct === this.#told.direct) return;
    this.#told = { state, direct };
    this.#tell({ type: 'link-changed', peer: this.peer, state, direct });
  }

  #announceDirectPath(): void {
    const path = this.directPath();
    if (path?.id === this.#toldDirectPath?.id && path?.endpoint === this.#toldDirectPath?.endpoint) return;
    this.#toldDirectPath = path;
    this.#context.emit({ type: 'direct-path' });
  }

  #askForSession(now: Millis): void {
    if (this.#confirmed() || this.#state === 'idle') {
      this.#sessionAsks.reset();
      return;
    }
    const newest = this.#pending ?? this.#current;
    const lost = this.#hadPath && this.#pending === undefined;
    const notBefore = newest === undefined || lost ? now : newest.installedAt + SESSION_TRIAL;
    if (notBefore <= now && this.#sessionAsks.ask(now)) this.#tell({ type: 'need-session', peer: this.peer });
    this.#recheck(notBefore > now ? notBefore : this.#sessionAsks.nextAsk());
  }

  #askForCircuit(now: Millis): void {
    const newest = this.#pending ?? this.#current;
    if (newest === undefined || newest.paths.confirmed) {
      this.#circuitAsks.reset();
      return;
    }
    if (newest.paths.hasCircuit) return;
    const lost = newest === this.#current && this.#hadPath;
    const notBefore = lost ? now : newest.installedAt + DIRECT_TRIAL;
    if (notBefore <= now && this.#circuitAsks.ask(now)) this.#tell(this.#needCircuit(newest));
    this.#recheck(notBefore > now ? notBefore : this.#circuitAsks.nextAsk());
  }

  #needCircuit(session: LinkSession): ToControl {
    const { self } = this.#context;
    const relays = (session.paths.lostRoute ?? []).filter((name) => name !== self && name !== this.peer);
    const hops = relays.length === 0 ? [] : [self, ...relays, this.peer];
    const avoid = hops.slice(1).map((hop, i): [PeerName, PeerName] => [hops[i]!, hop]);
    return { type: 'need-circuit', peer: this.peer, avoid };
  }

  #sendMacs(now: Millis): void {
    if (this.#current?.paths.current === undefined) return;
    for (const part of this.#macsSender.onTimeout(now)) this.#current.send(part);
  }

  #sendClose(): void {
    const session = this.#serving();
    for (let i = 0; i < CLOSE_REPEATS; i++) session?.send({ kind: 'close', reason: CLOSE_ENDED });
  }

  #endExpired(session: LinkSession, now: Millis): void {
    this.#drop(session);
    this.#neededAt = now;
  }

  #drop(session: LinkSession): void {
    session.remove();
    if (session === this.#current) {
      this.#current = undefined;
      this.#hadPath = false;
    }
    if (session === this.#pending) this.#pending = undefined;
    if (session === this.#retiring) this.#retiring = undefined;
  }

  /** The session that frames go by. */
  #serving(): LinkSession | undefined {
    const usable = (session: LinkSession | undefined) => session?.paths.current?.endpoint !== undefined;
    if (usable(this.#current)) return this.#current;
    return usable(this.#retiring) ? this.#retiring : undefined;
  }

  #confirmed(): boolean {
    return this.#current?.paths.confirmed === true || this.#retiring?.paths.confirmed === true;
  }

  #innerMtu(session: LinkSession, path: LinkPath): number {
    const size = path.mtu.size ?? Math.min(BASE_SIZE, path.mtu.full);
    return Math.min(innerMtu(size), this.#context.bridgeMtu, session.remoteBridgeMtu);
  }

  #sessionOf(number: number): LinkSession | undefined {
    if (this.#current?.number === number) return this.#current;
    if (this.#pending?.number === number) return this.#pending;
    return this.#retiring?.number === number ? this.#retiring : undefined;
  }

  #sessions(): LinkSession[] {
    return [this.#current, this.#pending, this.#retiring].filter((session) => session !== undefined);
  }

  #recheck(at: Millis | undefined): void {
    this.#recheckAt = earlier(this.#recheckAt, at);
  }

  #tell(message: ToControl): void {
    this.#context.emit({ type: 'control', message });
  }
}
