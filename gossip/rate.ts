import type { Millis } from '../core/time.ts';

/** So many at once, and one more in every interval. */
export interface Rate {
  readonly burst: number;
  readonly interval: Millis;
}

/**
 * A token bucket as one number, the time at which it is full again (the generic cell rate algorithm, ITU-T I.371):
 * whoever keeps many of them forgets those that are full, and nothing is lost.
 */
export function mayTake(rate: Rate, fullAt: Millis, count: number, now: Millis): boolean {
  return Math.max(fullAt, now) + count * rate.interval <= now + rate.burst * rate.interval;
}

/** When the bucket is full again after `count` more are taken, whether it had them or not. */
export function take(rate: Rate, fullAt: Millis, count: number, now: Millis): Millis {
  return Math.max(fullAt, now) + count * rate.interval;
}

/** One such bucket that several share. */
export class RateLimit {
  readonly #rate: Rate;
  #fullAt: Millis = Number.NEGATIVE_INFINITY;

  constructor(rate: Rate) {
    this.#rate = rate;
  }

  mayTake(count: number, now: Millis): boolean {
    return mayTake(this.#rate, this.#fullAt, count, now);
  }

  take(count: number, now: Millis): void {
    this.#fullAt = take(this.#rate, this.#fullAt, count, now);
  }
}
