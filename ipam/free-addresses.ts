import type { Millis } from '../core/time.ts';
import type { Allocations } from './allocations.ts';
import { lowestFree } from './free-space.ts';
import type { Span } from './range.ts';
import { spansHave, spanSize, usableOf } from './range.ts';

/** How far the search for free addresses of one subnet has come. */
interface Search {
  /** No address of the subnet below this one is free and rested. */
  from: number;
  /** None is free, not even one that rests. */
  isFull: boolean;
}

/** Subnets whose search is remembered; more of them begin anew. */
const MAX_SEARCHES = 256;

/**
 * Which of the addresses that this peer may hand out are free. It remembers how far it has looked, so that filling a
 * subnet looks at each address once, and counts as it goes.
 */
export class FreeAddresses {
  readonly #allocations: Allocations;
  readonly #searches = new Map<string, Search>();
  #usable: readonly Span[] = [];
  /** Undefined after a change of what may be handed out. */
  #count: number | undefined;

  constructor(allocations: Allocations) {
    this.#allocations = allocations;
  }

  /** What may be handed out, free or not; sorted and disjoint. */
  get usable(): readonly Span[] {
    return this.#usable;
  }

  /** How many are free, whether they rest or not. */
  get count(): number {
    this.#count ??= spanSize(this.#usable) - this.#allocations.countIn(this.#usable);
    return this.#count;
  }

  /** Sets what may be handed out; sorted and disjoint. */
  use(usable: readonly Span[]): void {
    this.#usable = usable;
    this.#count = undefined;
    this.#searches.clear();
  }

  /** The lowest free address that `subnet` may hand out; one that rests only if no other is left. */
  lowest(subnet: Span, now: Millis): number | undefined {
    this.#endRests(now);
    const search = this.#searchOf(subnet);
    const isTaken = (offset: number): boolean =>
      this.#allocations.holderOf(offset) !== undefined || this.#allocations.isResting(offset, now);
    const free = lowestFree(this.#usable, subnet, isTaken, search.from);
    search.from = free ?? subnet.end;
    if (free !== undefined || search.isFull) return free;
    const resting = this.#lowestResting(subnet);
    search.isFull = resting === undefined;
    return resting;
  }

  /** `offset` was free and is handed out now. */
  onTaken(offset: number): void {
    if (this.#count !== undefined && spansHave(this.#usable, offset)) this.#count--;
  }

  /** `offset` is handed out no longer: it rests. */
  onReleased(offset: number): void {
    if (this.#count !== undefined && spansHave(this.#usable, offset)) this.#count++;
    for (const search of this.#searches.values()) search.isFull = false;
  }

  #endRests(now: Millis): void {
    for (const offset of this.#allocations.endRests(now)) {
      for (const search of this.#searches.values()) search.from = Math.min(search.from, offset);
    }
  }

  #searchOf(subnet: Span): Search {
    const key = `${subnet.start}-${subnet.end}`;
    const known = this.#searches.get(key);
    if (known !== undefined) return known;
    if (this.#searches.size >= MAX_SEARCHES) this.#searches.clear();
    const search = { from: subnet.start, isFull: false };
    this.#searches.set(key, search);
    return search;
  }

  /** Where nothing else is free, all that is not handed out rests. */
  #lowestResting(subnet: Span): number | undefined {
    const { start, end } = usableOf(subnet);
    let lowest: number | undefined;
    for (const offset of this.#allocations.resting()) {
      if (offset < start || offset >= end || !spansHave(this.#usable, offset)) continue;
      if (lowest === undefined || offset < lowest) lowest = offset;
    }
    return lowest;
  }
}
