/**
 * A bounded queue of pairs in which the newest displaces the oldest. Both halves lie in rings of their own, so that no
 * object is made per entry.
 */
export class DropOldest<First, Second> {
  readonly #limit: number;
  readonly #firsts: (First | undefined)[] = [];
  readonly #seconds: (Second | undefined)[] = [];
  #head = 0;
  #length = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get length(): number {
    return this.#length;
  }

  /** True if the oldest had to go. */
  push(first: First, second: Second): boolean {
    const isFull = this.#length === this.#limit;
    if (isFull) this.shift();
    const at = (this.#head + this.#length) % this.#limit;
    this.#firsts[at] = first;
    this.#seconds[at] = second;
    this.#length++;
    return isFull;
  }

  /** The halves of the oldest pair; undefined if there is none. */
  get first(): First | undefined {
    return this.#length === 0 ? undefined : this.#firsts[this.#head];
  }

  get second(): Second | undefined {
    return this.#length === 0 ? undefined : this.#seconds[this.#head];
  }

  /** Removes the oldest pair, if there is one. */
  shift(): void {
    if (this.#length === 0) return;
    this.#firsts[this.#head] = undefined;
    this.#seconds[this.#head] = undefined;
    this.#head = (this.#head + 1) % this.#limit;
    this.#length--;
  }

  clear(): void {
    while (this.#length > 0) this.shift();
  }
}
