import { formatEndpoint, type Endpoint } from '../core/address.ts';
import { MINUTE, SECOND, type Millis } from '../core/time.ts';
import { RateLimit } from './rate.ts';
import { sourceOf } from './source.ts';

const KEEP: Millis = 5 * MINUTE;
const MAX_KEPT = 64;
/** So that no stranger alone displaces what is kept of others. */
const MAX_PER_SOURCE = 4;
/** Lines in the log; what exceeds them is in the counts only. */
const LOG_LINES = { burst: 20, interval: 10 * SECOND };

export interface RefusedAttempt {
  readonly peer: string;
  readonly nickname: string;
  readonly address: string;
  readonly error: string;
  readonly at: Millis;
}

interface Row {
  readonly attempt: RefusedAttempt;
  readonly source: string;
  /** Whether it had its line in the log. */
  readonly isLogged: boolean;
}

/** Inbound connections that came to nothing, kept a while for status: the only trace an operator has of them. */
export class RefusedAttempts {
  /** By source and reason, oldest first. Errors hold what strangers choose, and so tell nothing apart. */
  readonly #rows = new Map<string, Row>();
  readonly #log = new RateLimit(LOG_LINES);

  /**
   * Returns whether it is worth a log line: the first of its kind from this source that the log has room for. `reason`:
   * one of few words, which the other end does not choose freely.
   */
  add(remote: Endpoint, reason: string, attempt: Omit<RefusedAttempt, 'address'>): boolean {
    this.#expire(attempt.at);
    const source = sourceOf(remote.ip);
    const wasLogged = this.#makeRoom(source, `${source} ${reason}`);
    const isWorthALine = !wasLogged && this.#log.mayTake(1, attempt.at);
    if (isWorthALine) this.#log.take(1, attempt.at);
    const isLogged = wasLogged || isWorthALine;
    const address = formatEndpoint(remote);
    this.#rows.set(`${source} ${reason}`, { attempt: { ...attempt, address }, source, isLogged });
    return isWorthALine;
  }

  list(now: Millis): RefusedAttempt[] {
    this.#expire(now);
    return [...this.#rows.values()].map(({ attempt }) => attempt);
  }

  /**
   * Deletes the row with this key or, where there is none and its source has enough, the oldest of that. Returns whether
   * it was logged: who changes its reasons gets no further line for them.
   */
  #makeRoom(source: string, key: string): boolean {
    const own = [...this.#rows].filter(([, row]) => row.source === source);
    const [oldKey, row] =
      own.find(([ofOwn]) => ofOwn === key) ?? (own.length < MAX_PER_SOURCE ? [] : own[0]!);
    if (oldKey !== undefined) this.#rows.delete(oldKey);
    else if (this.#rows.size >= MAX_KEPT) this.#rows.delete(this.#rows.keys().next().value!);
    return row?.isLogged ?? false;
  }

  /** The oldest come first. */
  #expire(now: Millis): void {
    for (const [key, { attempt }] of this.#rows) {
      if (now - attempt.at < KEEP) return;
      this.#rows.delete(key);
    }
  }
}
