import test from 'ava';
import { fakePrimitives } from './fake-primitives.ts';
import { runScenario } from './scenario.ts';
import { SMALL_NODES, smallKind } from './small.ts';

/** `npm run sim -- --scenario small --count 10000` runs more. */
const SEEDS = [1, 2, 3, 4, 5, 6];

for (const seed of SEEDS) {
  test(`a mesh of ${SMALL_NODES} becomes whole after any trouble, delivers once and has no loops (seed ${seed})`, (t) => {
    const run = { seed, nodes: SMALL_NODES, primitives: fakePrimitives, ...smallKind(seed) };
    t.deepEqual(runScenario(run).faults, []);
  });
}
