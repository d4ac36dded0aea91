import type { ExecutionContext } from 'ava';
import { drawScenario } from './actions.ts';
import { runScenario } from './ipam-run.ts';

const SEEDS = 2_000;

/** Runs the seeds `first`, `first + step`, ... up to {@link SEEDS}. */
export async function runIpamSeeds(t: ExecutionContext, first: number, step: number): Promise<void> {
  t.timeout(20 * 60_000);
  for (let seed = first; seed <= SEEDS; seed += step) {
    t.deepEqual(
      runScenario(drawScenario(seed)).faults,
      [],
      `seed ${seed}: npm run sim:ipam -- --seed ${seed}`,
    );
    // The test runner hears of us between seeds only.
    await new Promise(setImmediate);
  }
}
