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

test('a version that nobody has keeps nobody from asking for the one that exists, now and later', (t) => {
  const wanted = new WantedEntries();
  t.true(wanted.announced(one, stamp(2), 'a', 0));
  t.true(wanted.announced(one, stamp(1_000_000), 'liar', 0));
  t.true(wanted.announced(one, stamp(2), 'b', 10), 'a lower one is asked for once');
  t.false(wanted.announced(one, stamp(2), 'c', 20));
  t.deepEqual(wanted.overdue(2 * SECOND), new Map([['a', [one]]]), 'who was asked before the lie');
  t.deepEqual(wanted.overdue(4 * SECOND), new Map([['b', [one]]]));
});

test('who was asked and announces it once more is asked once more', (t) => {
  const wanted = new WantedEntries();
  wanted.announced(one, stamp(2), 'a', 0);
  wanted.announced(one, stamp(2), 'b', 0);
  t.false(wanted.announced(one, stamp(2), 'a', 300));
  t.deepEqual(wanted.overdue(2 * SECOND), new Map([['b', [one]]]));
  t.deepEqual(wanted.overdue(4 * SECOND), new Map([['a', [one]]]));
  wanted.unusable(one);
  t.deepEqual(wanted.overdue(6 * SECOND), new Map([['a', [one]]]), 'and so is whose answer was of no use');
  t.deepEqual(wanted.overdue(8 * SECOND), new Map());
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

test('of a neighbour that is lost and back nothing is awaited, and it can be asked', (t) => {
  const wanted = new WantedEntries();
  wanted.announced(one, stamp(2), 'a', 0);
  wanted.lost('a');
  t.is(wanted.nextTimeout(), undefined);
  t.true(wanted.announced(one, stamp(2), 'a', 10));
  wanted.announced(one, stamp(2), 'b', 10);
  wanted.lost('a');
  t.deepEqual(wanted.came(one, stamp(2)), ['b'], 'and it is not said to have anything');
});

test('any number that do not answer keep nobody from being asked in the end', (t) => {
  const wanted = new WantedEntries();
  const silent = ['a', 'b', 'c', 'd', 'e'];
  for (const from of [...silent, 'honest']) wanted.announced(one, stamp(2), from, 0);
  let at = 0;
  const asked: string[] = [];
  for (let turn = 0; turn < silent.length; turn++) {
    for (const from of silent) wanted.announced(one, stamp(2), from, at);
    at += 2 * SECOND;
    asked.push(...wanted.overdue(at).keys());
  }
  t.true(asked.includes('honest'));
});

test('8,192 entries are awaited, and more are asked for all the same', (t) => {
  const wanted = new WantedEntries();
  for (let i = 0; i < 8_192; i++) t.true(wanted.announced(peerName(i + 2), stamp(2), 'liar', 0));
  t.true(wanted.announced(one, stamp(2), 'a', 0));
  t.true(wanted.announced(one, stamp(2), 'b', 0), 'nobody remembers that it was');
  t.is(wanted.overdue(2 * SECOND).size, 0);
  t.is(wanted.nextTimeout(), undefined);
});

test('a neighbour that was asked, told of it again and was outbid is asked once, and not when it is lost', (t) => {
  for (const isLost of [false, true]) {
    const wanted = new WantedEntries();
    wanted.announced(one, stamp(2), 'a', 0);
    wanted.announced(one, stamp(2), 'a', 10);
    wanted.announced(one, stamp(3), 'b', 20);
    if (isLost) wanted.lost('a');
    const asked = [4, 8, 12].flatMap((s) => [...wanted.overdue(s * SECOND).keys()]);
    t.deepEqual(asked, isLost ? [] : ['a']);
  }
});
