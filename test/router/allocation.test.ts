import { fileURLToPath } from 'node:url';
import test from 'ava';
import { run } from '../../scripts/run.ts';

const PROBE = fileURLToPath(new URL('allocation-probe.js', import.meta.url));
/** Nothing is collected while the probe counts. */
const LARGE_YOUNG_GENERATION = ['--min-semi-space-size=64', '--max-semi-space-size=128'];

/** A number on V8's heap is 16 bytes, the smallest object with one field 32. */
const cases = [
  { batch: 64, limit: 2 },
  // The reading of the clock and an array or two per call of eight such batches each way.
  { batch: 1, limit: 8 },
] as const;

for (const { batch, limit } of cases) {
  test(`a frame leaves less than ${limit} bytes on the heap on its way through the DataNode, in batches of ${batch}`, async (t) => {
    const argv = [process.execPath, '--expose-gc', ...LARGE_YOUNG_GENERATION, PROBE, String(batch)];
    const { stdout, stderr, code } = await run(argv);
    t.is(code, 0, stderr);
    const { frames, bytesPerFrame, collections } = JSON.parse(stdout) as Record<string, number>;
    t.is(frames, 128_000);
    t.is(collections, 0);
    t.true(bytesPerFrame! < limit, `${bytesPerFrame} bytes per frame`);
  });
}
