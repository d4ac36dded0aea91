/** Counts by reason: how expected problems are reported, so that hostile input costs a number, not a log line. */
export class Counters<Reason extends string> {
  readonly #counts = new Map<Reason, number>();

  add(reason: Reason, by = 1): void {
    this.#counts.set(reason, (this.#counts.get(reason) ?? 0) + by);
  }

  get(reason: Reason): number {
    return this.#counts.get(reason) ?? 0;
  }

  /** Nothing has been counted. */
  get empty(): boolean {
    return this.#counts.size === 0;
  }

  /** Counts from zero again. */
  clear(): void {
    this.#counts.clear();
  }

  /** In order of reason. */
  toObject(): Record<string, number> {
    return Object.fromEntries([...this.#counts].sort(([a], [b]) => (a < b ? -1 : 1)));
  }
}
