import { SECOND, type Millis } from '../core/time.ts';
import { mayTake, take, type Rate } from './rate.ts';

const GUESSES: Rate = { burst: 10, interval: 30 * SECOND };
/** Below this, sources that have all their guesses again are not looked for. */
const SWEEP_ABOVE = 1_024;

/**
 * How many guesses at a password each source, as its caller tells them apart, has made: ten, then one per 30 s. Nothing is ever evicted, so that no
 * flood makes us forget a guess; a source is forgotten when it would have all its guesses again. What all sources
 * together may guess per second bounds the book: at 300, fewer than 30,000 sources have a guess that is remembered.
 */
export class GuessBook {
  /** When each source will have all its guesses again. */
  readonly #fullAt = new Map<string, Millis>();
  #sweepAt = SWEEP_ABOVE;

  get size(): number {
    return this.#fullAt.size;
  }

  mayGuess(source: string, count: number, now: Millis): boolean {
    return mayTake(GUESSES, this.#fullAt.get(source) ?? now, count, now);
  }

  /** Whether guesses of the source are remembered. */
  isSuspect(source: string, now: Millis): boolean {
    return (this.#fullAt.get(source) ?? now) > now;
  }

  /** Counts guesses, whether the source had them or not. */
  add(source: string, count: number, now: Millis): void {
    this.#fullAt.set(source, take(GUESSES, this.#fullAt.get(source) ?? now, count, now));
    if (this.#fullAt.size >= this.#sweepAt) this.#sweep(now);
  }

  /** The source knows a password. */
  clear(source: string): void {
    this.#fullAt.delete(source);
  }

  /** Forgets everything. */
  reset(): void {
    this.#fullAt.clear();
    this.#sweepAt = SWEEP_ABOVE;
  }

  /** As rare as the book is large, so that its cost per guess is constant. */
  #sweep(now: Millis): void {
    for (const [source, fullAt] of this.#fullAt) if (fullAt <= now) this.#fullAt.delete(source);
    this.#sweepAt = Math.max(SWEEP_ABOVE, 2 * this.#fullAt.size);
  }
}
