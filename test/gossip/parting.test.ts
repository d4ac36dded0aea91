import test from 'ava';
import { equalBytes } from '../../core/bytes.ts';
import type { PeerName } from '../../core/peer-name.ts';
import { chooseNeighbours, hasBetterPath, pairScore } from '../../gossip/backbone.ts';
import { encodeMessage } from '../../gossip/messages.ts';
import { Mesh, neighbours, peerName, reached, type SimulatedNode } from './mesh.ts';
import { frame } from './plain-channel.ts';

const SECOND = 1_000;
const SHED = 'the backbone does not need this connection';
const SPARE = frame(encodeMessage({ type: 'spare' }));
const KEEP = frame(encodeMessage({ type: 'keep' }));

/** Whether the mesh would choose the pair, from either end. */
function isChosen(nodes: readonly SimulatedNode[], a: SimulatedNode, b: SimulatedNode): boolean {
  const all = nodes.map(({ name }) => ({ name, acceptsInbound: true }));
  const chooses = (one: SimulatedNode, other: SimulatedNode): boolean =>
    chooseNeighbours({ name: one.name, acceptsInbound: true }, all).has(other.name);
  return chooses(a, b) || chooses(b, a);
}

interface Offers {
  readonly mesh: Mesh;
  readonly nodes: readonly SimulatedNode[];
  /** Its neighbours are such as neither end has chosen. */
  readonly node: SimulatedNode;
  /** When it was told that `node` can spare it. */
  readonly times: (to: SimulatedNode) => readonly number[];
  /** Those whom it has told so, best first. */
  readonly spared: () => SimulatedNode[];
}

/** A mesh whose nodes offer to part; nobody hears of it. */
function offering(seed: number): Offers {
  const mesh = new Mesh(seed);
  const nodes = Array.from({ length: 30 }, (_, i) => mesh.add(i + 1, { fullMeshLimit: 29 }));
  const node = nodes[0]!;
  const told = new Map<SimulatedNode, number[]>();
  mesh.swallows = (bytes, from, to) => {
    if (!equalBytes(bytes, SPARE)) return false;
    if (from === node) told.set(to, [...(told.get(to) ?? []), mesh.now]);
    return true;
  };
  const free = nodes.filter((other) => other !== node && !isChosen(nodes, node, other));
  for (const other of nodes) if (other !== node && !free.includes(other)) mesh.cut(node, other);
  const late = nodes.at(-1)!;
  for (const other of nodes.slice(2)) if (other !== late) mesh.connect(other, nodes[1]!.ip);
  mesh.connect(node, free[0]!.ip);
  mesh.run(5 * SECOND);
  mesh.connect(late, nodes[1]!.ip);
  mesh.run(8 * SECOND);
  const spared = (): SimulatedNode[] =>
    [...told.keys()].sort((a, b) => pairScore(node.name, a.name) - pairScore(node.name, b.name));
  return { mesh, nodes, node, times: (to) => told.get(to) ?? [], spared };
}

function connOf(node: SimulatedNode, other: SimulatedNode): number {
  const [conn] = [...node.streams].find(([, { ends }]) => ends.some((end) => end.node === other))!;
  return conn;
}

/** As if `from` had said it to `to`. */
function say(mesh: Mesh, from: SimulatedNode, to: SimulatedNode, message: Uint8Array): void {
  mesh.inject(to, connOf(to, from), message);
}

/** Ends the connection, and makes sure that there is no other one. */
function part(mesh: Mesh, a: SimulatedNode, b: SimulatedNode): void {
  const [near, far] = [connOf(a, b), connOf(b, a)];
  mesh.cut(a, b);
  a.streams.delete(near);
  b.streams.delete(far);
  mesh.act(a, (gossip, now) => gossip.onClosed(near, 'cut off', now));
  mesh.act(b, (gossip, now) => gossip.onClosed(far, 'cut off', now));
}

/** Takes from the node those of its neighbours that it keeps, but for seven. */
function leaveSeven({ mesh, nodes, node, spared }: Offers): void {
  const offered = spared();
  const kept = nodes.filter((other) => neighbours(node).includes(other.name) && !offered.includes(other));
  for (const other of kept.slice(7)) part(mesh, node, other);
}

function isConnected(a: SimulatedNode, b: SimulatedNode): boolean {
  return neighbours(a).includes(b.name) && neighbours(b).includes(a.name);
}

test('an edge is not needed where edges better than it join its ends, and only then', (t) => {
  const names = Array.from({ length: 12 }, (_, i) => peerName(i + 1));
  const edges = new Map<PeerName, PeerName[]>(names.map((name) => [name, names.filter((n) => n !== name)]));
  const pairs = names.flatMap((a, i) => names.slice(i + 1).map((b) => [a, b] as const));
  // The best edges last: whatever is taken away by this rule, in whatever order, the mesh stays whole.
  const order = pairs.sort(([a], [b]) => (a < b ? 1 : -1));
  const spare = order.filter(([a, b]) => hasBetterPath(a, b, (name) => edges.get(name)!));
  t.is(spare.length, pairs.length - (names.length - 1));
  for (const [a, b] of spare) {
    edges.set(
      a,
      edges.get(a)!.filter((n) => n !== b),
    );
    edges.set(
      b,
      edges.get(b)!.filter((n) => n !== a),
    );
  }
  const whole = new Set([names[0]!]);
  for (const at of whole) for (const next of edges.get(at)!) whole.add(next);
  t.is(whole.size, names.length);
});

for (const bridges of [1, 3]) {
  test(`the last edge between two parts of a mesh stays, of ${bridges} that neither end chose`, (t) => {
    const mesh = new Mesh(bridges);
    const nodes = Array.from({ length: 30 }, (_, i) => mesh.add(i + 1, { fullMeshLimit: 29 }));
    const halves = [nodes.slice(0, 15), nodes.slice(15)] as const;
    const across = halves[0].flatMap((a) => halves[1].map((b) => [a, b] as const));
    // Such as hardly anybody would keep.
    across.sort(([a, b], [c, d]) => pairScore(c.name, d.name) - pairScore(a.name, b.name));
    const joined: (readonly [SimulatedNode, SimulatedNode])[] = [];
    for (const [a, b] of across) {
      const isFresh = joined.every(([c, d]) => a !== c && b !== d);
      if (joined.length < bridges && isFresh && !isChosen(nodes, a, b)) joined.push([a, b]);
      else mesh.cut(a, b);
    }
    for (const half of halves) for (const node of half.slice(1)) mesh.connect(node, half[0]!.ip);
    mesh.run(5 * SECOND);
    for (const [a, b] of joined) mesh.connect(a, b.ip);
    mesh.run(3 * SECOND);
    t.true(joined.every(([a, b]) => isConnected(a, b)));
    for (let second = 10; second < 60; second++) {
      mesh.run(SECOND);
      for (const node of nodes) t.is(reached(node).length, 30, `${node.name} after ${second} s`);
    }
    t.is(joined.filter(([a, b]) => isConnected(a, b)).length, 1, 'and no more of them than are needed');
  });
}

test('who needs the neighbour again while an offer is open does not count it, and does half a minute later', (t) => {
  const offers = offering(11);
  const { mesh, node, spared } = offers;
  const [first, second] = spared();
  leaveSeven(offers);
  mesh.run(10 * SECOND);
  say(mesh, first!, node, SPARE);
  mesh.run(SECOND);
  t.false(isConnected(node, first!), 'it is as good as gone');
  mesh.run(25 * SECOND);
  say(mesh, second!, node, SPARE);
  mesh.run(SECOND);
  t.true(isConnected(node, second!), 'no answer is as good as a refusal');
});

test('who hears that the neighbour keeps the connection counts it again', (t) => {
  const offers = offering(12);
  const { mesh, node, spared } = offers;
  const [first] = spared();
  say(mesh, first!, node, KEEP);
  leaveSeven(offers);
  say(mesh, first!, node, SPARE);
  mesh.run(SECOND);
  t.true(isConnected(node, first!));
});

test('a connection that replaces the one of an offer counts', (t) => {
  const offers = offering(18); // the new connection has the lower sid: it wins
  const { mesh, node, spared } = offers;
  const [first] = spared();
  leaveSeven(offers);
  const lost = connOf(first!, node);
  first!.streams.delete(lost);
  mesh.act(first!, (gossip, now) => gossip.onClosed(lost, 'cut off', now));
  mesh.connect(first!, node.ip);
  mesh.run(2 * SECOND);
  say(mesh, first!, node, SPARE);
  mesh.run(SECOND);
  t.true(isConnected(node, first!));
});

test('who keeps its connection is asked again only when its entry has changed', (t) => {
  const { mesh, nodes, node, spared, times } = offering(14);
  const [keeper, silent] = spared();
  for (const other of spared()) if (other !== silent) say(mesh, other, node, KEEP);
  const announce = (by: SimulatedNode, bridgeMtu: number): void => {
    mesh.act(by, (gossip, now) => gossip.announce({ bridgeMtu }, now));
    mesh.run(10 * SECOND);
  };
  const before = times(keeper!).length;
  mesh.run(40 * SECOND);
  announce(
    nodes.find((other) => !spared().includes(other) && other !== node)!,
    1_400,
  );
  t.is(times(silent!).length, 2, 'who never answers is asked again');
  t.is(times(keeper!).length, before);
  announce(keeper!, 1_400);
  t.is(times(keeper!).length, before + 1);
});

test('a node without discovery keeps every connection', (t) => {
  const mesh = new Mesh(15);
  const nodes = Array.from({ length: 16 }, (_, i) =>
    mesh.add(i + 1, { discovery: i > 0, fullMeshLimit: 12 }),
  );
  for (const node of nodes.slice(1)) mesh.connect(node, '192.0.2.1');
  mesh.run(30 * SECOND);
  for (const node of nodes.slice(1)) say(mesh, node, nodes[0]!, SPARE);
  mesh.run(SECOND);
  t.is(neighbours(nodes[0]!).length, 15);
});

test('both ends may offer at once', (t) => {
  const { mesh, node, spared } = offering(16);
  const [first] = spared();
  const [near, far] = [connOf(node, first!), connOf(first!, node)];
  mesh.inject(node, near, SPARE);
  mesh.inject(first!, far, SPARE);
  mesh.run(SECOND);
  t.false(isConnected(node, first!));
  for (const end of [node, first!]) {
    const shed = end.of('log').filter(({ fields }) => fields['reason'] === SHED);
    t.is(shed.length, 1);
    t.true(end.gossip.isSparse);
  }
});

test('who offered to part, and then finds that the mesh is full, connects again', (t) => {
  const mesh = new Mesh(20);
  const nodes = Array.from({ length: 31 }, (_, i) => mesh.add(i + 1, { fullMeshLimit: 30 }));
  const told: [SimulatedNode, SimulatedNode][] = [];
  mesh.swallows = (bytes, from, to) => equalBytes(bytes, SPARE) && told.push([from, to]) > 0;
  for (const node of nodes.slice(1)) mesh.connect(node, '192.0.2.1');
  mesh.run(60 * SECOND);
  told.length = 0;
  for (const node of nodes.slice(17)) mesh.stop(node);
  // The offers are made 5 s later, those who are gone are forgotten after 30 s.
  mesh.run(33 * SECOND);
  const living = told.filter((pair) => pair.every(({ alive }) => alive));
  for (const { gossip } of living.flat()) t.false(gossip.isSparse);
  const [from, to] = living.find(([from, to]) => {
    say(mesh, from, to, SPARE);
    mesh.run(100);
    return ![...from.streams.values()].some(({ ends }) => ends.some((end) => end.node === to));
  })!;
  mesh.run(60 * SECOND);
  t.true(isConnected(from, to));
});

test('who does not read what it is sent is not answered without end', (t) => {
  const mesh = new Mesh(18);
  const [node, other] = [mesh.add(1), mesh.add(2)];
  mesh.connect(other, node.ip);
  mesh.run(SECOND);
  mesh.cut(node, other);
  for (let i = 0; i < 5; i++)
    mesh.act(node, (gossip, now) => gossip.unicast(other.name, 'bulk', new Uint8Array(65_000), now));
  const before = node.bytesWritten;
  for (let i = 0; i < 100; i++) say(mesh, other, node, SPARE);
  t.is(node.bytesWritten, before);
  t.true(isConnected(node, other));
});

test('who says without end that it can spare the connection is answered once a second', (t) => {
  const mesh = new Mesh(19);
  const [node, other] = [mesh.add(1), mesh.add(2)];
  mesh.connect(other, node.ip);
  mesh.run(5 * SECOND);
  mesh.cut(node, other);
  const before = node.bytesWritten;
  for (let i = 0; i < 100; i++) say(mesh, other, node, SPARE);
  t.is(node.bytesWritten, before + KEEP.length);
  mesh.run(SECOND);
  const later = node.bytesWritten;
  for (let i = 0; i < 100; i++) say(mesh, other, node, SPARE);
  t.is(node.bytesWritten, later + KEEP.length);
  t.true(isConnected(node, other));
});
