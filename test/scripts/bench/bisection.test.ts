import test from 'ava';
import { nextRate, type Step } from '../../../scripts/bench/bisection.ts';

/** The best lossless rate found in `count` steps for a tunnel that loses nothing up to `limit`. */
function found(limit: number, receivedAtFlood: number, count: number): number {
  const steps: Step[] = [];
  for (let i = 0; i < count; i++) {
    const rate = nextRate(receivedAtFlood, steps);
    steps.push({ rate, lossless: rate <= limit });
  }
  return Math.max(0, ...steps.filter(({ lossless }) => lossless).map(({ rate }) => rate));
}

test('five steps come within 10 % of a lossless rate that is near what a flood left, and within 22 % from a third to twice of that', (t) => {
  for (let limit = 30_000; limit <= 200_000; limit += 1_000) {
    const rate = found(limit, 100_000, 5);
    t.true(rate <= limit && rate > 0.78 * limit, `limit ${limit}: ${rate}`);
  }
  for (let limit = 60_000; limit <= 120_000; limit += 1_000) {
    t.true(found(limit, 100_000, 5) > 0.9 * limit, `limit ${limit}`);
  }
});

test('a tunnel that delivers nothing whole has no lossless rate', (t) => {
  t.is(found(0, 100_000, 5), 0);
});

test('the rate stays between what was lossless and what was not', (t) => {
  const rate = nextRate(100, [
    { rate: 80, lossless: false },
    { rate: 48, lossless: true },
  ]);
  t.true(rate > 48 && rate < 80);
});
