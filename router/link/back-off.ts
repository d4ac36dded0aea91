import { SECOND, type Millis } from '../../core/time.ts';

const FIRST: Millis = 2 * SECOND;
const LONGEST: Millis = 30 * SECOND;

/** The wait before ask number `asked` + 1 when all before it went unanswered: 2, 4, 8, 16, 30, 30 ... s. */
export function backOffAfter(asked: number): Millis {
  return Math.min(FIRST * 2 ** (asked - 1), LONGEST);
}

/** Repeats a wish, ever more slowly, for as long as it is unfulfilled. */
export class BackOff {
  #asked = 0;
  #next: Millis | undefined;

  /** True if it is time to ask; counts the ask. */
  ask(now: Millis): boolean {
    if (this.#next !== undefined && now < this.#next) return false;
    this.#asked++;
    this.#next = now + backOffAfter(this.#asked);
    return true;
  }

  /** When {@link ask} would say yes; undefined = at once. */
  nextAsk(): Millis | undefined {
    return this.#next;
  }

  /** The wish was fulfilled: the next one is told at once. */
  reset(): void {
    this.#asked = 0;
    this.#next = undefined;
  }
}
