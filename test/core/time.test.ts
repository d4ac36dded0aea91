import test from 'ava';
import { nextBeat } from '../../core/time.ts';

test('the next beat is after the time it is asked for, within an interval, and the same for all of an interval', (t) => {
  for (const [from, beat] of [
    [0, 10_000],
    [0.25, 10_000],
    [9_999.75, 10_000],
    [10_000, 20_000],
    [10_000.25, 20_000],
    [123_456, 130_000],
  ] as const) {
    t.is(nextBeat(from, 10_000), beat, String(from));
  }
});
