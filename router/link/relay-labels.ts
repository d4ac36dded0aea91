import type { PeerName } from '../../core/peer-name.ts';
import { SECOND, type Millis } from '../../core/time.ts';
import type { EngineChange } from '../engine/port.ts';
import type { ToData } from '../node-messages.ts';
import { Deadlines } from './deadlines.ts';

/** A label without traffic for so long is reported. */
const IDLE: Millis = 60 * SECOND;

type Label = Omit<Extract<ToData, { type: 'label' }>, 'type'>;

interface Entry {
  readonly label: Label;
  installed: boolean;
}

/** The relay labels of this node. They follow the direct paths to the two neighbours that they join. */
export class RelayLabels {
  readonly #entries = new Map<number, Entry>();
  /** By each of the two peers that they join. */
  readonly #byPeer = new Map<PeerName, Set<Entry>>();
  /** When each was idle for long enough, unless it is used. */
  readonly #idleAt = new Deadlines<number>();
  readonly #directPath: (peer: PeerName) => number | undefined;

  /** `directPath`: the engine's number of the direct path in use to a peer. */
  constructor(directPath: (peer: PeerName) => number | undefined) {
    this.#directPath = directPath;
  }

  get size(): number {
    return this.#entries.size;
  }

  add(label: Label, now: Millis): EngineChange[] {
    const old = this.remove(label.index);
    const entry = { label, installed: false };
    this.#entries.set(label.index, entry);
    this.#idleAt.set(label.index, now + IDLE);
    for (const peer of [label.previous, label.next]) {
      const ofPeer = this.#byPeer.get(peer) ?? new Set();
      this.#byPeer.set(peer, ofPeer.add(entry));
    }
    return [...old, ...this.#install(entry)];
  }

  remove(index: number): EngineChange[] {
    const entry = this.#entries.get(index);
    if (entry === undefined) return [];
    this.#entries.delete(index);
    this.#idleAt.set(index, undefined);
    for (const peer of [entry.label.previous, entry.label.next]) {
      const ofPeer = this.#byPeer.get(peer);
      ofPeer?.delete(entry);
      if (ofPeer?.size === 0) this.#byPeer.delete(peer);
    }
    return entry.installed ? [{ type: 'label-removed', index }] : [];
  }

  /** The direct path to `peer` is another one now, or there is none. */
  onDirectPath(peer: PeerName): EngineChange[] {
    const changes: EngineChange[] = [];
    for (const entry of this.#byPeer.get(peer) ?? []) {
      const { index } = entry.label;
      if (entry.installed) changes.push({ type: 'label-removed', index });
      entry.installed = false;
      changes.push(...this.#install(entry));
    }
    return changes;
  }

  onUsed(index: number, now: Millis): void {
    if (this.#entries.has(index)) this.#idleAt.set(index, now + IDLE);
  }

  nextTimeout(): Millis | undefined {
    return this.#idleAt.earliest();
  }

  /** Indexes of labels that went idle; each is named again after a further idle time. */
  onTimeout(now: Millis): number[] {
    const idle = this.#idleAt.due(now);
    for (const index of idle) this.#idleAt.set(index, now + IDLE);
    return idle.sort((a, b) => a - b);
  }

  #install(entry: Entry): EngineChange[] {
    const { previous, next, index, nextIndex } = entry.label;
    const from = this.#directPath(previous);
    const to = this.#directPath(next);
    if (from === undefined || to === undefined) return [];
    entry.installed = true;
    return [{ type: 'label', index, from, to, nextIndex }];
  }
}
