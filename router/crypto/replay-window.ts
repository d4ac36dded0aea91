/** 2^16 counters are 150 ms of datagrams at 5 Gbit/s. */
export const REPLAY_WINDOW_COUNTERS = 65_536;

const WORD_BITS = 32;

export type ReplayVerdict = 'new' | 'replayed' | 'too-old';

/**
 * A sliding window over the counters of one key: each counter is taken once, and none that lies a window's length
 * behind the highest. After RFC 6479: bits live in a ring of words, and moving on clears whole words only, so that
 * the ring has one word more than the window needs.
 */
export class ReplayWindow {
  readonly #words: Uint32Array;
  readonly #size: number;
  #highest = -1;

  /** `size` in counters, a multiple of 32. */
  constructor(size = REPLAY_WINDOW_COUNTERS) {
    if (size < WORD_BITS || size % WORD_BITS !== 0) throw new RangeError('The window is whole words.');
    this.#size = size;
    this.#words = new Uint32Array(size / WORD_BITS + 1);
  }

  /** The highest counter taken so far; -1 before the first. */
  get highest(): number {
    return this.#highest;
  }

  /**
   * Takes the counter of a datagram whose tag was found valid: an integer from 0 to 2^53 - 1. Only 'new' is let in.
   */
  accept(counter: number): ReplayVerdict {
    if (counter > this.#highest) this.#advance(counter);
    else if (this.#highest - counter >= this.#size) return 'too-old';
    const word = Math.floor(counter / WORD_BITS) % this.#words.length;
    const bit = 1 << (counter % WORD_BITS);
    if ((this.#words[word]! & bit) !== 0) return 'replayed';
    this.#words[word]! |= bit;
    return 'new';
  }

  #advance(counter: number): void {
    const from = Math.floor(this.#highest / WORD_BITS);
    const to = Math.floor(counter / WORD_BITS);
    if (to - from >= this.#words.length) this.#words.fill(0);
    else for (let word = from + 1; word <= to; word++) this.#words[word % this.#words.length] = 0;
    this.#highest = counter;
  }
}
