import test from 'ava';
import type { PeerName } from '../../core/peer-name.ts';
import { OwnNeighbours } from '../../gossip/own-neighbours.ts';
import type { Neighbour } from '../../gossip/topology-entry.ts';

/** "a+" is established, "a!" direct besides. */
function list(text: string): Neighbour[] {
  return text.split(' ').flatMap((word) => {
    const name = word.replace(/[+!]/, '') as PeerName;
    return name === '' ? [] : { name, established: /[+!]/.test(word), direct: word.endsWith('!') };
  });
}

function fresh(told: string, at: number): OwnNeighbours {
  const own = new OwnNeighbours();
  own.update(list(told), at);
  return own;
}

test('an edge that comes after a second without is told at once, what follows a second later and together', (t) => {
  const own = new OwnNeighbours();
  t.deepEqual(own.update(list('b'), 0), list('b'));
  t.deepEqual(own.update(list('b+'), 100), list('b+'), 'that it began does not hold it up');
  t.is(own.nextTimeout(), undefined);
  t.deepEqual(own.update(list('b!'), 200), list('b+'));
  t.is(own.nextTimeout(), 1_100);
  t.deepEqual(own.update(list('a b! c'), 900), list('b+'));
  t.is(own.nextTimeout(), 1_100);
  t.deepEqual(own.update(list('a b! c'), 1_100), list('a b! c'));
  t.is(own.nextTimeout(), undefined);
  t.deepEqual(own.update(list('a b! c+'), 2_100), list('a b! c+'));
});

for (const [before, after, what] of [
  ['a b', 'a', 'the last neighbour'],
  ['a b c', 'a c', 'one in between'],
  ['a+ b', 'a b', 'that it is established'],
  ['a! b', 'a+ b', 'that it is direct'],
  ['a b', 'b c', 'one, while another comes'],
  ['a! b', 'a+ b!', 'a flag, while another rises'],
  ['a', '', 'all'],
] as const) {
  test(`what is lost is told at once: ${what}`, (t) => {
    const own = fresh(before, 0);
    t.deepEqual(own.update(list(after), 1), list(after));
    t.is(own.nextTimeout(), undefined);
  });
}

test('what has gone again by the time that it is to be told is not told', (t) => {
  const own = fresh('a+', 0);
  t.deepEqual(own.update(list('a+ c+'), 100), list('a+'));
  t.is(own.nextTimeout(), 1_000);
  t.deepEqual(own.update(list('a+'), 200), list('a+'));
  t.is(own.nextTimeout(), undefined);
});

test('that a link is direct now does not hold up an edge that comes', (t) => {
  const own = fresh('a+', 0);
  own.update(list('a!'), 5_000);
  t.deepEqual(own.update(list('a! b+'), 5_100), list('a! b+'));
});

test('what is lost does not hold up what comes', (t) => {
  const own = fresh('a+ b+', 0);
  own.update(list('a+'), 5_000);
  t.deepEqual(own.update(list('a+ c+'), 5_100), list('a+ c+'));
});
