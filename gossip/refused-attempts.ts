import { formatEndpoint, type Endpoint } from '../core/address.ts';
import { MINUTE, SECOND, type Millis } from '../core/time.ts';
import { RateLimit } from './rate.ts';
import { sourceOf } from './source.ts';

const KEEP: Millis = 5 * MINUTE;
const MAX_KEPT = 64;
/** Lines in the log; what exceeds them is in the counts only. */
const LOG_LINES = { burst: 20, interval: 10 * SECOND };

export interface RefusedAttempt {
  readonly peer: string;
  readonly nickname: string;
  readonly address: string;
  readonly error: string;
  readonly at: Millis;
}

/** Inbound connections that came to nothing, kept a while for status: the only trace an operator has of them. */
export class RefusedAttempts {
  /** By source and error without the address, oldest first. */
  readonly #attempts = new Map<string, RefusedAttempt>();
  readonly #log = new RateLimit(LOG_LINES);

  /** Returns whether it is worth a log line: the first of its kind from this source, and not one of very many. */
  add(remote: Endpoint, attempt: Omit<RefusedAttempt, 'address'>): boolean {
    this.#expire(attempt.at);
    const address = formatEndpoint(remote);
    const key = `${sourceOf(remote.ip)} ${attempt.error.replaceAll(address, '')}`;
    const isNew = !this.#attempts.delete(key);
    this.#attempts.set(key, { ...attempt, address });
    if (this.#attempts.size > MAX_KEPT) this.#attempts.delete(this.#attempts.keys().next().value!);
    if (!isNew || !this.#log.mayTake(1, attempt.at)) return false;
    this.#log.take(1, attempt.at);
    return true;
  }

  list(now: Millis): RefusedAttempt[] {
    this.#expire(now);
    return [...this.#attempts.values()];
  }

  /** The oldest come first. */
  #expire(now: Millis): void {
    for (const [key, { at }] of this.#attempts) {
      if (now - at < KEEP) return;
      this.#attempts.delete(key);
    }
  }
}
