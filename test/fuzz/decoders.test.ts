import { cpuUsage } from 'node:process';
import test from 'ava';
import fc from 'fast-check';
import { SeededRandom } from '../../core/random.ts';
import { allTargets } from './all-targets.ts';
import { Fuzzer } from './fuzzer.ts';
import { mutatedMsgpack } from './hostile-msgpack.ts';
import { mutated } from './mutate.ts';
import { isTaken, TAKEN } from './target.ts';

const targets = allTargets();
test.after.always(async () => {
  for (const target of targets) await target.close?.();
});

/** Inputs of one test of a target: those that cost milliseconds get few. */
function budget(weight: number): number {
  return Math.min(400, 10 * weight);
}

for (const target of targets) {
  const { name, samples, shape, weight } = target;

  test.serial(`${name}: valid inputs are taken, and parts of them never throw`, async (t) => {
    t.true(samples.length > 0);
    for (const sample of samples) {
      await target.reset?.();
      const verdict = await target.run(sample.slice());
      t.true(isTaken(verdict), verdict);
    }
    const lengths = samples.flatMap((sample) => Array.from(sample, (_, length) => [sample, length] as const));
    const step = Math.max(1, Math.ceil(lengths.length / (5 * budget(weight))));
    for (let i = 0; i < lengths.length; i += step) await target.run(lengths[i]![0].slice(0, lengths[i]![1]));
    await target.reset?.();
  });

  test.serial(`${name}: random bytes and changed inputs are taken or refused, and never throw`, async (t) => {
    const changed = fc.tuple(fc.constantFrom(...samples), fc.nat()).map(([sample, seed]) => {
      const random = new SeededRandom(seed);
      const byItems =
        shape === 'msgpack' && seed % 3 > 0 ? mutatedMsgpack(sample, random, samples) : undefined;
      return byItems ?? mutated(sample, random, samples);
    });
    const input = fc.oneof(
      { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }) },
      { weight: 5, arbitrary: changed },
    );
    await fc.assert(
      fc.asyncProperty(input, async (bytes) => {
        await target.run(bytes);
      }),
      { numRuns: budget(weight), seed: 1 },
    );
    await target.reset?.();
    t.pass();
  });
}

test.serial('most fuzzed inputs come of valid ones, and many pass the outer check', async (t) => {
  const fuzzer = new Fuzzer(targets, 1, { longestMs: Infinity });
  t.is(await fuzzer.runSamples(), undefined);
  t.is(await fuzzer.run(20_000), undefined);
  const sum = { inputs: 0, mutated: 0, passedOutside: 0 };
  for (const tally of fuzzer.tallies.values()) {
    sum.inputs += tally.inputs;
    sum.mutated += tally.mutated;
    sum.passedOutside += tally.passedOutside;
  }
  t.true(sum.mutated > sum.inputs / 2 && sum.passedOutside > sum.inputs / 10, JSON.stringify(sum));
});

test('the same seed gives the same inputs', async (t) => {
  const tallies = await Promise.all(
    [7, 7, 8].map(async (seed) => {
      const reasons: string[] = [];
      const seen = { name: 'seen', shape: 'bytes', samples: [Uint8Array.of(1, 2, 3)], weight: 1 } as const;
      const run = (input: Uint8Array): string => (reasons.push(input.join()), TAKEN);
      const fuzzer = new Fuzzer([{ ...seen, run }], seed, { longestMs: Infinity });
      await fuzzer.run(200);
      return reasons;
    }),
  );
  t.deepEqual(tallies[0], tallies[1]);
  t.notDeepEqual(tallies[0], tallies[2]);
});

test('a target that breaks its promise is found, with the inputs that did it', async (t) => {
  let runs = 0;
  const broken = { name: 'broken', shape: 'bytes', samples: [Uint8Array.of(1)], weight: 1 } as const;
  const run = (): string => {
    if (++runs === 10) throw new TypeError('a bug');
    return TAKEN;
  };
  const found = await new Fuzzer([{ ...broken, run, reset: () => undefined }], 1, {
    longestMs: Infinity,
  }).run(100);
  t.is(found?.target, 'broken');
  t.regex(found!.error, /a bug/);
  t.is(found!.inputs.length, 10);
});

test('an input that holds the thread is found', async (t) => {
  const slow = { name: 'slow', shape: 'bytes', samples: [Uint8Array.of(1)], weight: 1 } as const;
  const run = (): string => {
    const [wall, cpu] = [performance.now() + 60, cpuUsage().user + 60_000];
    while (performance.now() < wall || cpuUsage().user < cpu);
    return TAKEN;
  };
  const found = await new Fuzzer([{ ...slow, run }], 1, { longestMs: 50 }).run(1);
  t.regex(found!.error, /it took \d+ ms/);
});
