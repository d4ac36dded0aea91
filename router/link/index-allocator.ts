import type { RandomSource } from '../../core/random.ts';
import { randomU32 } from '../../core/random.ts';
import { SECOND } from '../../core/time.ts';
import type { Millis } from '../../core/time.ts';
import { baseIndex } from '../wire/lanes.ts';

/** How long a released index stays unused, so that a late datagram never meets its new meaning. */
export const QUARANTINE: Millis = 60 * SECOND;
/** Released indexes remembered at once; beyond it the oldest is forgotten early. */
const MAX_QUARANTINED = 65_536;

/**
 * Receiver indexes of the wire: one allocator per node for sessions, aliases and relay labels, so that a datagram's
 * index means one thing. Random, so that nobody off the path can guess one. Never 0; the bits that say the lane are zero.
 */
export class IndexAllocator {
  readonly #random: RandomSource;
  readonly #used = new Set<number>();
  /** Index -> when it may be used again; in order of release. */
  readonly #quarantined = new Map<number, Millis>();

  constructor(random: RandomSource) {
    this.#random = random;
  }

  get used(): number {
    return this.#used.size;
  }

  /** A u32, lane 0 of as many as there can be, that is neither in use nor was in the last {@link QUARANTINE}. */
  allocate(now: Millis): number {
    this.#forgetOld(now);
    for (;;) {
      const index = baseIndex(randomU32(this.#random));
      if (index === 0 || this.#used.has(index) || this.#quarantined.has(index)) continue;
      this.#used.add(index);
      return index;
    }
  }

  /** Idempotent: an index that is not in use is left alone. */
  release(index: number, now: Millis): void {
    if (!this.#used.delete(index)) return;
    this.#forgetOld(now);
    if (this.#quarantined.size >= MAX_QUARANTINED) this.#forgetOldest();
    this.#quarantined.set(index, now + QUARANTINE);
  }

  #forgetOld(now: Millis): void {
    for (const [index, until] of this.#quarantined) {
      if (until > now) return;
      this.#quarantined.delete(index);
    }
  }

  #forgetOldest(): void {
    for (const index of this.#quarantined.keys()) {
      this.#quarantined.delete(index);
      return;
    }
  }
}
