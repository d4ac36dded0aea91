import test from 'ava';
import { MINUTE, SECOND, type Millis } from '../../core/time.ts';
import { fakePrimitives } from './fake-primitives.ts';
import { SimMesh, type SimMeshOptions } from './sim-mesh.ts';
import type { SimNode } from './sim-node.ts';

/** Nothing is lost, so that every frame that does not arrive was lost by the nodes. */
const CALM = { loss: 0, duplication: 0.02, leastDelay: 1, mostDelay: 20 };

function meshOf(nodes: number, options: Partial<SimMeshOptions>): SimMesh {
  return new SimMesh({ seed: 1, nodes, terms: CALM, primitives: fakePrimitives, ...options });
}

/** A chain of nodes that connect to the one before them and to nobody else, with links for neighbours only. */
function chain(nodes: number): SimMesh {
  const mesh = meshOf(nodes, { discovery: false, fullMeshLimit: 3 });
  for (const [i, node] of mesh.nodes.entries()) node.start(i === 0 ? [] : [mesh.nodes[i - 1]!]);
  if (mesh.clock.runWhileNot(() => mesh.hasOneView(), 30 * SECOND) === undefined) throw new Error('no mesh');
  mesh.clock.runFor(20 * SECOND);
  // All know where all are.
  for (const node of mesh.nodes) mesh.broadcast(node);
  mesh.clock.runFor(SECOND);
  return mesh;
}

/** Whether a frame from one to the other arrives, and nowhere else. */
function passes(mesh: SimMesh, from: SimNode, to: SimNode, within: Millis = SECOND): boolean {
  const number = mesh.unicast(from, to);
  mesh.clock.runFor(within);
  return mesh.reachedNode(number, to) && mesh.reached(number) === 1;
}

function linked(a: SimNode, b: SimNode): boolean {
  return a.up.has(b.name) && b.up.has(a.name);
}

test('in a sparse mesh only neighbours have a link, until a frame is to go elsewhere', (t) => {
  const mesh = chain(6);
  const [first, second, , , , last] = mesh.nodes as [SimNode, SimNode, SimNode, SimNode, SimNode, SimNode];
  const counts = () => mesh.nodes.map(({ up }) => up.size);
  // The first three were few enough for a full mesh when they met; that link has gone unused since.
  mesh.clock.runFor(6 * MINUTE);
  t.deepEqual(counts(), [1, 2, 2, 2, 2, 1]);
  t.true(passes(mesh, first, last));
  t.true(linked(first, last));
  t.deepEqual(counts(), [2, 2, 2, 2, 2, 2]);
  t.true(passes(mesh, last, second));
  t.true(linked(last, second));
  t.deepEqual(mesh.faults, []);
});

test('a link on demand stays while frames go either way, ends when none has for five minutes, and comes again', (t) => {
  const mesh = chain(5);
  const [first, last] = [mesh.nodes[0]!, mesh.nodes[4]!];
  t.true(passes(mesh, first, last));
  for (let i = 0; i < 5; i++) {
    mesh.clock.runFor(4 * MINUTE);
    t.true(passes(mesh, i % 2 === 0 ? last : first, i % 2 === 0 ? first : last), `frame ${i}`);
  }
  mesh.clock.runFor(4.8 * MINUTE);
  t.true(linked(first, last));
  mesh.clock.runFor(0.5 * MINUTE);
  t.false(first.up.has(last.name));
  t.false(last.up.has(first.name));
  t.true(passes(mesh, last, first));
  t.true(linked(first, last));
  t.deepEqual(mesh.faults, []);
});

test('the first frame between two that do not reach each other directly goes through others, and is not lost', (t) => {
  const mesh = chain(4);
  const [first, last] = [mesh.nodes[0]!, mesh.nodes[3]!];
  mesh.network.cut(first.endpoint.ip, last.endpoint.ip);
  mesh.network.cut(last.endpoint.ip, first.endpoint.ip);
  t.true(passes(mesh, first, last, 5 * SECOND));
  t.true(passes(mesh, last, first));
  mesh.network.heal();
  mesh.clock.runFor(20 * SECOND);
  t.true(passes(mesh, first, last));
  t.deepEqual(mesh.faults, []);
});

test('flows lose neither a frame nor their links while the mesh grows out of being full and shrinks back', (t) => {
  const mesh = meshOf(14, { fullMeshLimit: 10 });
  const { clock, nodes } = mesh;
  for (const node of nodes.slice(0, 10)) node.start(nodes.slice(0, 1));
  clock.runFor(20 * SECOND);
  for (const node of nodes.slice(0, 10)) mesh.broadcast(node);
  clock.runFor(SECOND);
  const pairs = [0, 1, 2, 3, 4].flatMap((a) =>
    [0, 1, 2, 3, 4].flatMap((b) => (a === b ? [] : [[a, b] as const])),
  );
  const sent: { readonly number: number; readonly to: SimNode }[] = [];
  const unlinked: string[] = [];
  const flowFor = (seconds: number) => {
    for (let i = 0; i < seconds; i++) {
      for (const [a, b] of pairs) sent.push({ number: mesh.unicast(nodes[a]!, nodes[b]!), to: nodes[b]! });
      clock.runFor(SECOND);
      const apart = pairs.filter(([a, b]) => !linked(nodes[a]!, nodes[b]!));
      unlinked.push(...apart.map((pair) => `${pair.join(' to ')} at ${clock.now} ms`));
    }
  };
  flowFor(5);
  t.deepEqual(
    nodes.slice(0, 10).map(({ up }) => up.size),
    Array<number>(10).fill(9),
  );
  for (const node of nodes.slice(10)) node.start(nodes.slice(0, 1));
  flowFor(400);
  t.true(
    nodes.slice(5).some(({ up }) => up.size < 13),
    'links that nothing uses are gone',
  );
  for (const node of nodes.slice(5)) node.leave();
  flowFor(30);
  t.deepEqual(
    nodes.slice(0, 5).map(({ up }) => up.size),
    Array<number>(5).fill(4),
  );
  clock.runFor(SECOND);
  t.deepEqual(sent.filter(({ number, to }) => !mesh.reachedNode(number, to)).length, 0);
  t.deepEqual(unlinked, []);
  t.deepEqual(mesh.faults, []);
});
