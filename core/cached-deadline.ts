import type { Millis } from './time.ts';

/**
 * A deadline that takes a search to find: it is searched for again only after something changed. The owner says so by
 * {@link invalidate}, wherever it changes what the search looks at.
 */
export class CachedDeadline {
  readonly #find: () => Millis | undefined;
  #at: Millis | undefined;
  #stale = true;

  constructor(find: () => Millis | undefined) {
    this.#find = find;
  }

  get at(): Millis | undefined {
    if (this.#stale) this.#at = this.#find();
    this.#stale = false;
    return this.#at;
  }

  isDue(now: Millis): boolean {
    const { at } = this;
    return at !== undefined && at <= now;
  }

  invalidate(): void {
    this.#stale = true;
  }
}
