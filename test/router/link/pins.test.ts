import test from 'ava';
import type { PeerName } from '../../../core/peer-name.ts';
import { Pins } from '../../../router/link/pins.ts';

const ALICE = '00:00:00:00:00:0a' as PeerName;
const BOB = '00:00:00:00:00:0b' as PeerName;
const key = (fill: number) => new Uint8Array(32).fill(fill);

test('the first key of a name is pinned and must be stored once', (t) => {
  const pins = new Pins();
  t.is(pins.check(ALICE, key(1)), 'pinned');
  t.true(pins.takeDirty());
  t.is(pins.check(ALICE, key(1)), 'pinned');
  t.false(pins.takeDirty());
});

test('another key of a pinned name is refused and does not replace the pin', (t) => {
  const pins = new Pins();
  pins.check(ALICE, key(1));
  t.is(pins.check(ALICE, key(2)), 'changed');
  t.deepEqual(pins.get(ALICE), key(1));
});

test('a pin does not follow later changes of the array that it was made from', (t) => {
  const pins = new Pins();
  const mutable = key(1);
  pins.check(ALICE, mutable);
  mutable.fill(9);
  t.deepEqual(pins.get(ALICE), key(1));
});

test('stored pins are read back, whatever the order of their making', (t) => {
  const one = new Pins();
  one.check(ALICE, key(1));
  one.check(BOB, key(2));
  const other = new Pins();
  other.check(BOB, key(2));
  other.check(ALICE, key(1));
  t.deepEqual(one.encode(), other.encode());
  const back = Pins.decode(one.encode());
  t.is(back?.check(BOB, key(3)), 'changed');
  t.is(back?.size, 2);
  t.false(back?.takeDirty());
});

test('damaged pins are refused', (t) => {
  const pins = new Pins();
  pins.check(ALICE, key(1));
  const good = pins.encode();
  t.is(Pins.decode(good.subarray(0, good.length - 1)), undefined);
  t.is(Pins.decode(Uint8Array.of(...good, 0)), undefined);
  t.is(Pins.decode(Uint8Array.of(2, ...good.subarray(1))), undefined);
  t.is(Pins.decode(new Uint8Array(0)), undefined);
  t.is(Pins.decode(Uint8Array.of(1, 255, 255, 255, 255)), undefined);
});

test('beyond the limit no further name is pinned', (t) => {
  const pins = new Pins();
  for (let i = 0; i < 16_384; i++) pins.check(String(i) as PeerName, key(1));
  t.is(pins.check(ALICE, key(1)), 'full');
  t.is(pins.get(ALICE), undefined);
});
