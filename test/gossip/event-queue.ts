interface Scheduled {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

/** Runs what is scheduled in order of time, then of scheduling: the clock of a simulation. */
export class EventQueue {
  readonly #heap: Scheduled[] = [];
  #order = 0;
  now = 0;

  schedule(at: number, run: () => void): void {
    const heap = this.#heap;
    heap.push({ at: Math.max(at, this.now), order: this.#order++, run });
    for (let i = heap.length - 1; i > 0;) {
      const parent = (i - 1) >> 1;
      if (!isBefore(heap[i]!, heap[parent]!)) break;
      [heap[i], heap[parent]] = [heap[parent]!, heap[i]!];
      i = parent;
    }
  }

  /** Runs everything up to and including time `until`. */
  runUntil(until: number): void {
    while (this.#heap.length > 0 && this.#heap[0]!.at <= until) {
      const next = this.#pop();
      this.now = next.at;
      next.run();
    }
    this.now = until;
  }

  #pop(): Scheduled {
    const heap = this.#heap;
    const first = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return first;
    heap[0] = last;
    for (let i = 0; ;) {
      const child = this.#lesserChild(i);
      if (child === undefined || !isBefore(heap[child]!, heap[i]!)) return first;
      [heap[i], heap[child]] = [heap[child]!, heap[i]!];
      i = child;
    }
  }

  #lesserChild(i: number): number | undefined {
    const left = 2 * i + 1;
    if (left >= this.#heap.length) return undefined;
    const right = left + 1;
    return right < this.#heap.length && isBefore(this.#heap[right]!, this.#heap[left]!) ? right : left;
  }
}

function isBefore(a: Scheduled, b: Scheduled): boolean {
  return a.at !== b.at ? a.at < b.at : a.order < b.order;
}
