import test from 'ava';
import { fakePrimitives } from '../sim/fake-primitives.ts';
import { runScenario } from '../sim/scenario.ts';
import { REPLAYS } from './found.ts';

for (const { found, ...options } of REPLAYS) {
  test(`seed ${options.seed} with ${options.nodes} nodes keeps all promises (once: ${found})`, (t) => {
    t.deepEqual(runScenario({ ...options, primitives: fakePrimitives }).faults, []);
  });
}
