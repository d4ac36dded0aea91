import test from 'ava';
import { isTaken } from './target.ts';
import type { Job } from './outcome.ts';
import { runWatched } from './watched.ts';

const planted: Job = {
  targets: new URL('./planted-targets.js', import.meta.url).href,
  only: '',
  seed: 1,
  inputs: 5_000,
  seconds: Infinity,
  guided: false,
  replay: undefined,
};

test('a target that loops for ever is found, and the inputs that led there are kept', async (t) => {
  const told: string[] = [];
  const onHang = (): void => void told.push('before its thread is ended');
  const { found } = await runWatched({ ...planted, only: 'loops' }, { hangsAfterMs: 1_000, onHang });
  t.is(found?.target, 'loops-for-ever');
  const lengths = found!.inputs.map(({ length }) => length);
  const sum = lengths.reduce((total, length) => total + length, 0);
  t.true(sum > 100 && sum - lengths.at(-1)! <= 100, lengths.join());
  t.deepEqual(told, ['before its thread is ended']);

  const replay = { target: 'loops-for-ever', inputs: found!.inputs };
  const again = await runWatched({ ...planted, replay }, { hangsAfterMs: 1_000 });
  t.is(again.found?.hung, true);
});

test('a target whose promise never settles is found, and its input kept', async (t) => {
  const { found } = await runWatched({ ...planted, only: 'never' }, { hangsAfterMs: 1_000 });
  t.is(found?.target, 'never-answers');
  t.is(found!.inputs.length, 1);
  t.not(found!.inputs[0]![0], 1);
});

test('memory that a target keeps shows, and that of one that keeps none does not', async (t) => {
  const leaking = await runWatched({ ...planted, only: 'keeps' });
  t.true(leaking.resident - leaking.residentWarm > 40, `${leaking.residentWarm} ${leaking.resident}`);
  const { tallies, found } = await runWatched({ ...planted, only: 'fine' });
  t.is(found, undefined);
  t.true([...tallies.get('fine')!.reasons.keys()].every(isTaken));
  t.is(tallies.get('fine')!.inputs, 5_001);
});

test('inputs that a guided fuzzer feeds again are counted once', async (t) => {
  const { tallies } = await runWatched({ ...planted, only: 'fine', guided: true, inputs: 2_000 });
  t.is(tallies.get('fine')!.inputs, 2_001);
});
