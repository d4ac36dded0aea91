import type { PeerName } from '../../core/peer-name.ts';
import { SECOND, type Millis } from '../../core/time.ts';
import type { EngineChange } from '../engine/port.ts';
import type { ToData } from '../node-messages.ts';

/** A label without traffic for so long is reported. */
const IDLE: Millis = 60 * SECOND;

type Label = Omit<Extract<ToData, { type: 'label' }>, 'type'>;

interface Entry {
  readonly label: Label;
  lastUsed: Millis;
  installed: boolean;
}

/** The relay labels of this node. They follow the direct paths to the two neighbours that they join. */
export class RelayLabels {
  readonly #entries = new Map<number, Entry>();
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
    const entry = { label, lastUsed: now, installed: false };
    this.#entries.set(label.index, entry);
    return [...old, ...this.#install(entry)];
  }

  remove(index: number): EngineChange[] {
    const entry = this.#entries.get(index);
    this.#entries.delete(index);
    return entry?.installed ? [{ type: 'label-removed', index }] : [];
  }

  /** The direct path to `peer` is another one now, or there is none. */
  onDirectPath(peer: PeerName): EngineChange[] {
    const changes: EngineChange[] = [];
    for (const entry of this.#entries.values()) {
      const { previous, next, index } = entry.label;
      if (previous !== peer && next !== peer) continue;
      if (entry.installed) changes.push({ type: 'label-removed', index });
      entry.installed = false;
      changes.push(...this.#install(entry));
    }
    return changes;
  }

  onUsed(index: number, now: Millis): void {
    const entry = this.#entries.get(index);
    if (entry) entry.lastUsed = now;
  }

  nextTimeout(): Millis | undefined {
    let next: Millis | undefined;
    for (const { lastUsed } of this.#entries.values()) {
      if (next === undefined || lastUsed + IDLE < next) next = lastUsed + IDLE;
    }
    return next;
  }

  /** Indexes of labels that went idle; each is named again after a further idle time. */
  onTimeout(now: Millis): number[] {
    const idle = [...this.#entries.values()].filter(({ lastUsed }) => lastUsed + IDLE <= now);
    for (const entry of idle) entry.lastUsed = now;
    return idle.map(({ label }) => label.index).sort((a, b) => a - b);
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
