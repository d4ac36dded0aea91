import { concatBytes, toHex, utf8 } from '../core/bytes.ts';
import { SECOND, type Millis } from '../core/time.ts';
import { sha512 } from '../core/sha512.ts';

const REMEMBER: Millis = 30 * SECOND;
const MAX_REMEMBERED = 1_024;

/**
 * Tells repeated deltas of channels that this node does not run from new ones: it cannot merge them, and must not pass
 * the same one round in circles.
 */
export class RecentlySeen {
  /** Hash to time, oldest first. */
  readonly #seen = new Map<string, Millis>();

  /** Whether this delta was not seen lately; it is now. */
  isNew(channel: string, delta: Uint8Array, now: Millis): boolean {
    const key = toHex(sha512(concatBytes(utf8(`${channel}\0`), delta)).subarray(0, 8));
    const seenAt = this.#seen.get(key);
    this.#seen.delete(key);
    this.#seen.set(key, now);
    if (this.#seen.size > MAX_REMEMBERED) this.#seen.delete(this.#seen.keys().next().value!);
    return seenAt === undefined || now - seenAt >= REMEMBER;
  }
}
