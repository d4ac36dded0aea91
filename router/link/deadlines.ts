import type { Millis } from '../../core/time.ts';

/** The deadlines of many machines: cheap to ask for the earliest as long as none of them changes. */
export class Deadlines<T> {
  readonly #at = new Map<T, Millis>();
  #earliest: Millis | undefined;
  #stale = false;

  /** `at` undefined = the machine wants nothing. */
  set(machine: T, at: Millis | undefined): void {
    const before = this.#at.get(machine);
    if (before === at) return;
    if (at === undefined) this.#at.delete(machine);
    else this.#at.set(machine, at);
    if (before !== undefined && before === this.#earliest) this.#stale = true;
    else if (at !== undefined && (this.#earliest === undefined || at < this.#earliest)) this.#earliest = at;
  }

  earliest(): Millis | undefined {
    if (this.#stale) {
      this.#stale = false;
      this.#earliest = undefined;
      for (const at of this.#at.values()) {
        if (this.#earliest === undefined || at < this.#earliest) this.#earliest = at;
      }
    }
    return this.#earliest;
  }

  /** Machines whose deadline is at or before `now`, in the order in which they first had one. */
  due(now: Millis): T[] {
    const earliest = this.earliest();
    if (earliest === undefined || earliest > now) return [];
    return [...this.#at].filter(([, at]) => at <= now).map(([machine]) => machine);
  }
}
