import { compareNames } from '../../core/peer-name.ts';
import type { PeerName } from '../../core/peer-name.ts';
import { toHex } from '../../core/bytes.ts';
import type { RandomSource } from '../../core/random.ts';
import { SECOND } from '../../core/time.ts';
import type { Millis } from '../../core/time.ts';
import type { RoutesSnapshot } from '../../core/routes.ts';
import { openTimeout } from './circuit-context.ts';
import type { CircuitContext } from './circuit-context.ts';
import { CIRCUIT_ID_BYTES } from './circuit-message.ts';
import type { CircuitMessage, Refusal } from './circuit-message.ts';
import { circuitRoute, isDirectEdge, reachedDirectly } from './circuit-route.ts';
import type { Edge } from './circuit-route.ts';
import { Deadlines } from './deadlines.ts';
import { Tally } from './tally.ts';

/**
 * Circuits to one peer at a time, those it opened included: an old one, a new one, both again the other way, and all
 * that for the session in use and the one that is to replace it.
 */
const MAX_PER_PEER = 8;
/** The data plane repeats its wish at least this often. */
const WISH_LIFETIME: Millis = 30 * SECOND;
/** How many paths are tried before the data plane is told that there is none. */
const MAX_ATTEMPTS = 8;

type Open = Extract<CircuitMessage, { type: 'open' }>;
type Refused = Extract<CircuitMessage, { type: 'refused' }>;

/** A circuit that begins or ends at this node. */
interface End {
  readonly id: string;
  /** The data plane's name for it, unique in this process. */
  readonly number: number;
  readonly peer: PeerName;
  /** The data plane's id of the session that it is for, and the name that the peer knows, too. */
  readonly session: { readonly id: number; readonly name: string };
  /** All peers on the way, this node first. */
  readonly path: readonly PeerName[];
  /** Where this end receives. */
  readonly alias: number;
}

/** A circuit that this node has asked for. */
interface Opening {
  readonly end: End;
  readonly avoid: readonly Edge[];
  readonly attempt: number;
}

/** One more path to try, and what to say if there is none. */
interface Attempt extends Pick<Opening, 'avoid' | 'attempt'>, Pick<End, 'peer' | 'session'> {
  readonly otherwise: string;
}

/** A circuit that was wanted while no path led there. */
interface Wish extends Pick<End, 'session'> {
  readonly until: Millis;
}

/** Opens circuits to peers that cannot be reached directly, and takes part in those that others open to us. */
export class CircuitEnds {
  readonly #context: CircuitContext;
  readonly #random: RandomSource;
  readonly #open = new Map<string, End>();
  readonly #openTo = new Tally<PeerName>();
  readonly #opening = new Map<string, Opening>();
  /** When each must have been opened. */
  readonly #deadlines = new Deadlines<Opening>();
  /** The sessions that they are for. */
  readonly #openingFor = new Set<string>();
  /** By peer, what was in vain so far. */
  readonly #wishes = new Map<PeerName, Wish>();
  #lastNumber = 0;

  constructor(context: CircuitContext, random: RandomSource) {
    this.#context = context;
    this.#random = random;
  }

  get size(): number {
    return this.#open.size + this.#opening.size;
  }

  has(id: string): boolean {
    return this.#open.has(id) || this.#opening.has(id);
  }

  /**
   * The data plane wants a circuit for a session; repeats while one is being opened are ignored. Edges are avoided only
   * if there is a way round them: they may work again.
   */
  onNeed(peer: PeerName, id: number, avoid: readonly Edge[], now: Millis): void {
    if (this.#openingFor.has(sessionKey(peer, id))) return;
    const name = this.#context.sessions.nameOf(peer, id);
    if (name === undefined) this.#fail(peer, 'the session has ended');
    else if (this.#openTo.of(peer) >= MAX_PER_PEER) this.#fail(peer, 'too many circuits');
    else {
      const session = { id, name };
      this.#wishes.set(peer, { session, until: now + WISH_LIFETIME });
      const otherwise = 'no relay has direct links towards both ends';
      this.#tryPath({ peer, session, avoid: this.#avoidable(peer, avoid), attempt: 1, otherwise }, now);
    }
  }

  /** There may be a path now where there was none. */
  onRoutes(routes: RoutesSnapshot, now: Millis): void {
    if (this.#wishes.size === 0) return;
    const reached = reachedDirectly(routes);
    for (const [peer, { session, until }] of [...this.#wishes].sort(([a], [b]) => compareNames(a, b))) {
      if (until <= now) this.#wishes.delete(peer);
      else if (!reached.has(peer)) continue;
      else if (circuitRoute(routes, peer, []) !== undefined) this.onNeed(peer, session.id, [], now);
    }
  }

  onOpen(from: PeerName, open: Open, now: Millis): void {
    const { id, path, position, index } = open;
    const peer = path[0]!;
    const session = this.#refusalOf(from, open) ?? this.#sessionOf(peer, open.session) ?? 'no-session';
    if (typeof session === 'string') {
      this.#context.send(from, { type: 'refused', id, position: position - 1, reason: session });
      return;
    }
    const alias = this.#context.indexes.allocate(now);
    const end = { id, number: ++this.#lastNumber, peer, session, path: [...path].reverse(), alias };
    this.#addOpen(end, index);
    this.#context.send(from, { type: 'opened', id, index: alias });
  }

  onOpened(from: PeerName, id: string, index: number): void {
    const opening = this.#opening.get(id);
    if (opening?.end.path[1] !== from) return;
    this.#endOpening(opening);
    this.#addOpen(opening.end, index);
  }

  onRefused(from: PeerName, refused: Refused, now: Millis): void {
    const opening = this.#opening.get(refused.id);
    if (opening?.end.path[1] === from) this.#retry(opening, refused.position, refused.reason, now);
  }

  onClose(from: PeerName, id: string, now: Millis): void {
    const end = this.#open.get(id);
    if (end?.path[1] === from) this.#drop(end, now);
  }

  /** The data plane no longer uses the circuit. */
  onEnded(peer: PeerName, number: number, now: Millis): void {
    for (const end of this.#open.values()) {
      if (end.peer !== peer || end.number !== number) continue;
      this.#context.send(end.path[1]!, { type: 'close', id: end.id });
      this.#forget(end, now);
      return;
    }
  }

  /** The session with the peer has ended: with a first relay, or with the other end. */
  onSessionEnded(peer: PeerName, now: Millis): void {
    for (const end of [...this.#open.values()]) {
      if (end.peer !== peer && end.path[1] !== peer) continue;
      this.#context.send(end.path[1]!, { type: 'close', id: end.id });
      this.#drop(end, now);
    }
    for (const opening of [...this.#opening.values()]) this.#onOpeningVoid(opening, peer, now);
  }

  nextTimeout(): Millis | undefined {
    return this.#deadlines.earliest();
  }

  onTimeout(now: Millis): void {
    for (const opening of this.#deadlines.due(now)) {
      this.#context.send(opening.end.path[1]!, { type: 'close', id: opening.end.id });
      this.#retry(opening, 0, 'timed-out', now);
    }
  }

  /** One that was to lead to the peer is of no use any more, one through it goes another way at once. */
  #onOpeningVoid(opening: Opening, peer: PeerName, now: Millis): void {
    const { end } = opening;
    if (end.peer !== peer && end.path[1] !== peer) return;
    this.#context.send(end.path[1]!, { type: 'close', id: end.id });
    if (end.path[1] === peer) return this.#retry(opening, 0, 'edge-not-direct', now);
    this.#endOpening(opening);
    this.#context.indexes.release(end.alias, now);
  }

  #endOpening(opening: Opening): void {
    const { id, peer, session } = opening.end;
    this.#opening.delete(id);
    this.#deadlines.set(opening, undefined);
    this.#openingFor.delete(sessionKey(peer, session.id));
  }

  #avoidable(peer: PeerName, avoid: readonly Edge[]): readonly Edge[] {
    const routes = this.#context.routes();
    return routes !== undefined && circuitRoute(routes, peer, avoid) !== undefined ? avoid : [];
  }

  #tryPath({ peer, session, avoid, attempt, otherwise }: Attempt, now: Millis): void {
    const routes = this.#context.routes();
    const path = routes === undefined ? undefined : circuitRoute(routes, peer, avoid);
    if (path === undefined || attempt > MAX_ATTEMPTS) {
      this.#fail(peer, otherwise);
      return;
    }
    this.#wishes.delete(peer);
    const id = toHex(this.#random.bytes(CIRCUIT_ID_BYTES));
    const alias = this.#context.indexes.allocate(now);
    const end = { id, number: ++this.#lastNumber, peer, session, path, alias };
    const opening = { end, avoid, attempt };
    this.#opening.set(id, opening);
    this.#deadlines.set(opening, now + openTimeout(path.length, 0));
    this.#openingFor.add(sessionKey(peer, session.id));
    this.#context.send(path[1]!, {
      type: 'open',
      id,
      session: session.name,
      position: 1,
      index: alias,
      path,
    });
  }

  /** The edge after `position` is of no use, or, where that lies outside the path, the first one. */
  #retry(opening: Opening, position: number, reason: Refusal, now: Millis): void {
    const { end, avoid, attempt } = opening;
    this.#endOpening(opening);
    this.#context.indexes.release(end.alias, now);
    const at = position + 1 < end.path.length ? position : 0;
    const edge: Edge = [end.path[at]!, end.path[at + 1]!];
    const otherwise = `refused by a relay: ${reason}`;
    const { peer, session } = end;
    this.#tryPath({ peer, session, avoid: [...avoid, edge], attempt: attempt + 1, otherwise }, now);
  }

  #refusalOf(from: PeerName, open: Open): Refusal | undefined {
    const { id, path, position } = open;
    const self = path[position]!;
    if (self !== this.#context.self || path[position - 1] !== from) return 'malformed';
    if (this.has(id)) return 'duplicate';
    if (this.#openTo.of(path[0]!) >= MAX_PER_PEER) return 'too-many-circuits';
    const routes = this.#context.routes();
    return routes === undefined || !isDirectEdge(routes, from, self) ? 'edge-not-direct' : undefined;
  }

  #sessionOf(peer: PeerName, name: string): End['session'] | undefined {
    const id = this.#context.sessions.idOf(peer, name);
    return id === undefined ? undefined : { id, name };
  }

  #addOpen(end: End, sendIndex: number): void {
    this.#open.set(end.id, end);
    this.#openTo.add(end.peer);
    this.#install(end, sendIndex);
  }

  #install(end: End, sendIndex: number): void {
    const { peer, session, number, path, alias } = end;
    const route = path.slice(1, -1);
    const circuit = { session: session.id, circuit: number, route, alias, sendIndex };
    this.#context.toData({ type: 'circuit', peer, ...circuit });
  }

  #fail(peer: PeerName, reason: string): void {
    this.#context.toData({ type: 'circuit-failed', peer, reason });
  }

  #drop(end: End, now: Millis): void {
    this.#context.toData({ type: 'circuit-closed', peer: end.peer, circuit: end.number });
    this.#forget(end, now);
  }

  #forget(end: End, now: Millis): void {
    this.#open.delete(end.id);
    this.#openTo.remove(end.peer);
    this.#context.indexes.release(end.alias, now);
  }
}

function sessionKey(peer: PeerName, id: number): string {
  return `${peer} ${id}`;
}
