import type { Millis } from '../../core/time.ts';

interface Item<T> {
  readonly machine: T;
  at: Millis;
  /** Rises with every machine that is new here. */
  readonly order: number;
  /** Where it is in the heap. */
  index: number;
}

/**
 * The deadlines of many machines, in a binary heap: the earliest costs nothing to ask for, and a change the logarithm of
 * their number.
 */
export class Deadlines<T> {
  readonly #items = new Map<T, Item<T>>();
  /** None is earlier than that at half its index. */
  readonly #heap: Item<T>[] = [];
  #lastOrder = 0;

  /** `at` undefined = the machine wants nothing. */
  set(machine: T, at: Millis | undefined): void {
    const item = this.#items.get(machine);
    if (item === undefined) {
      if (at !== undefined) this.#add(machine, at);
    } else if (at === undefined) {
      this.#remove(item);
    } else if (at !== item.at) {
      item.at = at;
      this.#place(item);
    }
  }

  earliest(): Millis | undefined {
    return this.#heap[0]?.at;
  }

  /** Machines whose deadline is at or before `now`, in the order in which they first had one. */
  due(now: Millis): T[] {
    const due: Item<T>[] = [];
    const look = (index: number): void => {
      const item = this.#heap[index];
      if (item === undefined || item.at > now) return;
      due.push(item);
      look(2 * index + 1);
      look(2 * index + 2);
    };
    look(0);
    return due.sort((a, b) => a.order - b.order).map(({ machine }) => machine);
  }

  #add(machine: T, at: Millis): void {
    const item = { machine, at, order: ++this.#lastOrder, index: this.#heap.length };
    this.#items.set(machine, item);
    this.#heap.push(item);
    this.#place(item);
  }

  #remove(item: Item<T>): void {
    this.#items.delete(item.machine);
    const last = this.#heap.pop()!;
    if (last === item) return;
    last.index = item.index;
    this.#heap[last.index] = last;
    this.#place(last);
  }

  /** Moves the item to where its deadline belongs. */
  #place(item: Item<T>): void {
    for (;;) {
      const above = this.#heap[(item.index - 1) >> 1];
      if (above === undefined || above.at <= item.at) break;
      this.#swap(item, above);
    }
    for (;;) {
      const left = this.#heap[2 * item.index + 1];
      const right = this.#heap[2 * item.index + 2];
      const least = right !== undefined && right.at < left!.at ? right : left;
      if (least === undefined || item.at <= least.at) return;
      this.#swap(item, least);
    }
  }

  #swap(a: Item<T>, b: Item<T>): void {
    [a.index, b.index] = [b.index, a.index];
    this.#heap[a.index] = a;
    this.#heap[b.index] = b;
  }
}
