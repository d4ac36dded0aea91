import test from 'ava';
import fc from 'fast-check';
import { BroadcastTrees } from '../../../router/switch/broadcast-tree.ts';
import { routesOf } from './routes.ts';

type Edge = readonly [number, number];

/** Who gets a broadcast how often if each peer passes it on to its children. */
function copiesPerPeer(peers: number, edges: readonly Edge[], originator: number): number[] {
  const copies = Array<number>(peers).fill(0);
  const pending = [originator];
  for (let peer = pending.shift(); peer !== undefined; peer = pending.shift()) {
    copies[peer]!++;
    pending.push(...new BroadcastTrees(routesOf(peers, edges, peer)).childrenFor(originator));
  }
  return copies;
}

test('every peer of a connected mesh gets a broadcast exactly once', (t) => {
  const mesh = fc.integer({ min: 1, max: 12 }).chain((peers) => {
    const peer = fc.integer({ min: 0, max: peers - 1 });
    return fc.record({ peers: fc.constant(peers), extra: fc.array(fc.tuple(peer, peer)), originator: peer });
  });
  fc.assert(
    fc.property(mesh, ({ peers, extra, originator }) => {
      const chain = Array.from({ length: peers - 1 }, (_, i): Edge => [i, i + 1]);
      const copies = copiesPerPeer(peers, [...chain, ...extra], originator);
      t.deepEqual(copies, Array<number>(peers).fill(1));
    }),
  );
});

test('in a full mesh the originator reaches all and the others pass nothing on', (t) => {
  const edges: Edge[] = [
    [0, 1],
    [0, 2],
    [1, 2],
  ];
  t.deepEqual([...new BroadcastTrees(routesOf(3, edges, 1)).childrenFor(1)], [0, 2]);
  t.deepEqual([...new BroadcastTrees(routesOf(3, edges, 2)).childrenFor(1)], []);
});

test('a peer reached over two shortest paths belongs to the lower of both', (t) => {
  const square: Edge[] = [
    [0, 1],
    [0, 2],
    [1, 3],
    [2, 3],
  ];
  t.deepEqual([...new BroadcastTrees(routesOf(4, square, 1)).childrenFor(0)], [3]);
  t.deepEqual([...new BroadcastTrees(routesOf(4, square, 2)).childrenFor(0)], []);
});

test('who is cut off from the originator passes nothing on', (t) => {
  const edges: Edge[] = [
    [0, 1],
    [2, 3],
  ];
  t.deepEqual([...new BroadcastTrees(routesOf(4, edges, 2)).childrenFor(0)], []);
});

test('a tree is computed once per snapshot', (t) => {
  const trees = new BroadcastTrees(routesOf(2, [[0, 1]], 0));
  t.is(trees.childrenFor(0), trees.childrenFor(0));
});
