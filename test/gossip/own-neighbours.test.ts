import test from 'ava';
import type { PeerName } from '../../core/peer-name.ts';
import { OwnNeighbours } from '../../gossip/own-neighbours.ts';
import type { Neighbour } from '../../gossip/topology-entry.ts';

const allCount = () => false;
const allSpare = () => true;

/** "a!" is direct. */
function list(text: string): Neighbour[] {
  return text.split(' ').flatMap((word) => {
    const name = word.replace('!', '') as PeerName;
    return name === '' ? [] : { name, established: true, direct: word.endsWith('!') };
  });
}

function fresh(told: string, at: number): OwnNeighbours {
  const own = new OwnNeighbours();
  own.update(list(told), allCount, at);
  return own;
}

test('an edge that comes after a second without is told at once, what follows a second later and together', (t) => {
  const own = new OwnNeighbours();
  t.deepEqual(own.update([], allCount, 0), []);
  t.deepEqual(own.update(list('b'), allCount, 100), list('b'));
  t.is(own.nextTimeout(), undefined);
  t.deepEqual(own.update(list('b!'), allCount, 200), list('b'));
  t.is(own.nextTimeout(), 1_100);
  t.deepEqual(own.update(list('a b! c'), allCount, 900), list('b'));
  t.is(own.nextTimeout(), 1_100);
  t.deepEqual(own.update(list('a b! c'), allCount, 1_100), list('a b! c'));
  t.is(own.nextTimeout(), undefined);
  t.deepEqual(own.update(list('a b! c d'), allCount, 2_100), list('a b! c d'));
});

for (const [before, after, what] of [
  ['a b', 'a', 'the last neighbour'],
  ['a b c', 'a c', 'one in between'],
  ['a! b', 'a b', 'that it is direct'],
  ['a b', 'b c', 'one, while another comes'],
  ['a! b', 'a b!', 'a flag, while another rises'],
  ['a', '', 'all'],
] as const) {
  test(`what is lost is told at once: ${what}`, (t) => {
    const own = fresh(before, 0);
    t.deepEqual(own.update(list(after), allSpare, 1), list(after));
    t.is(own.nextTimeout(), undefined);
  });
}

test('what has gone again by the time that it is to be told is not told', (t) => {
  const own = fresh('a', 0);
  t.deepEqual(own.update(list('a c'), allCount, 100), list('a'));
  t.is(own.nextTimeout(), 1_000);
  t.deepEqual(own.update(list('a'), allCount, 200), list('a'));
  t.is(own.nextTimeout(), undefined);
});

test('that a link is direct now does not hold up an edge that comes', (t) => {
  const own = fresh('a', 0);
  own.update(list('a!'), allCount, 5_000);
  t.deepEqual(own.update(list('a! b'), allCount, 5_100), list('a! b'));
});

test('what is lost does not hold up what comes', (t) => {
  const own = fresh('a b', 0);
  own.update(list('a'), allCount, 5_000);
  t.deepEqual(own.update(list('a c'), allCount, 5_100), list('a c'));
});

test('edges that only make ways shorter wait for four seconds, also if one is direct from the start', (t) => {
  const own = fresh('a', 0);
  t.deepEqual(own.update(list('a b!'), allSpare, 100), list('a'));
  t.is(own.nextTimeout(), 4_000);
  t.deepEqual(own.update(list('a b! c'), allSpare, 3_999), list('a'));
  t.deepEqual(own.update(list('a b! c'), allSpare, 4_000), list('a b! c'));
  t.deepEqual(own.update(list('a b! c d'), allSpare, 8_000), list('a b! c d'), 'quiet for long enough');
});

for (const [what, neighbours, isSpare] of [
  ['one of them is more', 'a b c', (name: PeerName) => name !== 'c'],
  ['a link has become direct', 'a! b', allSpare],
] as const) {
  test(`edges that only make ways shorter are told with the others where ${what}`, (t) => {
    const own = fresh('a', 0);
    own.update(list(neighbours), isSpare, 100);
    t.is(own.nextTimeout(), 1_000);
  });
}
