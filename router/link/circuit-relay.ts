import type { PeerName } from '../../core/peer-name.ts';
import { SECOND } from '../../core/time.ts';
import type { Millis } from '../../core/time.ts';
import { openTimeout } from './circuit-context.ts';
import type { CircuitContext } from './circuit-context.ts';
import type { CircuitMessage, Refusal } from './circuit-message.ts';
import { isDirectEdge } from './circuit-route.ts';
import { Deadlines } from './deadlines.ts';
import { Tally } from './tally.ts';

/** What one node relays at most, and what one neighbour may ask of it. */
const MAX_RELAYED = 4_096;
const MAX_RELAYED_PER_NEIGHBOUR = 512;
/** The data plane reports a label as often as it was idle for so long. */
const LABEL_IDLE: Millis = 60 * SECOND;

type Open = Extract<CircuitMessage, { type: 'open' }>;

/**
 * One circuit that passes through. Datagrams with `backLabel` come from `next` and go to `previous` as `backIndex`;
 * those with `forthLabel` go the other way.
 */
interface Relayed {
  readonly id: string;
  readonly previous: PeerName;
  readonly next: PeerName;
  readonly position: number;
  readonly backLabel: number;
  forthLabel: number | undefined;
  /** When each label was last reported as idle. */
  readonly idle: Map<number, Millis>;
}

/** The circuits of others that lead through this node: two labels each, installed in the data plane. */
export class CircuitRelays {
  readonly #context: CircuitContext;
  readonly #byId = new Map<string, Relayed>();
  readonly #byLabel = new Map<number, Relayed>();
  /** Those that wait for `opened`, and until when. */
  readonly #opening = new Deadlines<Relayed>();
  /** How many each neighbour asked for. */
  readonly #askedBy = new Tally<PeerName>();

  constructor(context: CircuitContext) {
    this.#context = context;
  }

  get size(): number {
    return this.#byId.size;
  }

  has(id: string): boolean {
    return this.#byId.has(id);
  }

  onOpen(from: PeerName, open: Open, now: Millis): void {
    const next = open.path[open.position + 1]!;
    const refused = this.#refusalOf(from, next, open);
    if (refused !== undefined) {
      this.#context.send(from, { type: 'refused', id: open.id, ...refused });
      return;
    }
    const backLabel = this.#context.indexes.allocate(now);
    const { id, session, path, position } = open;
    const forthLabel = undefined;
    const idle = new Map<number, Millis>();
    const relayed: Relayed = { id, previous: from, next, position, backLabel, forthLabel, idle };
    this.#byId.set(id, relayed);
    this.#askedBy.add(from);
    this.#opening.set(relayed, now + openTimeout(path.length, position));
    this.#install(relayed, backLabel, next, from, open.index);
    this.#context.send(next, { type: 'open', id, session, position: position + 1, index: backLabel, path });
  }

  onOpened(from: PeerName, id: string, index: number, now: Millis): void {
    const relayed = this.#byId.get(id);
    if (relayed?.next !== from || relayed.forthLabel !== undefined) return;
    relayed.forthLabel = this.#context.indexes.allocate(now);
    this.#opening.set(relayed, undefined);
    this.#install(relayed, relayed.forthLabel, relayed.previous, from, index);
    this.#context.send(relayed.previous, { type: 'opened', id, index: relayed.forthLabel });
  }

  onRefused(from: PeerName, refused: Extract<CircuitMessage, { type: 'refused' }>, now: Millis): void {
    const relayed = this.#byId.get(refused.id);
    if (relayed?.next !== from || relayed.forthLabel !== undefined) return;
    const position = Math.max(refused.position, relayed.position);
    this.#context.send(relayed.previous, { ...refused, position });
    this.#remove(relayed, now);
  }

  onClose(from: PeerName, id: string, now: Millis): void {
    const relayed = this.#byId.get(id);
    if (relayed === undefined || (from !== relayed.previous && from !== relayed.next)) return;
    this.#context.send(from === relayed.next ? relayed.previous : relayed.next, { type: 'close', id });
    this.#remove(relayed, now);
  }

  /** The label carried nothing for {@link LABEL_IDLE}. A circuit ends when that holds for both of its labels. */
  onLabelIdle(index: number, now: Millis): void {
    const relayed = this.#byLabel.get(index);
    if (relayed === undefined) return;
    relayed.idle.set(index, now);
    const recent = [...relayed.idle.values()].filter((at) => now - at <= LABEL_IDLE);
    if (recent.length === 2) this.#close(relayed, now);
  }

  /** The session with a neighbour has ended, and with it all that leads over it. */
  onSessionEnded(peer: PeerName, now: Millis): void {
    for (const relayed of [...this.#byId.values()]) {
      if (relayed.previous === peer || relayed.next === peer) this.#close(relayed, now);
    }
  }

  nextTimeout(): Millis | undefined {
    return this.#opening.earliest();
  }

  onTimeout(now: Millis): void {
    for (const relayed of this.#opening.due(now)) {
      const { id, position, previous, next } = relayed;
      this.#context.send(previous, { type: 'refused', id, position, reason: 'timed-out' });
      this.#context.send(next, { type: 'close', id });
      this.#remove(relayed, now);
    }
  }

  /** The edge to be avoided and why, or undefined if the circuit may pass. */
  #refusalOf(from: PeerName, next: PeerName, open: Open): { position: number; reason: Refusal } | undefined {
    const { path, position } = open;
    const into = (reason: Refusal) => ({ position: position - 1, reason });
    if (path[position] !== this.#context.self || path[position - 1] !== from) return into('malformed');
    if (this.#byId.has(open.id)) return into('duplicate');
    if (this.#byId.size >= MAX_RELAYED || this.#askedBy.of(from) >= MAX_RELAYED_PER_NEIGHBOUR) {
      return into('too-many-circuits');
    }
    const routes = this.#context.routes();
    if (routes === undefined || !isDirectEdge(routes, from, path[position])) return into('edge-not-direct');
    return isDirectEdge(routes, path[position], next) ? undefined : { position, reason: 'edge-not-direct' };
  }

  #install(relayed: Relayed, index: number, previous: PeerName, next: PeerName, nextIndex: number): void {
    this.#byLabel.set(index, relayed);
    this.#context.toData({ type: 'label', index, previous, next, nextIndex });
  }

  #close(relayed: Relayed, now: Millis): void {
    this.#context.send(relayed.previous, { type: 'close', id: relayed.id });
    this.#context.send(relayed.next, { type: 'close', id: relayed.id });
    this.#remove(relayed, now);
  }

  #remove(relayed: Relayed, now: Millis): void {
    this.#byId.delete(relayed.id);
    this.#askedBy.remove(relayed.previous);
    this.#opening.set(relayed, undefined);
    for (const index of [relayed.backLabel, relayed.forthLabel]) {
      if (index === undefined) continue;
      this.#byLabel.delete(index);
      this.#context.toData({ type: 'label-removed', index });
      this.#context.indexes.release(index, now);
    }
  }
}
