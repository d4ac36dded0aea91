import test from 'ava';
import type { PeerName } from '../../../core/peer-name.ts';
import { Pins } from '../../../router/link/pins.ts';

const ALICE = '00:00:00:00:00:0a' as PeerName;
const BOB = '00:00:00:00:00:0b' as PeerName;
const key = (fill: number) => new Uint8Array(32).fill(fill);

test('the first key of a name is pinned and must be stored once', (t) => {
  const pins = new Pins();
  t.is(pins.check(ALICE, key(1), 0), 'pinned');
  t.true(pins.takeDirty(0));
  t.is(pins.check(ALICE, key(1), 0), 'pinned');
  t.false(pins.takeDirty(0));
});

test('another key of a pinned name is refused and does not replace the pin', (t) => {
  const pins = new Pins();
  pins.check(ALICE, key(1), 0);
  t.is(pins.check(ALICE, key(2), 0), 'changed');
  t.deepEqual(pins.get(ALICE), key(1));
});

test('a pin does not follow later changes of the array that it was made from', (t) => {
  const pins = new Pins();
  const mutable = key(1);
  pins.check(ALICE, mutable, 0);
  mutable.fill(9);
  t.deepEqual(pins.get(ALICE), key(1));
});

test('stored pins are read back, also those that an earlier version stored', (t) => {
  const pins = new Pins();
  pins.check(BOB, key(2), 0);
  pins.check(ALICE, key(1), 0);
  const stored = pins.encode(0);
  const rows = [5, 5 + 40].flatMap((at) => [...stored.subarray(at, at + 38)]);
  const earlier = Uint8Array.of(1, 2, 0, 0, 0, ...rows);
  for (const bytes of [stored, earlier]) {
    const back = Pins.decode(bytes, 0);
    t.is(back?.check(BOB, key(3), 0), 'changed');
    t.is(back?.check(ALICE, key(1), 0), 'pinned');
    t.is(back?.size, 2);
    t.false(back?.takeDirty(0));
  }
});

test('damaged pins are refused', (t) => {
  const pins = new Pins();
  pins.check(ALICE, key(1), 0);
  const good = pins.encode(0);
  t.is(Pins.decode(good.subarray(0, good.length - 1), 0), undefined);
  t.is(Pins.decode(Uint8Array.of(...good, 0), 0), undefined);
  t.is(Pins.decode(Uint8Array.of(3, ...good.subarray(1)), 0), undefined);
  t.is(Pins.decode(new Uint8Array(0), 0), undefined);
  t.is(Pins.decode(Uint8Array.of(1, 255, 255, 255, 255), 0), undefined);
});

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const MAX = 16_384;

function invented(i: number): PeerName {
  return `02:00:00:00:${(i >> 8).toString(16).padStart(2, '0')}:${(i & 255).toString(16).padStart(2, '0')}` as PeerName;
}

/** Names that a member makes up, and that leave at once. */
function invent(pins: Pins, count: number, now: number): void {
  for (let i = 0; i < count; i++) {
    pins.check(invented(i), key(1), now);
    pins.onGone(invented(i), now);
  }
}

test('beyond the limit no further name is pinned while all were seen within 30 days', (t) => {
  const pins = new Pins();
  invent(pins, MAX, 0);
  t.is(pins.check(ALICE, key(1), 30 * DAY - 1), 'full');
  t.is(pins.get(ALICE), undefined);
  t.is(pins.size, MAX);
});

test('beyond the limit the peer that was not seen for longest gives way, and never one that is there', (t) => {
  const pins = new Pins();
  pins.check(ALICE, key(1), 0);
  pins.check(BOB, key(2), 0);
  invent(pins, MAX - 3, DAY);
  pins.onGone(BOB, 2 * DAY);
  pins.check('last' as PeerName, key(1), 2 * DAY);
  t.is(pins.check('a' as PeerName, key(3), 31 * DAY), 'pinned');
  t.is(pins.get(invented(0)), undefined);
  t.is(pins.size, MAX);
  t.true(pins.takeDirty(0));
  for (let i = 0; i < MAX; i++) pins.check(`b${i}` as PeerName, key(3), 31 * DAY + i);
  t.deepEqual(pins.get(ALICE), key(1));
  t.deepEqual(pins.get(BOB), key(2), 'it has a day left');
  t.is(pins.check('c' as PeerName, key(3), 32 * DAY), 'pinned');
  t.is(pins.get(BOB), undefined);
  t.is(pins.check('d' as PeerName, key(3), 300 * DAY), 'full', 'all that are left are there');
});

test('a peer that is back keeps its pin, however long ago it left', (t) => {
  const pins = new Pins();
  pins.check(ALICE, key(1), 0);
  pins.onGone(ALICE, 0);
  pins.check(ALICE, key(1), DAY);
  invent(pins, MAX - 1, 2 * DAY);
  t.is(pins.check(BOB, key(2), 31 * DAY), 'full');
  t.is(pins.check(BOB, key(2), 32 * DAY), 'pinned');
  t.deepEqual(pins.get(ALICE), key(1));
});

test('after a restart, too, the peer that was not seen for longest gives way, whichever was pinned first', (t) => {
  let pins = new Pins();
  for (const [name, gone] of [
    [ALICE, 5 * DAY],
    [BOB, 0],
  ] as const) {
    pins.check(name, key(1), 0);
    pins.onGone(name, gone);
  }
  invent(pins, MAX - 2, 6 * DAY);
  pins = Pins.decode(pins.encode(7 * DAY), 7 * DAY)!;
  t.is(pins.check('c' as PeerName, key(2), 30 * DAY), 'pinned');
  t.is(pins.get(BOB), undefined);
  t.deepEqual(pins.get(ALICE), key(1));
});

test('how long a peer was not seen goes on after a restart, and ends with the next sight of it', (t) => {
  let pins = new Pins();
  pins.check(ALICE, key(1), 0);
  pins.onGone(ALICE, 0);
  invent(pins, MAX - 1, DAY);
  pins = Pins.decode(pins.encode(20 * DAY), 1_000 * DAY)!;
  t.is(pins.check(BOB, key(2), 1_010 * DAY - 1), 'full');
  t.is(pins.check(BOB, key(2), 1_010 * DAY), 'pinned');
  t.is(pins.get(ALICE), undefined);
});

test('a dropped pin leaves its place, and its name takes the next key', (t) => {
  const pins = new Pins();
  invent(pins, MAX, 0);
  pins.drop(invented(7), key(1));
  t.is(pins.check(ALICE, key(1), 0), 'pinned');
  t.is(pins.check(invented(7), key(2), 31 * DAY), 'pinned', 'in place of another one');
  t.is(pins.size, MAX);
});
