import test from 'ava';
import type { PeerName } from '../../core/peer-name.ts';
import { SECOND } from '../../core/time.ts';
import { DirectFlags } from '../../gossip/direct-flags.ts';

const A = '00:00:00:00:00:0a' as PeerName;
const B = '00:00:00:00:00:0b' as PeerName;

test('flags that rise within two seconds rise together', (t) => {
  const flags = new DirectFlags();
  t.false(flags.set(A, true, 0));
  t.false(flags.set(B, true, 1.5 * SECOND));
  t.false(flags.onTimeout(1.9 * SECOND));
  t.false(flags.has(A));
  t.is(flags.nextTimeout(), 2 * SECOND);
  t.true(flags.onTimeout(2 * SECOND));
  t.true(flags.has(A));
  t.true(flags.has(B));
  t.is(flags.nextTimeout(), undefined);
});

test('a flag falls at once, and a fall before the rise leaves nothing to publish', (t) => {
  const flags = new DirectFlags();
  flags.set(A, true, 0);
  t.false(flags.set(A, false, SECOND));
  t.false(flags.onTimeout(5 * SECOND));
  t.false(flags.has(A));
  flags.set(A, true, 6 * SECOND);
  flags.onTimeout(8 * SECOND);
  t.true(flags.set(A, false, 12 * SECOND));
  t.false(flags.has(A));
});
