import test from 'ava';
import fc from 'fast-check';
import type { PeerName } from '../../core/peer-name.ts';
import { RouteView } from '../../gossip/route-view.ts';
import { computeRoutes, sameRoutes } from '../../gossip/routes.ts';
import type { TopologyEntry } from '../../gossip/topology-entry.ts';
import { peerName } from './mesh.ts';

type Edge = readonly [number, number];

/** Each pair lists the second as a neighbour of the first. */
function view(
  count: number,
  edges: readonly Edge[],
  direct: readonly Edge[] = [],
): { entry: TopologyEntry }[] {
  const has = (list: readonly Edge[], a: number, b: number): boolean =>
    list.some(([x, y]) => x === a && y === b);
  const all = Array.from({ length: count }, (_, i) => i + 1);
  return all.map((a) => ({
    entry: {
      name: peerName(a),
      nickname: '',
      incarnation: 255 + a,
      version: 1,
      uid: '0000000000000000',
      key: new Uint8Array(32),
      generation: '0000000000000000',
      addresses: [],
      acceptsInbound: true,
      neighbours: all
        .filter((b) => has(edges, a, b))
        .map((b) => ({ name: peerName(b), established: true, direct: has(direct, a, b) })),
      capabilities: [],
      bridgeMtu: 1_400 + a,
      info: {},
    },
  }));
}

const both = (...edges: Edge[]): Edge[] => edges.flatMap(([a, b]) => [[a, b] as const, [b, a] as const]);

test('only edges that both ends list count', (t) => {
  const routes = computeRoutes(view(3, [...both([1, 2]), [2, 3]]), peerName(1), 1);
  t.deepEqual(routes.names, [peerName(1), peerName(2)]);
  t.deepEqual([...routes.adjacency], [1, 0]);
});

test('a snapshot holds sorted names, adjacency, next hops, epochs and MTUs', (t) => {
  const edges = both([1, 2], [2, 3], [3, 4], [4, 1]);
  const routes = computeRoutes(view(4, edges, both([1, 2])), peerName(1), 7);
  t.is(routes.version, 7);
  t.is(routes.self, 0);
  t.deepEqual([...routes.adjacencyStart], [0, 2, 4, 6, 8]);
  t.deepEqual([...routes.adjacency], [1, 3, 0, 2, 1, 3, 0, 2]);
  t.deepEqual([...routes.direct], [1, 0, 1, 0, 0, 0, 0, 0]);
  t.deepEqual([...routes.nextHop], [-1, 1, 1, 3], 'of two equally short ways the one by the lower name');
  t.deepEqual([...routes.epoch], [0, 1, 2, 3]);
  t.deepEqual([...routes.bridgeMtu], [1_401, 1_402, 1_403, 1_404]);
});

test('a direct flag counts when both ends set it', (t) => {
  const routes = computeRoutes(view(2, both([1, 2]), [[1, 2]]), peerName(1), 1);
  t.deepEqual([...routes.direct], [0, 0]);
});

test('the order of entries does not matter, and a snapshot is the same but for its version', (t) => {
  const entries = view(5, both([1, 2], [2, 3], [1, 4], [4, 5]));
  const a = computeRoutes(entries, peerName(2), 1);
  const b = computeRoutes([...entries].reverse(), peerName(2), 2);
  t.true(sameRoutes(a, b));
  t.false(sameRoutes(a, computeRoutes(view(5, both([1, 2], [2, 3], [1, 4])), peerName(2), 3)));
});

test('next hops avoid an edge that is not direct where direct ones lead to the peer', (t) => {
  const edges = both([1, 2], [1, 3], [2, 3], [1, 4], [4, 5]);
  const routes = computeRoutes(view(5, edges, both([1, 3], [2, 3])), peerName(1), 1);
  const hops = [...routes.nextHop].map((hop) => hop + 1);
  t.deepEqual(hops, [0, 3, 3, 4, 4], 'to 2 by way of 3; to 4 and 5 there is no direct way');
});

test('in any graph next hops lead to every reachable peer, in as many steps as it is away over direct edges if those do', (t) => {
  const edge = fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 }), fc.boolean());
  fc.assert(
    fc.property(fc.array(edge, { maxLength: 20 }), (drawn) => {
      const edges = drawn.filter(([a, b]) => a !== b);
      const pairs = (list: typeof edges) => both(...list.map(([a, b]): Edge => [a, b]));
      const entries = view(9, pairs(edges), pairs(edges.filter(([, , direct]) => direct)));
      const all = entries.map(({ entry }) => computeRoutes(entries, entry.name, 1));
      for (const from of all) {
        for (const target of from.names) {
          let at = from;
          let steps = 0;
          while (at.names[at.self] !== target) {
            const hop = at.nextHop[at.names.indexOf(target)]!;
            const next = at.names[hop]!;
            at = all.find((routes) => routes.names[routes.self] === next)!;
            if (++steps > 9) return false;
          }
          const to = from.names.indexOf(target);
          const overDirect = distance(from, to, (i) => from.direct[i] === 1);
          const overAny = distance(from, to, () => true);
          if (overDirect < Infinity ? steps !== overDirect : steps < overAny) return false;
        }
      }
      return true;
    }),
    { numRuns: 100, seed: 3 },
  );
  t.pass();
});

/** By relaxation: slow and obvious. */
function distance(
  routes: ReturnType<typeof computeRoutes>,
  to: number,
  counts: (edge: number) => boolean,
): number {
  const far = routes.names.map((_, i) => (i === routes.self ? 0 : Infinity));
  for (let round = 0; round < far.length; round++) {
    for (let a = 0; a < far.length; a++) {
      for (let i = routes.adjacencyStart[a]!; i < routes.adjacencyStart[a + 1]!; i++) {
        const b = routes.adjacency[i]!;
        if (counts(i)) far[b] = Math.min(far[b]!, far[a]! + 1);
      }
    }
  }
  return far[to]!;
}

test('further attempts leave by the other neighbours that know the peer, in turn, and come back to the first', (t) => {
  const [one, two, three, four, five] = [1, 2, 3, 4, 5].map(peerName) as [
    PeerName,
    PeerName,
    PeerName,
    PeerName,
    PeerName,
  ];
  const edges = both([1, 2], [1, 3], [1, 4], [2, 5], [4, 5], [3, 4]);
  const routes = new RouteView(computeRoutes(view(5, edges, edges), one, 1));
  t.deepEqual(
    [0, 1, 2, 3].map((attempt) => routes.hopOfAttempt(five, attempt)),
    [two, four, two, four],
  );
  t.deepEqual(
    [0, 1, 2].map((attempt) => routes.hopOfAttempt(three, attempt)),
    [three, three, three],
  );
  t.is(routes.hopOfAttempt(peerName(9), 1), undefined);
});

test('where no other neighbour knows the peer, all of them are tried', (t) => {
  const edges = both([1, 2], [1, 3], [2, 4], [4, 5]);
  const routes = new RouteView(computeRoutes(view(5, edges, edges), peerName(1), 1));
  t.deepEqual(
    [0, 1, 2].map((attempt) => routes.hopOfAttempt(peerName(5), attempt)),
    [peerName(2), peerName(3), peerName(2)],
  );
});

test('no attempt leaves by an edge that is not direct, least of all the one to the peer itself', (t) => {
  const edges = both([1, 2], [1, 3], [1, 4], [2, 3], [2, 4]);
  const direct = both([1, 3], [2, 3], [2, 4]);
  const routes = new RouteView(computeRoutes(view(4, edges, direct), peerName(1), 1));
  for (const attempt of [0, 1, 2]) t.is(routes.hopOfAttempt(peerName(2), attempt), peerName(3));
});
