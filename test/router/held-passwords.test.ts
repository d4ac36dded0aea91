import test from 'ava';
import { utf8 } from '../../core/bytes.ts';
import { HeldPasswords } from '../../router/held-passwords.ts';

for (const [before, next, newIndexOf, added, dropped] of [
  [['a'], ['a', 'b'], [0], 1, 0],
  [['a', 'b'], ['b', 'a'], [1, 0], 0, 0],
  [['b', 'a'], ['b'], [0, undefined], 0, 1],
  [['a', 'b'], ['c', 'd'], [undefined, undefined], 2, 2],
  [['a'], ['a'], [0], 0, 0],
] as const) {
  test(`from ${before.join(', ')} to ${next.join(', ')}: ${added} added, ${dropped} dropped, and the old bytes are zero`, (t) => {
    const old = before.map(utf8);
    const held = new HeldPasswords(old);
    t.deepEqual(held.replace(next.map(utf8)), { newIndexOf: [...newIndexOf], added, dropped });
    t.deepEqual(held.list, next.map(utf8));
    t.true(old.every((bytes) => bytes.every((byte) => byte === 0)));
    const last = held.list;
    held.wipe();
    t.true(last.every((bytes) => bytes.every((byte) => byte === 0)));
  });
}
