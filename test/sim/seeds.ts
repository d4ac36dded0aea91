import type { ExecutionContext } from 'ava';
import { loadSodium } from '../../router/crypto/sodium.ts';
import { fakePrimitives } from './fake-primitives.ts';
import { runScenario } from './scenario.ts';

const SEEDS = 200;
const NODES = 20;
/** Every so many seeds run with real cryptography: ten, that fall on odd and even seeds and on full and sparse meshes. */
const REAL_EVERY = 21;
/**
 * Every so many seeds discover each other and connect fully; the others keep to the few connections of the start, where
 * gossip, routes and broadcasts take many hops, and which cost less.
 */
const FULL_EVERY = 4;

/** Runs the seeds `first`, `first + step`, ... up to {@link SEEDS}; what went wrong is told with its seed. */
export async function runSeeds(t: ExecutionContext, first: number, step: number): Promise<void> {
  t.timeout(10 * 60_000);
  const sodium = await loadSodium();
  for (let seed = first; seed <= SEEDS; seed += step) {
    const primitives = seed % REAL_EVERY === 1 ? sodium : fakePrimitives;
    const discovery = seed % FULL_EVERY === 1;
    const { faults } = runScenario({ seed, nodes: NODES, primitives, discovery });
    t.deepEqual(faults.slice(0, 20), [], `seed ${seed}, ${NODES} nodes`);
    // The test runner hears of us between seeds only.
    await new Promise(setImmediate);
  }
}
