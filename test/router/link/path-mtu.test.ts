import test from 'ava';
import { BASE_SIZE, PathMtu, fullSize } from '../../../router/link/path-mtu.ts';

/** Runs the search on a path that carries `largest` bytes; returns how many probes it took. */
function search(mtu: PathMtu, largest: number, from = 0): number {
  let [now, probes] = [from, 0];
  for (;;) {
    const next = mtu.nextTimeout();
    if (next === undefined || next > from + 120_000) return probes;
    now = Math.max(now, next);
    const size = mtu.onTimeout(now);
    if (size === undefined) continue;
    probes++;
    if (size <= largest) mtu.onDelivered(size, now);
  }
}

test('the full size fits the smaller bridge and never exceeds a UDP payload', (t) => {
  t.is(fullSize(1388, 8900), 1452);
  t.is(fullSize(8900, 1388), 1452);
  t.is(fullSize(65_535, 65_535), 65_507);
});

test('the size is unknown until a probe is answered', (t) => {
  const mtu = new PathMtu(1452);
  t.is(mtu.size, undefined);
  t.deepEqual(mtu.firstProbes(), [1452, BASE_SIZE]);
  t.is(mtu.nextTimeout(), undefined);
  mtu.onDelivered(100, 0);
  t.is(mtu.size, undefined);
});

test('a full-size answer within the grace after the small one makes the search needless', (t) => {
  const mtu = new PathMtu(1452);
  mtu.onDelivered(BASE_SIZE, 0);
  t.is(mtu.size, undefined);
  mtu.onDelivered(1452, 400);
  t.is(mtu.size, 1452);
  t.is(search(mtu, 1452), 0);
  t.is(mtu.nextTimeout(), undefined);
});

for (const full of [1452, 9000, 65_507]) {
  for (const largest of [1232, 1240, 1400, 5000, 60_000]) {
    test(`a search up to ${full} on a path of ${largest} ends within eight bytes of the best`, (t) => {
      const mtu = new PathMtu(full);
      mtu.onDelivered(BASE_SIZE, 0);
      const probes = search(mtu, largest);
      const best = Math.min(largest, full);
      t.true(mtu.size! <= best && mtu.size! > best - 8, String(mtu.size));
      t.true(probes <= 3 * 18);
    });
  }
}

test('a bridge smaller than the base size needs one probe only', (t) => {
  const mtu = new PathMtu(640);
  t.deepEqual(mtu.firstProbes(), [640]);
  mtu.onDelivered(640, 0);
  t.is(mtu.size, 640);
});

test('a black hole falls back to the base size, and at the base size says so', (t) => {
  const mtu = new PathMtu(1452);
  mtu.onDelivered(1452, 0);
  t.true(mtu.onBlackHole(1000));
  t.is(mtu.size, BASE_SIZE);
  t.false(mtu.onBlackHole(1000));
  search(mtu, 1452, 1000);
  t.true(mtu.size! > 1452 - 10);
});

test('the upward search comes back after ten minutes', (t) => {
  const mtu = new PathMtu(1452);
  mtu.onDelivered(BASE_SIZE, 0);
  search(mtu, BASE_SIZE);
  const again = mtu.nextTimeout()!;
  t.true(again >= 600_000);
  search(mtu, 1452, again);
  t.is(mtu.size, 1452);
});

test('too-big hints bound the search before and after the size is known', (t) => {
  const mtu = new PathMtu(1452);
  t.true(mtu.onTooBig(1452, 0));
  mtu.onDelivered(BASE_SIZE, 0);
  t.true(mtu.onTooBig(1300, 0));
  search(mtu, 1452);
  t.true(mtu.size! < 1300 && mtu.size! > 1290);
  t.true(mtu.onTooBig(1250, 5));
  t.is(mtu.size, BASE_SIZE);
  t.false(mtu.onTooBig(BASE_SIZE, 5));
});
