import type { ExecutionContext } from 'ava';
import { fakePrimitives } from './fake-primitives.ts';
import { runScenario } from './scenario.ts';
import { playedSodium } from '../router/crypto/played-primitives.ts';

const SEEDS = 200;
const NODES = 20;
/** Every so many seeds run with real cryptography: ten, on odd and even seeds and on every kind of mesh. */
const REAL_EVERY = 21;
/**
 * Of so many seeds one discovers all others, connects to them and keeps links to them, and one keeps links to all over
 * the few connections of the start. The others have links where there are connections, and where frames are to go: there
 * gossip, routes, broadcasts and handshakes take many hops, and they cost less. Odd, so that both processes get of each.
 */
const KINDS = 19;
const MESHED = { discovery: true, fullMeshLimit: 80 };
const LINKED = { discovery: false, fullMeshLimit: 80 };
const SPARSE = { discovery: false, fullMeshLimit: 8 };

/** Runs the seeds `first`, `first + step`, ... up to {@link SEEDS}; what went wrong is told with its seed. */
export async function runSeeds(t: ExecutionContext, first: number, step: number): Promise<void> {
  t.timeout(10 * 60_000);
  for (let seed = first; seed <= SEEDS; seed += step) {
    const primitives = seed % REAL_EVERY === 1 ? playedSodium : fakePrimitives;
    const { faults } = runScenario({ seed, nodes: NODES, primitives, ...kindOf(seed) });
    t.deepEqual(faults.slice(0, 20), [], `seed ${seed}, ${NODES} nodes`);
    // The test runner hears of us between seeds only.
    await new Promise(setImmediate);
  }
}

function kindOf(seed: number): typeof SPARSE {
  if (seed % KINDS === 1) return MESHED;
  return seed % KINDS === 11 ? LINKED : SPARSE;
}
