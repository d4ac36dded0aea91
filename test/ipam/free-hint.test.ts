import test from 'ava';
import { FreeHint } from '../../ipam/free-hint.ts';
import { peer } from './network.ts';

test('a hint is repeated only when it is off by a factor, and not within 10 s', (t) => {
  const hint = new FreeHint(peer(1), 0);
  const told = (free: number, now: number): number | undefined => {
    hint.note();
    return hint.step(() => free, now)?.free;
  };
  t.deepEqual(
    [told(100, 0), told(10, 9_999), told(10, 10_000), told(19, 30_000), told(20, 40_000), told(0, 60_000)],
    [100, undefined, 10, undefined, 20, 0],
  );
  t.is(hint.nextTimeout(), undefined);
  hint.note();
  t.is(hint.nextTimeout(), 70_000);
});

test('a hint from before the last start is overtaken', (t) => {
  const hint = new FreeHint(peer(1), 0);
  t.is(hint.step(() => 5, 0)?.version, 1);
  hint.onOwnHint(40);
  t.is(hint.step(() => 5, 10_000)?.version, 41);
});

test('free addresses are counted at most every 10 s, although nothing is published', (t) => {
  const hint = new FreeHint(peer(1), 0);
  let counted = 0;
  const count = (): number => 100 - counted++;
  for (let now = 0; now < 60_000; now += 100) {
    hint.note();
    hint.step(count, now);
  }
  t.is(counted, 6);
});
