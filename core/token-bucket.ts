import { SECOND, type Millis } from './time.ts';

/** Lets `burst` events pass at once and `rate` per second in the long run. */
export class TokenBucket {
  readonly #rate: number;
  readonly #burst: number;
  #tokens: number;
  #filledAt: Millis | undefined;

  constructor(rate: number, burst: number) {
    this.#rate = rate;
    this.#burst = burst;
    this.#tokens = burst;
  }

  /** True if the event may pass and leaves so many for others. */
  take(now: Millis, reserve = 0): boolean {
    const elapsed = Math.max(0, now - (this.#filledAt ?? now));
    this.#tokens = Math.min(this.#burst, this.#tokens + (elapsed * this.#rate) / SECOND);
    this.#filledAt = now;
    if (this.#tokens < 1 + reserve) return false;
    this.#tokens--;
    return true;
  }
}
