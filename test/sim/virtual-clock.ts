import type { Millis } from '../../core/time.ts';

interface Event {
  readonly at: Millis;
  readonly order: number;
  readonly fire: () => void;
}

/** Virtual time: a binary heap of events, fired in order of time, then of scheduling. */
export class VirtualClock {
  now: Millis = 0;
  #order = 0;
  readonly #heap: Event[] = [];

  at(time: Millis, fire: () => void): void {
    this.#push({ at: Math.max(time, this.now), order: this.#order++, fire });
  }

  after(delay: Millis, fire: () => void): void {
    this.at(this.now + delay, fire);
  }

  /** Fires everything due up to `time` and leaves the clock there. */
  runUntil(time: Millis): void {
    while (this.#heap.length > 0 && this.#heap[0]!.at <= time) {
      const event = this.#pop();
      this.now = event.at;
      event.fire();
    }
    this.now = time;
  }

  runFor(duration: Millis): void {
    this.runUntil(this.now + duration);
  }

  /** Runs in steps of `step` until `condition` holds; returns the ms it took, or undefined after `limit`. */
  runWhileNot(condition: () => boolean, limit: Millis, step: Millis = 100): Millis | undefined {
    const began = this.now;
    while (!condition()) {
      if (this.now - began >= limit) return undefined;
      this.runFor(step);
    }
    return this.now - began;
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let i = heap.length;
    heap.push(event);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!before(event, heap[parent]!)) break;
      heap[i] = heap[parent]!;
      i = parent;
    }
    heap[i] = event;
  }

  #pop(): Event {
    const heap = this.#heap;
    const top = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return top;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
      if (!before(heap[child]!, last)) break;
      heap[i] = heap[child]!;
      i = child;
    }
    heap[i] = last;
    return top;
  }
}

function before(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
