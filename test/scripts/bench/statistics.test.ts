import test from 'ava';
import { median, percentile, spread } from '../../../scripts/bench/statistics.ts';

test('the median of an even number of values is the mean of the middle two', (t) => {
  t.is(median([9, 1, 3, 5]), 4);
  t.is(median([10, 2, 9]), 9);
  t.true(Number.isNaN(median([])));
});

test('a percentile is the nearest rank, in numeric order', (t) => {
  const values = Array.from({ length: 1_500 }, (_, i) => i + 1).reverse();
  t.is(percentile(values, 50), 750);
  t.is(percentile(values, 99), 1_485);
  t.is(percentile([7], 99), 7);
  t.is(percentile([1, 2, 3], 50), 2);
  t.is(percentile([1, 2], 0), 1);
});

test('a spread holds median, ends and count', (t) => {
  t.deepEqual(spread([3, 10, 2]), { median: 3, min: 2, max: 10, count: 3 });
  t.is(spread([]), undefined);
});
