import test from 'ava';
import { chooseNeighbours } from '../../gossip/backbone.ts';
import { encodeMessage } from '../../gossip/messages.ts';
import { Mesh, neighbours, peerName, reached, type NodeOptions, type SimulatedNode } from './mesh.ts';
import { frame } from './plain-channel.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;

function start(mesh: Mesh, count: number, fullMeshLimit: number): SimulatedNode[] {
  const nodes = Array.from({ length: count }, (_, i) => mesh.add(i + 1, { fullMeshLimit }));
  for (const node of nodes.slice(1)) mesh.connect(node, '192.0.2.1');
  mesh.run(MINUTE);
  return nodes;
}

/** A node that joins later; how many dials it begins in two minutes, once it has found its place. */
function dialsOfNewcomer(mesh: Mesh, options: NodeOptions): [SimulatedNode, number] {
  const node = mesh.add(200, { ip: '192.0.2.200', ...options });
  mesh.connect(node, '192.0.2.2');
  mesh.run(90 * SECOND);
  const before = node.dials;
  mesh.run(2 * MINUTE);
  return [node, node.dials - before];
}

test('who comes to a mesh that once was larger learns that it is sparse', (t) => {
  const mesh = new Mesh(1);
  const nodes = start(mesh, 22, 20);
  for (const node of nodes.slice(18)) mesh.stop(node);
  mesh.run(40 * SECOND);
  t.true(nodes.slice(0, 18).every(({ gossip }) => gossip.isSparse));
  const [node, dials] = dialsOfNewcomer(mesh, { fullMeshLimit: 20 });
  t.is(dials, 0);
  t.true(node.gossip.isSparse);
  t.is(reached(node).length, 19);
  t.true(neighbours(node).length < 18);
});

test('whose limit is higher than that of the others does not dial for ever those that shed it', (t) => {
  const mesh = new Mesh(2);
  start(mesh, 20, 12);
  const [node, dials] = dialsOfNewcomer(mesh, { fullMeshLimit: 200 });
  t.is(dials, 0);
  t.false(node.gossip.isSparse);
  t.is(reached(node).length, 21);
});

test('routes are told anew when the mesh turns sparse or full', (t) => {
  const mesh = new Mesh(3);
  const nodes = [1, 2, 3].map((i) => mesh.add(i, { fullMeshLimit: 2, discovery: false }));
  mesh.connect(nodes[1]!, '192.0.2.1');
  mesh.run(SECOND);
  t.false(nodes[0]!.gossip.isSparse);
  mesh.connect(nodes[2]!, '192.0.2.2');
  mesh.run(SECOND);
  t.true(nodes[0]!.gossip.isSparse);
  mesh.stop(nodes[1]!);
  mesh.run(10 * SECOND);
  const { version } = nodes[0]!.gossip.routes();
  t.deepEqual(reached(nodes[0]!), [peerName(1)]);
  t.true(nodes[0]!.gossip.isSparse);
  mesh.run(30 * SECOND);
  t.false(nodes[0]!.gossip.isSparse);
  t.true(nodes[0]!.gossip.routes().version > version);
});

/** Ends of connections that a node's log says were shed. */
function sheds(node: SimulatedNode): number {
  const logged = node.of('log').filter(({ message }) => message === 'disconnected');
  return logged.filter(({ fields }) => fields['reason'] === 'the backbone does not need this connection')
    .length;
}

test('a mesh that starts at once is sparse within seconds, and no node is left with fewer than eight by it', (t) => {
  const mesh = new Mesh(4);
  const nodes = Array.from({ length: 40 }, (_, i) => mesh.add(i + 1, { fullMeshLimit: 12 }));
  // The first reaches none of those whom the mesh chooses for it: all its connections are such as the others do not need.
  const all = nodes.map(({ name }) => ({ name, acceptsInbound: true }));
  for (const [i, other] of nodes.entries()) {
    const chosen = [
      chooseNeighbours(all[0]!, all).has(other.name),
      chooseNeighbours(all[i]!, all).has(nodes[0]!.name),
    ];
    if (chosen.includes(true)) mesh.cut(nodes[0]!, other);
  }
  for (const [i, node] of nodes.entries()) {
    mesh.connect(node, '192.0.2.1', ...[1, 7, 16].map((far) => `192.0.2.${((i + far) % 40) + 1}`));
  }
  const before = new Map<SimulatedNode, number>();
  let settledAt = 0;
  while (mesh.now < 30 * SECOND) {
    mesh.run(20);
    for (const node of nodes) {
      const shed = sheds(node);
      if (shed === (before.get(node) ?? 0)) continue;
      before.set(node, shed);
      settledAt = mesh.now;
      const left = node.gossip.connectionsStatus(mesh.now).filter(({ state }) => state === 'established');
      t.true(left.length >= 8, `${node.name} has ${left.length} at ${mesh.now}`);
    }
  }
  t.true(settledAt > 0 && settledAt < 20 * SECOND, `shedding until ${settledAt}`);
  const degrees = nodes.map((node) => neighbours(node).length);
  t.true(Math.min(...degrees) >= 8 && Math.max(...degrees) <= 20, degrees.join());
});

test('whoever asks to be spared, and however many do at once, a node keeps eight', (t) => {
  const mesh = new Mesh(5);
  const nodes = start(mesh, 16, 20);
  const node = nodes[0]!;
  t.is(neighbours(node).length, 15);
  for (const conn of [...node.streams.keys()])
    mesh.inject(node, conn, frame(encodeMessage({ type: 'spare' })));
  const left = node.gossip.connectionsStatus(mesh.now).filter(({ state }) => state === 'established');
  t.true(left.length >= 8 && left.length <= 10, `${left.length}`);
  const wanted = chooseNeighbours({ name: node.name, acceptsInbound: true }, node.gossip.entries());
  for (const name of wanted)
    t.true(
      left.some(({ peer }) => peer === name),
      name,
    );
});
