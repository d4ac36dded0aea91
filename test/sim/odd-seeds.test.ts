import test from 'ava';
import { runSeeds } from './seeds.ts';

test('a mesh of 20 becomes whole after any trouble, delivers once and gives no address twice (odd seeds)', async (t) => {
  await runSeeds(t, 1, 2);
});
