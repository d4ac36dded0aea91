import test from 'ava';
import { Mesh, neighbours, peerName, reached, type NodeOptions, type SimulatedNode } from './mesh.ts';

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
