import { formatEndpoint, type Endpoint } from '../core/address.ts';
import { MINUTE, type Millis } from '../core/time.ts';

const KEEP: Millis = 5 * MINUTE;
const MAX_KEPT = 64;

export interface RefusedAttempt {
  readonly peer: string;
  readonly nickname: string;
  readonly address: string;
  readonly error: string;
  readonly at: Millis;
}

/** Inbound connections that came to nothing, kept a while for status: the only trace an operator has of them. */
export class RefusedAttempts {
  /** By source address and error without the port, oldest first. */
  readonly #attempts = new Map<string, RefusedAttempt>();

  /** Returns whether it is the first of its kind from this address, worth a log line. */
  add(remote: Endpoint, attempt: Omit<RefusedAttempt, 'address'>): boolean {
    this.#expire(attempt.at);
    const address = formatEndpoint(remote);
    const key = `${attempt.error.replaceAll(address, '')} ${formatEndpoint({ ...remote, port: 1 })}`;
    const isNew = !this.#attempts.delete(key);
    this.#attempts.set(key, { ...attempt, address });
    if (this.#attempts.size > MAX_KEPT) this.#attempts.delete(this.#attempts.keys().next().value!);
    return isNew;
  }

  list(now: Millis): RefusedAttempt[] {
    this.#expire(now);
    return [...this.#attempts.values()];
  }

  #expire(now: Millis): void {
    for (const [key, { at }] of this.#attempts) if (now - at >= KEEP) this.#attempts.delete(key);
  }
}
