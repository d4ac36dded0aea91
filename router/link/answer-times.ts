import { SECOND, type Millis } from '../../core/time.ts';

/** No offer is given up sooner. */
const LEAST: Millis = 2 * SECOND;
/** Nor waited for longer the first time; that long, too, while nothing has been measured yet. */
const MOST: Millis = 8 * SECOND;

/**
 * How long the mesh takes to answer, and so how long an offer is waited for, as TCP does it (RFC 6298). Where many nodes
 * start at once a busy peer answers after seconds; to offer afresh meanwhile costs both ends another handshake.
 */
export class AnswerTimes {
  #smoothed: Millis | undefined;
  #deviation: Millis = 0;

  /** An offer was answered, or the session that an answer made came alive. */
  onAnswered(took: Millis): void {
    const before = this.#smoothed ?? took;
    this.#deviation =
      this.#smoothed === undefined ? took / 2 : 0.75 * this.#deviation + Math.abs(took - before) / 4;
    this.#smoothed = before + (took - before) / 8;
  }

  /** What an offer is given before it is made afresh. */
  patience(): Millis {
    if (this.#smoothed === undefined) return MOST;
    return Math.min(MOST, Math.max(LEAST, this.#smoothed + 4 * this.#deviation));
  }
}
