import test from 'ava';
import { SeededRandom, randomFraction } from '../../core/random.ts';
import type { PeerName } from '../../core/peer-name.ts';
import { chooseNeighbours, isSparse, pairScore } from '../../gossip/backbone.ts';
import { peerName } from './mesh.ts';

const peers = (
  count: number,
  acceptsInbound: (i: number) => boolean = () => true,
): { name: PeerName; acceptsInbound: boolean }[] =>
  Array.from({ length: count }, (_, i) => ({ name: peerName(i + 1), acceptsInbound: acceptsInbound(i) }));

function graph(all: ReturnType<typeof peers>): Map<PeerName, Set<PeerName>> {
  const edges = new Map(all.map(({ name }) => [name, new Set<PeerName>()]));
  for (const self of all) {
    for (const other of chooseNeighbours(self, all)) {
      edges.get(self.name)!.add(other);
      edges.get(other)!.add(self.name);
    }
  }
  return edges;
}

/** Peers within reach of the first that is left, and how far the furthest is. */
function spread(
  edges: ReadonlyMap<PeerName, ReadonlySet<PeerName>>,
  alive: ReadonlySet<PeerName>,
): [number, number] {
  const [start] = alive;
  const far = new Map([[start!, 0]]);
  for (const [at, distance] of far) {
    for (const next of edges.get(at)!) if (alive.has(next) && !far.has(next)) far.set(next, distance + 1);
  }
  return [far.size, Math.max(...far.values())];
}

test('the mesh becomes sparse above the limit and full again well below it', (t) => {
  t.false(isSparse(false, 80, 80));
  t.true(isSparse(false, 81, 80));
  t.true(isSparse(true, 48, 80));
  t.false(isSparse(true, 47, 80));
});

test('a backbone of 500 has a degree of about 16 and a small diameter, also when a third vanishes', (t) => {
  const all = peers(500);
  const edges = graph(all);
  const degrees = [...edges.values()].map(({ size }) => size);
  const mean = degrees.reduce((sum, degree) => sum + degree, 0) / degrees.length;
  t.true(mean > 10 && mean < 18, `mean ${mean}`);
  t.true(Math.max(...degrees) <= 30, `max ${Math.max(...degrees)}`);
  const everyone = new Set(edges.keys());
  t.deepEqual(spread(edges, everyone)[0], 500);
  t.true(spread(edges, everyone)[1] <= 4);
  for (let seed = 1; seed <= 20; seed++) {
    const random = new SeededRandom(seed);
    const alive = new Set([...everyone].filter(() => randomFraction(random) > 1 / 3));
    const [reached, diameter] = spread(edges, alive);
    t.is(reached, alive.size);
    t.true(diameter <= 6);
  }
});

test('a choice hardly changes when a peer comes', (t) => {
  const before = chooseNeighbours(peers(1)[0]!, peers(300));
  const after = chooseNeighbours(peers(1)[0]!, peers(301));
  const kept = [...before].filter((name) => after.has(name)).length;
  t.true(kept >= before.size - 2);
});

test('two peers that accept no inbound connections are never chosen for each other', (t) => {
  const all = peers(100, (i) => i % 3 === 0);
  const closed = new Set(all.filter(({ acceptsInbound }) => !acceptsInbound).map(({ name }) => name));
  for (const self of all.filter(({ name }) => closed.has(name))) {
    for (const name of chooseNeighbours(self, all)) t.false(closed.has(name));
  }
});

test('a pair has the same score from both ends', (t) => {
  t.is(pairScore(peerName(3), peerName(9)), pairScore(peerName(9), peerName(3)));
});
