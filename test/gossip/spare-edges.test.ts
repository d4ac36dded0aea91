import test from 'ava';
import { SECOND } from '../../core/time.ts';
import { Mesh, peerName, reached, type SimulatedNode } from './mesh.ts';

/** Nodes of a sparse mesh without discovery: `edges` says who dials whom, in order, all long before now. */
function fixed(mesh: Mesh, count: number, edges: readonly (readonly [number, number])[]): SimulatedNode[] {
  const nodes = Array.from({ length: count }, (_, i) =>
    mesh.add(i + 1, { fullMeshLimit: 3, discovery: false }),
  );
  for (const [from, to] of edges) mesh.connect(nodes[from - 1]!, `192.0.2.${to}`);
  mesh.run(20 * SECOND);
  return nodes;
}

test('who comes to a hub of a sparse mesh soon after another is in reach within two seconds', (t) => {
  const mesh = new Mesh(1);
  const nodes = fixed(
    mesh,
    8,
    [2, 3, 4, 5, 6].map((spoke) => [spoke, 1]),
  );
  t.true(nodes[0]!.gossip.isSparse);
  mesh.connect(nodes[6]!, '192.0.2.1');
  mesh.run(0.5 * SECOND);
  mesh.connect(nodes[7]!, '192.0.2.1');
  mesh.run(2 * SECOND);
  for (const node of nodes) t.is(reached(node).length, 8, node.name);
});

test('who comes while a large mesh still finds itself is in reach within two seconds', (t) => {
  for (const late of [1, 2, 3, 4, 5]) {
    const mesh = new Mesh(10 + late);
    const nodes = Array.from({ length: 40 }, (_, i) => mesh.add(i + 1, { fullMeshLimit: 12 }));
    for (const [i, node] of nodes.entries())
      mesh.connect(node, ...[7, 11, 17, 23, 31].map((step) => `192.0.2.${((i + step) % 40) + 1}`));
    mesh.run(late * SECOND);
    const node = mesh.add(50, { fullMeshLimit: 12 });
    mesh.connect(node, '192.0.2.3', '192.0.2.4');
    mesh.run(2 * SECOND);
    for (const each of [...nodes, node]) t.is(reached(each).length, 41, `${each.name}, ${late} s late`);
  }
});

test('an edge that waits to be told of is told when it becomes the only way', (t) => {
  const mesh = new Mesh(3);
  // 6 is in reach of 1 by way of 2 and 8.
  const nodes = fixed(mesh, 8, [
    [2, 1],
    [3, 1],
    [4, 1],
    [5, 1],
    [8, 2],
    [6, 8],
  ]);
  const [one, , , , , six, seven, eight] = nodes as [SimulatedNode, ...SimulatedNode[]];
  mesh.connect(seven!, '192.0.2.1');
  mesh.run(0.5 * SECOND);
  mesh.connect(six!, '192.0.2.1');
  mesh.run(SECOND);
  const edges = (): string[] => one.gossip.entry(peerName(1))!.neighbours.map(({ name }) => name);
  t.false(edges().includes(peerName(6)), 'it only makes the way shorter');
  mesh.stop(eight!);
  mesh.run(SECOND);
  t.true(edges().includes(peerName(6)));
  t.true(reached(one).includes(peerName(6)));
});

test('without another reason a spare edge is told after four seconds', (t) => {
  const mesh = new Mesh(4);
  const nodes = fixed(mesh, 7, [
    [2, 1],
    [3, 1],
    [4, 1],
    [5, 1],
    [6, 2],
  ]);
  mesh.connect(nodes[6]!, '192.0.2.1');
  mesh.run(0.5 * SECOND);
  mesh.connect(nodes[5]!, '192.0.2.1');
  const told = (): boolean =>
    nodes[0]!.gossip.entry(peerName(1))!.neighbours.some(({ name }) => name === peerName(6));
  mesh.run(3 * SECOND);
  t.false(told());
  mesh.run(1.5 * SECOND);
  t.true(told());
});

test('who has three edges tells of one more after a second, wherever it leads', (t) => {
  const mesh = new Mesh(5);
  const nodes = fixed(mesh, 5, [
    [2, 1],
    [3, 2],
    [4, 2],
  ]);
  t.true(nodes[0]!.gossip.isSparse);
  mesh.connect(nodes[4]!, '192.0.2.1');
  mesh.run(0.5 * SECOND);
  mesh.connect(nodes[2]!, '192.0.2.1');
  mesh.run(1.5 * SECOND);
  t.is(nodes[0]!.gossip.entry(peerName(1))!.neighbours.length, 3);
});
