import type { PeerName } from '../../core/peer-name.ts';
import { toHex } from '../../core/bytes.ts';
import type { RandomSource } from '../../core/random.ts';
import { earlier } from '../../core/time.ts';
import type { Millis } from '../../core/time.ts';
import { openTimeout } from './circuit-context.ts';
import type { CircuitContext } from './circuit-context.ts';
import { CIRCUIT_ID_BYTES } from './circuit-message.ts';
import type { CircuitMessage, Refusal } from './circuit-message.ts';
import { circuitRoute, isDirectEdge } from './circuit-route.ts';
import type { Edge } from './circuit-route.ts';

/** Circuits to one peer at a time, those it opened included: an old one, a new one, and both again the other way. */
const MAX_PER_PEER = 4;
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
  /** All peers on the way, this node first. */
  readonly path: readonly PeerName[];
  /** Where this end receives. */
  readonly alias: number;
}

/** A circuit that this node has asked for. */
interface Opening {
  readonly end: End;
  readonly deadline: Millis;
  readonly avoid: readonly Edge[];
  readonly attempt: number;
}

/** Opens circuits to peers that cannot be reached directly, and takes part in those that others open to us. */
export class CircuitEnds {
  readonly #context: CircuitContext;
  readonly #random: RandomSource;
  readonly #open = new Map<string, End>();
  readonly #opening = new Map<string, Opening>();
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

  /** The data plane wants a circuit; repeats while one is being opened are ignored. */
  onNeed(peer: PeerName, avoid: readonly Edge[], now: Millis): void {
    for (const { end } of this.#opening.values()) if (end.peer === peer) return;
    if (this.#countOf(peer) >= MAX_PER_PEER) this.#fail(peer, 'too many circuits');
    else this.#tryPath(peer, avoid, 1, 'no relay has direct links towards both ends', now);
  }

  onOpen(from: PeerName, open: Open, now: Millis): void {
    const { id, path, position, index } = open;
    const reason = this.#refusalOf(from, open);
    if (reason !== undefined) {
      this.#context.send(from, { type: 'refused', id, position: position - 1, reason });
      return;
    }
    const alias = this.#context.indexes.allocate(now);
    const end = { id, number: ++this.#lastNumber, peer: path[0]!, path: [...path].reverse(), alias };
    this.#open.set(id, end);
    this.#install(end, index);
    this.#context.send(from, { type: 'opened', id, index: alias });
  }

  onOpened(from: PeerName, id: string, index: number): void {
    const opening = this.#opening.get(id);
    if (opening?.end.path[1] !== from) return;
    this.#opening.delete(id);
    this.#open.set(id, opening.end);
    this.#install(opening.end, index);
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
  }

  nextTimeout(): Millis | undefined {
    let next: Millis | undefined;
    for (const { deadline } of this.#opening.values()) next = earlier(next, deadline);
    return next;
  }

  onTimeout(now: Millis): void {
    for (const opening of [...this.#opening.values()]) {
      if (opening.deadline > now) continue;
      this.#context.send(opening.end.path[1]!, { type: 'close', id: opening.end.id });
      this.#retry(opening, 0, 'timed-out', now);
    }
  }

  #tryPath(peer: PeerName, avoid: readonly Edge[], attempt: number, otherwise: string, now: Millis): void {
    const routes = this.#context.routes();
    const path = routes === undefined ? undefined : circuitRoute(routes, peer, avoid);
    if (path === undefined || attempt > MAX_ATTEMPTS) {
      this.#fail(peer, otherwise);
      return;
    }
    const id = toHex(this.#random.bytes(CIRCUIT_ID_BYTES));
    const alias = this.#context.indexes.allocate(now);
    const end = { id, number: ++this.#lastNumber, peer, path, alias };
    this.#opening.set(id, { end, deadline: now + openTimeout(path.length, 0), avoid, attempt });
    this.#context.send(path[1]!, { type: 'open', id, position: 1, index: alias, path });
  }

  /** The edge after `position` is of no use, or, where that lies outside the path, the first one. */
  #retry(opening: Opening, position: number, reason: Refusal, now: Millis): void {
    const { end, avoid, attempt } = opening;
    this.#opening.delete(end.id);
    this.#context.indexes.release(end.alias, now);
    const at = position + 1 < end.path.length ? position : 0;
    const edge: Edge = [end.path[at]!, end.path[at + 1]!];
    this.#tryPath(end.peer, [...avoid, edge], attempt + 1, `refused by a relay: ${reason}`, now);
  }

  #refusalOf(from: PeerName, open: Open): Refusal | undefined {
    const { id, path, position } = open;
    const self = path[position]!;
    if (self !== this.#context.self || path[position - 1] !== from) return 'malformed';
    if (this.has(id)) return 'duplicate';
    if (this.#countOf(path[0]!) >= MAX_PER_PEER) return 'too-many-circuits';
    const routes = this.#context.routes();
    if (routes === undefined || !isDirectEdge(routes, from, self)) return 'edge-not-direct';
    return this.#context.hasSession(path[0]!) ? undefined : 'no-session';
  }

  #countOf(peer: PeerName): number {
    let count = 0;
    for (const end of this.#open.values()) if (end.peer === peer) count++;
    return count;
  }

  #install(end: End, sendIndex: number): void {
    const { peer, number, path, alias } = end;
    const route = path.slice(1, -1);
    this.#context.toData({ type: 'circuit', peer, circuit: number, route, alias, sendIndex });
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
    this.#context.indexes.release(end.alias, now);
  }
}
