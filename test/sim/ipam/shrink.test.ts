import test from 'ava';
import { drawScenario, type Scenario } from './actions.ts';
import { shrink } from './shrink.ts';

test('a failing scenario shrinks to the actions that it takes, with the shortest waits', (t) => {
  const scenario = drawScenario(12);
  const crash = { do: 'crash', node: 1, silent: true, wait: 3_000 } as const;
  const heal = { do: 'heal', wait: 900 } as const;
  const long: Scenario = { ...scenario, actions: [...scenario.actions, crash, ...scenario.actions, heal] };
  const fails = ({ actions }: Scenario): boolean => {
    const at = actions.findIndex((action) => action.do === 'crash' && action.silent && action.node === 1);
    return at >= 0 && actions.slice(at + 1).some((action) => action.do === 'heal' && action.wait >= 400);
  };
  const smallest = shrink(long, fails, 2_000);
  t.true(fails(smallest));
  t.deepEqual(
    smallest.actions.map((action) => [action.do, action.wait]),
    [
      ['crash', 0],
      ['heal', 500],
    ],
  );
});

test('shrinking ends when its budget is used up', (t) => {
  let runs = 0;
  shrink(drawScenario(3), () => (runs++, false), 7);
  t.true(runs <= 7);
});
