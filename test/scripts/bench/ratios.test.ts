import test from 'ava';
import { assess, describeGoal, GOALS, type Goal } from '../../../scripts/bench/ratios.ts';
import type { Figures } from '../../../scripts/bench/metrics.ts';
import type { Turn } from '../../../scripts/bench/results.ts';

function turn(contender: string, round: number, pod: Figures): Turn {
  return { contender, round, figures: { host: {}, pod } };
}

const streams: Goal = {
  title: 'TCP',
  metric: 'tcp1',
  place: 'pod',
  contender: 'weave-ts',
  rivals: ['nebula', 'fastd'],
  wanted: { atLeast: 6 },
};

test('a ratio is taken round by round against the rival with the best median', (t) => {
  const turns = [
    turn('weave-ts', 1, { tcp1: 6 }),
    turn('weave-ts', 2, { tcp1: 8 }),
    turn('weave-ts', 3, { tcp1: 5 }),
    turn('nebula', 1, { tcp1: 1 }),
    turn('nebula', 2, { tcp1: 1 }),
    turn('nebula', 3, { tcp1: 1 }),
    turn('fastd', 1, { tcp1: 0.5 }),
    turn('fastd', 2, { tcp1: 9 }),
    turn('fastd', 3, { tcp1: 0.5 }),
  ];
  const result = assess(streams, turns);
  t.is(result.rival, 'nebula');
  t.deepEqual(result.ratio, { median: 6, min: 5, max: 8, count: 3 });
  t.true(result.met);
  t.is(describeGoal(result), 'TCP, pod to pod, against nebula: 6.00 (5.00-8.00), wanted >= 6: met');
});

test('where less is better the best rival is the one with the least, and too much misses the goal', (t) => {
  const goal: Goal = { ...streams, metric: 'rttIdleP50', wanted: { atMost: 1.2 } };
  const turns = [
    turn('weave-ts', 1, { rttIdleP50: 130 }),
    turn('nebula', 1, { rttIdleP50: 200 }),
    turn('fastd', 1, { rttIdleP50: 100 }),
  ];
  t.is(
    describeGoal(assess(goal, turns)),
    'TCP, pod to pod, against fastd: 1.30 (1.30-1.30), wanted <= 1.2: missed',
  );
});

test('what the ends cost without a tunnel is taken off both sides', (t) => {
  const goal: Goal = { ...streams, metric: 'cpuSystem', wanted: { atMost: 0.2 }, lessThatOf: 'bare' };
  const turns = [
    turn('bare', 1, { cpuSystem: 1 }),
    turn('weave-ts', 1, { cpuSystem: 2 }),
    turn('fastd', 1, { cpuSystem: 11 }),
  ];
  t.is(assess(goal, turns).ratio?.median, 0.1);
  t.is(assess(goal, turns.slice(1)).ratio, undefined);
});

test('a goal that was not measured is not met, and says so', (t) => {
  for (const goal of GOALS) {
    const result = assess(goal, []);
    t.false(result.met);
    t.regex(describeGoal(result), /not measured, wanted [<>]= [\d.]+$/);
  }
});
