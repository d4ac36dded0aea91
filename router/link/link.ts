import type { Endpoint } from '../../core/address.ts';
import type { PeerName } from '../../core/peer-name.ts';
import { SECOND, earlier, type Machine, type Millis } from '../../core/time.ts';
import type { LinkReport, LinkState, SessionMaterial, ToControl, ToData } from '../node-messages.ts';
import { sameRoute, type LinkRoute } from '../switch/link-view.ts';
import type { LinkMessage, MacsPart } from '../wire/inner.ts';
import { sessionOfLane } from '../wire/lanes.ts';
import type { LinkContext, LinkEffect, LinkEnvironment } from './context.ts';
import { DirectFlag } from './direct-flag.ts';
import { Idleness } from './idleness.ts';
import { LinkLog } from './link-log.ts';
import { LinkNeeds } from './link-needs.ts';
import { MacsReceiver, MacsSender } from './macs.ts';
import { innerMtu } from './path-mtu.ts';
import type { LinkPath } from './path.ts';
import type { LinkSession } from './session.ts';
import type { SessionKeys } from './session-keys.ts';
import { SessionSlots } from './session-slots.ts';

const DOWN_AFTER: Millis = 60 * SECOND;
/** A flood of frames that wait is one need. */
const NEED_PRECISION: Millis = 1 * SECOND;
const CLOSE_REPEATS = 3;
/** The reason in `close`: the session is of no more use. */
const CLOSE_ENDED = 0;
/** Nothing has used the link: whoever has a use for it later offers a session. */
const CLOSE_UNUSED = 1;
const LEAST_BRIDGE_MTU = 576;
const LARGEST_BRIDGE_MTU = 65_535;

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
type NotRekey = Exclude<LinkMessage, { kind: 'rekey' }>;
type CircuitOpened = Extract<ToData, { type: 'circuit' }>;

/** Why a link message was ignored: plain in a sealed session, or no step of a rekey that is due in the session in use. */
export type LinkDrop = 'plain-refused' | 'rekey-unexpected';

/**
 * The data link to one peer: idle -> offering -> probing -> up -> down. It installs sessions, chooses among their
 * paths, and asks the ControlNode for sessions and circuits when it lacks them.
 */
export class Link implements Machine<LinkEffect> {
  readonly peer: PeerName;
  readonly #context: LinkContext;
  #effects: LinkEffect[] = [];
  readonly #slots: SessionSlots;
  readonly #needs: LinkNeeds;
  readonly #idleness: Idleness;
  #neededAt: Millis | undefined;
  #unconfirmedSince: Millis | undefined;
  /** When the rules below want to be looked at again, apart from the timers of the parts. */
  #recheckAt: Millis | undefined;
  #state: LinkState = 'idle';
  #route: LinkRoute | undefined;
  readonly #direct = new DirectFlag();
  #told: { state: LinkState; direct: boolean } = { state: 'idle', direct: false };
  readonly #log: LinkLog;
  #toldDirectPath: { id: number; endpoint: Endpoint | undefined } | undefined;
  #localMacs: Uint8Array;
  readonly #macsSender = new MacsSender();
  #macsReceiver = new MacsReceiver();
  #sentBytes = 0;
  #receivedBytes = 0;
  #rekeys = 0;

  /** `kept`: see {@link setKept}. */
  constructor(
    peer: PeerName,
    environment: LinkEnvironment,
    localMacs: Uint8Array,
    kept: boolean,
    now: Millis,
  ) {
    this.peer = peer;
    this.#localMacs = localMacs;
    this.#idleness = new Idleness(kept, now);
    this.#context = { ...environment, peer, emit: (effect) => void this.#effects.push(effect) };
    this.#slots = new SessionSlots(this.#context);
    this.#log = new LinkLog(peer);
    this.#needs = new LinkNeeds(this.#context, this.#slots);
  }

  get state(): LinkState {
    return this.#state;
  }

  /** How to send a frame now; undefined while there is no path at all, and frames wait. */
  get route(): LinkRoute | undefined {
    return this.#route;
  }

  /** The route of lanes above 0: as {@link route}, but never a circuit. */
  get laneRoute(): LinkRoute | undefined {
    return this.#slots.serving()?.paths.current?.direct === true ? this.#route : undefined;
  }

  /** See SessionPaths.refusesPlain. */
  get refusesPlain(): boolean {
    return this.#slots.serving()?.paths.refusesPlain ?? false;
  }

  /** The direct path in use, as relay labels and circuits through this peer need it. */
  directPath(): { id: number; endpoint: Endpoint } | undefined {
    const path = this.#slots.serving()?.paths.current;
    if (!path?.direct || path.liveness === undefined || path.endpoint === undefined) return undefined;
    return { id: path.id, endpoint: path.endpoint };
  }

  /** Whether the mesh asks for this link, traffic or not; one that it does not ask for ends when nothing uses it. */
  setKept(kept: boolean, now: Millis): void {
    this.#idleness.setKept(kept, now);
  }

  /** Frames came over this link. */
  onUse(now: Millis): void {
    this.#idleness.onUse(now);
  }

  /** A frame waits for this peer and there is no route. */
  onNeeded(now: Millis): void {
    this.#idleness.onUse(now);
    if (this.#neededAt !== undefined && now < this.#neededAt + NEED_PRECISION) return;
    this.#neededAt = now;
    this.#settle(now);
  }

  onSession(material: SessionMaterial, now: Millis): void {
    const remoteBridgeMtu = Math.min(
      Math.max(material.remoteBridgeMtu, LEAST_BRIDGE_MTU),
      LARGEST_BRIDGE_MTU,
    );
    // Where the peer is reached now is the best guess for its new session.
    const known = this.directPath();
    const candidates = known ? [known.endpoint, ...material.candidates] : material.candidates;
    this.#slots.install({ ...material, candidates, remoteBridgeMtu }, now);
    this.#idleness.onUse(now);
    this.onTimeout(now);
  }

  onSessionClosed(notify: boolean, now: Millis): void {
    if (notify) this.#sendClose(CLOSE_ENDED);
    for (const session of this.#slots.all()) this.#slots.drop(session);
    this.#neededAt = undefined;
    this.#settle(now);
  }

  /** Someone wants new keys for the session in use. */
  onRekeyRequest(now: Millis): void {
    this.#slots.current?.keys?.onRequest(now);
    this.onTimeout(now);
  }

  /** For the session in use; what is for one that has been replaced comes too late. */
  onRekeyMessage({ session, phase, step, bytes }: Rekey, now: Millis): void {
    this.#keysInUse(session)?.onOutgoing({ kind: 'rekey', phase, step, bytes }, now);
    this.#settle(now);
  }

  /** As {@link onRekeyMessage}. */
  onRekeyKeys(message: Keys, now: Millis): void {
    this.#keysInUse(message.session)?.onKeys(message, now);
    this.#settle(now);
  }

  /** Opens a path in the session that the circuit is for; refused if that has gone or the route is senseless. */
  onCircuit({ session: id, circuit, route, alias, sendIndex }: CircuitOpened, now: Millis): void {
    const session = this.#slots.lasting().find((each) => each.id === id);
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
    for (const session of this.#slots.all()) session.paths.removeCircuit(circuit, now);
    this.#settle(now);
  }

  /** No circuit could be opened; the next one need not avoid what was lost. */
  onCircuitFailed(): void {
    for (const session of this.#slots.all()) session.paths.forgetLostRoute();
  }

  /** Whether any of its sessions has a circuit, which {@link onFirstHopMoved} concerns. */
  get hasCircuit(): boolean {
    return this.#slots.all().some(({ paths }) => paths.hasCircuit);
  }

  /** The direct path to another peer, through which circuits may go, has moved. */
  onFirstHopMoved(firstHop: PeerName, now: Millis): void {
    for (const session of this.#slots.all()) session.paths.onFirstHopMoved(firstHop);
    this.#settle(now);
  }

  onLocalMacs(macs: Uint8Array, now: Millis): void {
    this.#localMacs = macs;
    if (this.#slots.current) this.#macsSender.restart(macs, now);
    this.#settle(now);
  }

  /**
   * Once per datagram, frames included. True if that changed more than counters. Only a sealed datagram brings a sealed
   * session alive.
   */
  onArrival(arrival: Arrival, now: Millis): boolean {
    const session = this.#slots.find(arrival.session);
    if (session === undefined) return false;
    this.#receivedBytes += arrival.wireLength;
    session.paths.onArrival(arrival.tag, now);
    if (session.sealed && arrival.plain) return false;
    session.keys?.onDatagrams(1, now);
    const proven = session.keys?.onPhase(arrival.phase, now) ?? false;
    if (proven) this.#rekeys++;
    if (session === this.#slots.pending) this.#goLive(session, now);
    else if (proven) this.#settle(now);
    else return false;
    return true;
  }

  /** Whether a frame that came plain may be taken. */
  takesPlain(arrival: Arrival): boolean {
    const session = this.#slots.find(sessionOfLane(arrival.session));
    return session?.paths.takesPlainFrom(() => arrival.source(), arrival.tag === 0) ?? false;
  }

  /** A message to the link itself; returns why it was ignored, if it was. */
  onMessage(arrival: Arrival, message: LinkMessage, now: Millis): LinkDrop | undefined {
    const session = this.#slots.find(arrival.session);
    if (session === undefined || (session.sealed && arrival.plain)) return 'plain-refused';
    if (session === this.#slots.lingering) return this.#onLateMessage(session, message);
    if (message.kind === 'rekey') {
      const keys = session === this.#slots.current ? session.keys : undefined;
      if (keys?.onMessage(message, now) !== true) return 'rekey-unexpected';
    } else this.#dispatch(session, arrival, message, now);
    this.#settle(now);
    return undefined;
  }

  onRoamed(number: number, from: Endpoint, now: Millis): void {
    this.#slots.find(number)?.paths.onRoamed(from, now);
    this.onTimeout(now);
  }

  /** This host may be somewhere else by now. */
  onMoved(now: Millis): void {
    for (const session of this.#slots.all()) session.paths.onMoved(now);
    this.onTimeout(now);
  }

  onTooBig(path: number, size: number, now: Millis): void {
    for (const session of this.#slots.all()) session.paths.onTooBig(path, size, now);
    this.#settle(now);
  }

  /** Sealed frames came whose like {@link Link.onArrival} was told of shortly before: their datagrams and bytes. */
  onFramesReceived(number: number, datagrams: number, bytes: number, now: Millis): void {
    this.#receivedBytes += bytes;
    this.#idleness.onUse(now);
    this.#slots.find(number)?.keys?.onDatagrams(datagrams, now);
  }

  /** Frames were sent: their datagrams and bytes of UDP payload. True if the next timeout comes sooner for it. */
  onDataSent(number: number, datagrams: number, bytes: number, now: Millis): boolean {
    const session = this.#slots.find(number);
    this.#sentBytes += bytes;
    this.#idleness.onUse(now);
    session?.keys?.onDatagrams(datagrams, now);
    return session?.paths.onDataSent(now) ?? false;
  }

  /** A message of the link's own was sent: bytes of UDP payload. The other end counts what arrives of it, too. */
  onMessageSent(bytes: number): void {
    this.#sentBytes += bytes;
  }

  /** Bytes of UDP payload that came on lanes above 0. */
  onLaneReceived(bytes: number, now: Millis): void {
    this.#receivedBytes += bytes;
    if (bytes > 0) this.#idleness.onUse(now);
  }

  nextTimeout(): Millis | undefined {
    const own = earlier(earlier(this.#recheckAt, this.#needs.nextTimeout()), this.#direct.nextTimeout());
    const next = earlier(earlier(own, this.#giveUpAt()), this.#slots.nextTimeout());
    return this.#slots.current?.paths.current ? earlier(next, this.#macsSender.nextTimeout()) : next;
  }

  onTimeout(now: Millis): void {
    this.#slots.onTimeout(now);
    if (this.#slots.current?.keys?.expired(now)) {
      this.#slots.drop(this.#slots.current);
      this.#neededAt = now;
    }
    if (now >= (this.#giveUpAt() ?? Infinity)) this.#giveUp(now);
    this.#settle(now);
  }

  drain(): LinkEffect[] {
    const effects = this.#effects;
    if (effects.length > 0) this.#effects = [];
    return effects;
  }

  report(): LinkReport {
    const session = this.#slots.serving();
    const path = session?.paths.current;
    const [sentBytes, receivedBytes] = [this.#sentBytes, this.#receivedBytes];
    const rekeys = this.#rekeys;
    const common = { peer: this.peer, state: this.#state, sentBytes, receivedBytes, rekeys };
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

  #dispatch(session: LinkSession, arrival: Arrival, message: NotRekey, now: Millis): void {
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
      case 'macs':
        // Of a session before, what was held back on the way may be older than what came since.
        if (session === this.#slots.current) this.#onMacs(session, message);
        break;
      case 'macs-ack':
        if (session === this.#slots.current) this.#macsSender.onAck(message.version);
        break;
      case 'close':
        if (message.reason === CLOSE_UNUSED) this.#tell({ type: 'link-unused', peer: this.peer });
        this.#slots.drop(session);
        this.#neededAt = undefined;
        break;
    }
  }

  /** When the link is given up, unless a frame passes before. */
  #giveUpAt(): Millis | undefined {
    return this.#slots.newest && this.#idleness.endsAt();
  }

  #giveUp(now: Millis): void {
    this.#sendClose(CLOSE_UNUSED);
    this.#slots.giveUp(now);
    this.#neededAt = undefined;
  }

  /** The peer does not know yet that the session was given up: none of the closes reached it. */
  #onLateMessage(session: LinkSession, { kind }: LinkMessage): undefined {
    if (kind === 'heartbeat' || kind === 'probe') session.send({ kind: 'close', reason: CLOSE_UNUSED });
  }

  #keysInUse(id: number): SessionKeys | undefined {
    const session = this.#slots.current;
    return session?.id === id ? session.keys : undefined;
  }

  #onMacs(session: LinkSession, part: MacsPart): void {
    const { complete, acknowledge } = this.#macsReceiver.onPart(part);
    if (complete) this.#context.emit({ type: 'peer-macs', macs: complete });
    if (acknowledge !== undefined) session.send({ kind: 'macs-ack', version: acknowledge });
  }

  /** The pending session got its first valid datagram: it is the current one. */
  #goLive(session: LinkSession, now: Millis): void {
    this.#slots.goLive(now);
    session.paths.onPeerReady(now);
    this.#macsReceiver = new MacsReceiver();
    this.#macsSender.restart(this.#localMacs, now);
    this.#tell({ type: 'session-live', peer: this.peer, id: session.id });
    this.#settle(now);
  }

  /** Everything that follows from the state as it is now. Idempotent; called after every input. */
  #settle(now: Millis): void {
    this.#recheckAt = undefined;
    this.#followPaths(now);
    this.#updateState(now);
    this.#direct.update(this.#state === 'up' && this.directPath() !== undefined, now);
    this.#announceState();
    this.#announceDirectPath();
    this.#needs.update(this.#state !== 'idle', now);
    this.#sendMacs(now);
  }

  #followPaths(now: Millis): void {
    this.#slots.followPaths(now);
    const current = this.#slots.current;
    current?.paths.setUrgent(current.keys?.unproven ?? false);
    const before = this.#route;
    this.#route = this.#findRoute();
    if (!sameRoute(before, this.#route))
      this.#context.emit({ type: 'configure', change: { type: 'decisions-void' } });
    if (this.#route === undefined) return;
    if (before === undefined) this.#context.emit({ type: 'sendable' });
    this.#neededAt = undefined;
  }

  #findRoute(): LinkRoute | undefined {
    const session = this.#slots.serving();
    const path = session?.paths.current;
    if (session === undefined || path === undefined) return undefined;
    const mtu = this.#innerMtu(session, path);
    return { session: session.number, path: path.id, plain: session.paths.plain, innerMtu: mtu };
  }

  #updateState(now: Millis): void {
    const wanted = this.#neededAt !== undefined && now < this.#neededAt + DOWN_AFTER;
    const session = this.#slots.newest;
    if (wanted) this.#recheck(this.#neededAt! + DOWN_AFTER);
    if (this.#slots.confirmed || (session === undefined && !wanted)) this.#unconfirmedSince = undefined;
    else this.#unconfirmedSince ??= now;
    if (this.#unconfirmedSince === undefined) {
      this.#state = this.#slots.confirmed ? 'up' : 'idle';
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
    const path = this.#slots.serving()?.paths.current?.direct === true ? 'direct' : 'relay';
    const line = this.#log.lineFor({ state, path, hasSession: this.#slots.newest !== undefined });
    if (line !== undefined) this.#tell(line);
  }

  #announceDirectPath(): void {
    const path = this.directPath();
    if (path?.id === this.#toldDirectPath?.id && path?.endpoint === this.#toldDirectPath?.endpoint) return;
    this.#toldDirectPath = path;
    this.#context.emit({ type: 'direct-path' });
  }

  #sendMacs(now: Millis): void {
    if (this.#slots.current?.paths.current === undefined) return;
    for (const part of this.#macsSender.onTimeout(now)) this.#slots.current.send(part);
  }

  #sendClose(reason: number): void {
    const session = this.#slots.serving();
    for (let i = 0; i < CLOSE_REPEATS; i++) session?.send({ kind: 'close', reason });
  }

  #innerMtu(session: LinkSession, path: LinkPath): number {
    return Math.min(innerMtu(path.mtu.presumed), this.#context.bridgeMtu, session.remoteBridgeMtu);
  }

  #recheck(at: Millis | undefined): void {
    this.#recheckAt = earlier(this.#recheckAt, at);
  }

  #tell(message: ToControl): void {
    this.#context.emit({ type: 'control', message });
  }
}
