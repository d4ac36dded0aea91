import test from 'ava';
import { SeededRandom, randomBelow } from '../../../core/random.ts';
import { REPLAY_WINDOW_COUNTERS, ReplayWindow } from '../../../router/crypto/replay-window.ts';
import type { ReplayVerdict } from '../../../router/crypto/replay-window.ts';

/** The obvious one: remembers everything. */
class Oracle {
  readonly #seen = new Set<number>();
  #highest = -1;
  readonly #size: number;

  constructor(size: number) {
    this.#size = size;
  }

  accept(counter: number): ReplayVerdict {
    if (this.#highest - counter >= this.#size) return 'too-old';
    if (this.#seen.has(counter)) return 'replayed';
    this.#seen.add(counter);
    this.#highest = Math.max(this.#highest, counter);
    return 'new';
  }
}

test('any order of counters is judged as by a window that remembers everything', (t) => {
  for (let seed = 0; seed < 60; seed++) {
    const random = new SeededRandom(seed);
    const size = 32 * (1 + randomBelow(random, 4));
    const [window, oracle] = [new ReplayWindow(size), new Oracle(size)];
    let base = 0;
    for (let i = 0; i < 500; i++) {
      if (randomBelow(random, 50) === 0) base += randomBelow(random, 6 * size);
      const counter = Math.max(0, (base += randomBelow(random, 4)) - randomBelow(random, 2 * size));
      t.is(window.accept(counter), oracle.accept(counter), `seed ${seed}, counter ${counter}`);
    }
  }
});

test('the oldest counter of the window is taken once, the one before it never', (t) => {
  const window = new ReplayWindow();
  const highest = 5 * REPLAY_WINDOW_COUNTERS + 7;
  t.is(window.highest, -1);
  t.is(window.accept(highest), 'new');
  t.is(window.highest, highest);
  t.is(window.accept(highest), 'replayed');
  t.is(window.accept(highest - REPLAY_WINDOW_COUNTERS + 1), 'new');
  t.is(window.accept(highest - REPLAY_WINDOW_COUNTERS + 1), 'replayed');
  t.is(window.accept(highest - REPLAY_WINDOW_COUNTERS), 'too-old');
  t.is(window.accept(0), 'too-old');
});

test('counters near the end of exact numbers are told apart', (t) => {
  const window = new ReplayWindow(32);
  const last = Number.MAX_SAFE_INTEGER;
  t.is(window.accept(last - 1), 'new');
  t.is(window.accept(last), 'new');
  t.is(window.accept(last - 1), 'replayed');
  t.is(window.accept(last), 'replayed');
});

test('a window is whole words', (t) => {
  t.throws(() => new ReplayWindow(0), { instanceOf: RangeError });
  t.throws(() => new ReplayWindow(33), { instanceOf: RangeError });
});
