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
  own.update(list(told), false, at);
  return own;
}

test('an edge that comes after a second without is told at once, what follows a second later and together', (t) => {
  const own = new OwnNeighbours();
  t.deepEqual(own.update(list('b'), false, 0), [], 'it is no edge yet');
  t.is(own.nextTimeout(), undefined);
  t.deepEqual(own.update(list('b+'), false, 100), list('b+'));
  t.is(own.nextTimeout(), undefined);
  t.deepEqual(own.update(list('b!'), false, 200), list('b+'));
  t.is(own.nextTimeout(), 1_100);
  t.deepEqual(own.update(list('a b! c'), false, 900), list('b+'));
  t.is(own.nextTimeout(), 1_100);
  t.deepEqual(own.update(list('a b! c'), false, 1_100), list('a b! c'));
  t.is(own.nextTimeout(), undefined);
  t.deepEqual(own.update(list('a b! c+'), false, 2_100), list('a b! c+'));
  t.deepEqual(own.update(list('a b! c+ d'), false, 9_000), list('a b! c+'));
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
    const own = fresh(`0+ ${before}`, 0);
    t.deepEqual(own.update(list(`0+ ${after}`), false, 1), list(`0+ ${after}`));
    t.is(own.nextTimeout(), undefined);
  });
}

test('what has gone again by the time that it is to be told is not told', (t) => {
  const own = fresh('a+', 0);
  t.deepEqual(own.update(list('a+ c+'), false, 100), list('a+'));
  t.is(own.nextTimeout(), 1_000);
  t.deepEqual(own.update(list('a+'), false, 200), list('a+'));
  t.is(own.nextTimeout(), undefined);
});

test('that a link is direct now does not hold up an edge that comes', (t) => {
  const own = fresh('a+', 0);
  own.update(list('a!'), false, 5_000);
  t.deepEqual(own.update(list('a! b+'), false, 5_100), list('a! b+'));
});

test('what is lost does not hold up what comes', (t) => {
  const own = fresh('a+ b+', 0);
  own.update(list('a+'), false, 5_000);
  t.deepEqual(own.update(list('a+ c+'), false, 5_100), list('a+ c+'));
});

test('where the mesh is sparse and four edges are told of, what follows waits for six seconds', (t) => {
  const own = fresh('a+ b+ c+', 0);
  t.deepEqual(own.update(list('a+ b+ c+ d+ e'), true, 1_000), list('a+ b+ c+ d+ e'), 'three are few');
  t.deepEqual(own.update(list('a+ b+ c+ d+ e+'), true, 1_100), list('a+ b+ c+ d+ e'));
  t.is(own.nextTimeout(), 7_000);
  t.deepEqual(own.update(list('a+ b+ c+ d+ e+'), false, 2_000), list('a+ b+ c+ d+ e+'), 'no longer sparse');
  t.deepEqual(own.update(list('a+ b+ c+ d+ e+ f+'), true, 7_999), list('a+ b+ c+ d+ e+'));
  t.deepEqual(own.update(list('a+ b+ c+ d+ e+ f+'), true, 8_000), list('a+ b+ c+ d+ e+ f+'));
  t.deepEqual(own.update(list('b+ c+ d+ e+ f+ g+'), true, 8_001), list('b+ c+ d+ e+ f+ g+'), 'one is lost');
  own.update(list('b+ c+ d+ e+ f+ g! h+'), true, 8_002);
  t.is(own.nextTimeout(), 9_001, 'a link is direct');
});
