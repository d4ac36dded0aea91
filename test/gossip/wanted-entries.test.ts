import test from 'ava';
import { WantedEntries } from '../../gossip/wanted-entries.ts';
import { peerName } from './mesh.ts';

const SECOND = 1_000;
const [one, two] = [peerName(1), peerName(2)];

function stamp(version: number, incarnation = 1): { incarnation: number; version: number } {
  return { incarnation, version };
}

test('an entry is asked for once, however many have it', (t) => {
  const wanted = new WantedEntries();
  t.true(wanted.announced(one, stamp(2), 'a', 0));
  t.false(wanted.announced(one, stamp(2), 'b', 10));
  t.false(wanted.announced(one, stamp(2), 'a', 20));
  t.deepEqual(wanted.came(one, stamp(2)), ['a', 'b'], 'both have it');
  t.is(wanted.nextTimeout(), undefined);
  t.deepEqual(wanted.came(one, stamp(2)), []);
});

test('a later version than the one that is awaited is asked for at once', (t) => {
  const wanted = new WantedEntries();
  wanted.announced(one, stamp(2), 'a', 0);
  t.true(wanted.announced(one, stamp(3), 'b', 10));
  t.deepEqual(wanted.came(one, stamp(2)), [], 'it is awaited still');
  t.true(wanted.announced(one, stamp(1, 2), 'c', 10));
  t.deepEqual(wanted.came(one, stamp(9, 2)), [], 'nobody was known to have this one');
  t.is(wanted.nextTimeout(), undefined);
});

test('a version that nobody has keeps nobody from asking for the one that exists', (t) => {
  const wanted = new WantedEntries();
  wanted.announced(one, stamp(1_000_000), 'liar', 0);
  t.true(wanted.announced(one, stamp(2), 'a', 10));
  t.true(wanted.announced(one, stamp(2), 'b', 20));
});

test('who does not answer in 2 s is passed over for the next that has the entry', (t) => {
  const wanted = new WantedEntries();
  for (const from of ['a', 'b', 'c']) wanted.announced(one, stamp(2), from, 0);
  wanted.announced(two, stamp(2), 'b', SECOND);
  t.is(wanted.nextTimeout(), 2 * SECOND);
  t.deepEqual(wanted.overdue(2 * SECOND - 1), new Map());
  t.deepEqual(wanted.overdue(2 * SECOND), new Map([['b', [one]]]));
  t.is(wanted.nextTimeout(), 3 * SECOND);
  t.deepEqual(wanted.overdue(3 * SECOND), new Map(), 'nobody else has the second: it is given up');
  t.deepEqual(wanted.overdue(4 * SECOND), new Map([['c', [one]]]));
  t.deepEqual(wanted.overdue(6 * SECOND), new Map());
  t.is(wanted.nextTimeout(), undefined);
  t.true(wanted.announced(one, stamp(2), 'a', 6 * SECOND), 'who tells of it again is asked again');
});

test('when a neighbour is lost others are asked at once, and it is not asked any more', (t) => {
  const wanted = new WantedEntries();
  wanted.announced(two, stamp(2), 'b', 0);
  for (const from of ['a', 'c', 'd']) wanted.announced(one, stamp(2), from, SECOND);
  wanted.lost('c');
  wanted.lost('a');
  t.true(wanted.nextTimeout()! <= SECOND);
  t.deepEqual(wanted.overdue(SECOND), new Map([['d', [one]]]));
  t.is(wanted.nextTimeout(), 2 * SECOND, 'the other one waits for its neighbour as before');
});

test('four that have an entry are remembered, and 8,192 entries', (t) => {
  const wanted = new WantedEntries();
  for (const from of ['a', 'b', 'c', 'd', 'e', 'f']) wanted.announced(one, stamp(2), from, 0);
  t.deepEqual(wanted.came(one, stamp(2)), ['a', 'b', 'c', 'd']);
  const asked = Array.from({ length: 8_200 }, (_, i) => wanted.announced(peerName(i + 1), stamp(2), 'a', 0));
  t.is(asked.filter(Boolean).length, 8_192);
});
