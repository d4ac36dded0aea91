import type { PeerName } from '../core/peer-name.ts';
import type { Millis } from '../core/time.ts';
import { SECOND } from '../core/time.ts';
import type { HintEntry } from './entries.ts';

/** A hint is refreshed at most this often, and only when it is off by a factor. */
const HINT_INTERVAL: Millis = 10 * SECOND;
const FACTOR = 2;

/** Tells the others roughly how much this peer could donate, without a message for every allocation. */
export class FreeHint {
  readonly #name: PeerName;
  #published: HintEntry | undefined;
  #version = 1;
  #notBefore: Millis;
  #stale = true;

  constructor(name: PeerName, now: Millis) {
    this.#name = name;
    this.#notBefore = now;
  }

  /** Something changed that may have changed the number of free addresses. */
  note(): void {
    this.#stale = true;
  }

  /** A hint of this name from before the last start is still around: the next one has to overtake it. */
  onOwnHint(version: number): void {
    if (version < this.#version) return;
    this.#version = version + 1;
    this.#published = undefined;
    this.#stale = true;
  }

  /** The hint to publish now, if any. `count` is asked for only when it may matter. */
  step(count: () => number, now: Millis): HintEntry | undefined {
    if (!this.#stale || now < this.#notBefore) return undefined;
    this.#stale = false;
    this.#notBefore = now + HINT_INTERVAL;
    const free = count();
    if (this.#published !== undefined && !isOff(this.#published.free, free)) return undefined;
    this.#published = { type: 'hint', name: this.#name, version: this.#version++, free };
    return this.#published;
  }

  nextTimeout(): Millis | undefined {
    return this.#stale ? this.#notBefore : undefined;
  }
}

/** Off by a factor, or wrong about there being any. */
function isOff(told: number, actual: number): boolean {
  if (told === 0 || actual === 0) return told !== actual;
  return Math.max(told, actual) >= FACTOR * Math.min(told, actual);
}
