import test from 'ava';
import type { PeerName } from '../../core/peer-name.ts';
import { Mesh, neighbours, peerName, reached, type SimulatedNode } from './mesh.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** Without the first time, which is when it was told whom to connect to. */
function persistedBy(node: SimulatedNode) {
  return node.of('persist-targets').slice(1);
}

function candidatesOf(node: SimulatedNode): readonly { name: string; remaining: number }[] | undefined {
  return node.of('persist-targets').at(-1)?.candidates;
}

test('a peer is a candidate, which is persisted, while it is there and after it vanished', (t) => {
  const mesh = new Mesh(9);
  const [a, b] = [mesh.add(1), mesh.add(2)];
  mesh.connect(b, '192.0.2.1');
  mesh.run(10 * SECOND);
  mesh.run(21 * SECOND);
  const persisted = {
    type: 'persist-targets' as const,
    targets: [],
    candidates: [{ name: peerName(2), addresses: ['192.0.2.2:6783'], remaining: 24 * HOUR }],
  };
  t.deepEqual(persistedBy(a), [persisted], 'half a minute after it came');
  mesh.crash(b);
  mesh.run(70 * SECOND);
  t.deepEqual(persistedBy(a), [persisted, persisted]);
  mesh.run(2 * HOUR);
  t.deepEqual(candidatesOf(a), [{ ...persisted.candidates[0]!, remaining: 22 * HOUR }]);
  mesh.add(2);
  mesh.run(3 * MINUTE);
  t.deepEqual(neighbours(a), [peerName(2)]);
  t.deepEqual(candidatesOf(a), persisted.candidates);
});

test('hosts that fail together find one another without the one that all were given', (t) => {
  const mesh = new Mesh(14);
  const nodes = [1, 2, 3].map((i) => mesh.add(i));
  for (const node of nodes.slice(1)) mesh.connect(node, '192.0.2.1');
  mesh.run(MINUTE);
  for (const node of nodes) mesh.crash(node);
  const again = nodes.slice(1).map((node, i) => {
    const { targets, candidates } = node.of('persist-targets').at(-1)!;
    const next = mesh.add(i + 2, { candidates });
    mesh.connect(next, ...targets);
    return next;
  });
  mesh.run(5 * SECOND);
  for (const node of again) t.deepEqual(reached(node), [peerName(2), peerName(3)]);
});

test('candidates of an earlier run are tried at start', (t) => {
  const mesh = new Mesh(10);
  mesh.add(2);
  const candidates = [{ name: peerName(2), addresses: ['192.0.2.2:6783'], remaining: HOUR }];
  const node = mesh.add(1, { candidates });
  mesh.run(SECOND);
  t.deepEqual(neighbours(node), [peerName(2)]);
});

test('what is left of the time of a candidate goes on from one run to the next, and is persisted every hour', (t) => {
  const mesh = new Mesh(11);
  const candidates = [{ name: peerName(2), addresses: ['192.0.2.2:6783'], remaining: 2.5 * HOUR }];
  const node = mesh.add(1, { candidates });
  const left = [];
  for (let hour = 0; hour < 4; hour++) {
    mesh.run(HOUR + 1);
    left.push(candidatesOf(node)!.map(({ remaining }) => remaining / HOUR));
  }
  t.deepEqual(left, [[1.5], [0.5], [], []]);
  t.is(persistedBy(node).length, 3);
});

test('a peer that was never connected is no candidate: the way to it leads by way of others', (t) => {
  const mesh = new Mesh(12);
  const nodes = [1, 2, 3].map((i) => mesh.add(i, { acceptsInbound: i !== 3 }));
  mesh.cut(nodes[0]!, nodes[2]!);
  for (const node of [nodes[0]!, nodes[2]!]) mesh.connect(node, '192.0.2.2');
  mesh.run(10 * SECOND);
  mesh.crash(nodes[2]!);
  mesh.run(70 * SECOND);
  t.deepEqual(
    candidatesOf(nodes[1]!)?.map(({ name }) => name),
    [peerName(1), peerName(3)],
  );
  t.deepEqual(nodes[0]!.of('peer-gone'), [{ type: 'peer-gone', name: peerName(3) }]);
  t.deepEqual(
    candidatesOf(nodes[0]!)?.map(({ name }) => name),
    [peerName(2)],
  );
});

test('a sparse mesh is no denser after a partition than it was before, and no node dials all that are back', (t) => {
  const mesh = new Mesh(13);
  const nodes = Array.from({ length: 30 }, (_, i) => mesh.add(i + 1, { fullMeshLimit: 12 }));
  for (const node of nodes.slice(1)) mesh.connect(node, '192.0.2.1');
  mesh.run(2 * MINUTE);
  const edges = () => nodes.reduce((sum, { streams }) => sum + streams.size, 0) / 2;
  const before = edges();
  mesh.partition(nodes.slice(0, 15), nodes.slice(15));
  mesh.run(100 * SECOND);
  for (const node of nodes) t.is(reached(node).length, 15);
  mesh.heal();
  let most = 0;
  for (let i = 0; i < 26; i++) {
    mesh.run(5 * SECOND);
    most = Math.max(most, edges());
  }
  for (const node of nodes) t.is(reached(node).length, 30);
  t.true(most < 1.4 * before, `${before} edges before, up to ${most} after`);
  t.true(edges() < 1.1 * before, `${before} edges before, ${edges()} after`);
  mesh.run(MINUTE);
  for (const node of nodes) {
    const strangers = candidatesOf(node)!.filter(({ name }) => !neighbours(node).includes(name as PeerName));
    t.deepEqual(strangers, []);
  }
});
