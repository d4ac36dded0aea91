import test from 'ava';
import { SECOND } from '../../core/time.ts';
import { fakePrimitives } from './fake-primitives.ts';
import { SimMesh } from './sim-mesh.ts';

const CALM = { loss: 0, duplication: 0.05, leastDelay: 1, mostDelay: 40 };

/** Who dials whom, by position; nobody discovers others. */
const SHAPES: Readonly<
  Record<string, { readonly nodes: number; readonly dials: readonly (readonly [number, number])[] }>
> = {
  'a chain of 4': {
    nodes: 4,
    dials: [
      [1, 0],
      [2, 1],
      [3, 2],
    ],
  },
  'a ring of 5': {
    nodes: 5,
    dials: [
      [1, 0],
      [2, 1],
      [3, 2],
      [4, 3],
      [0, 4],
    ],
  },
};

for (const [shape, { nodes, dials }] of Object.entries(SHAPES)) {
  test(`on ${shape} without discovery broadcasts and multicasts reach every other node exactly once`, (t) => {
    const mesh = new SimMesh({ seed: 1, nodes, terms: CALM, primitives: fakePrimitives, discovery: false });
    for (const [i, node] of mesh.nodes.entries()) {
      node.start(dials.filter(([from]) => from === i).map(([, to]) => mesh.nodes[to]!));
    }
    t.not(
      mesh.clock.runWhileNot(() => mesh.hasOneView(), 30 * SECOND),
      undefined,
    );
    mesh.clock.runFor(10 * SECOND);
    const edges = mesh.nodes.map(({ routes }) => routes!.adjacency.length / 2);
    t.deepEqual(
      edges,
      mesh.nodes.map(() => dials.length),
    );
    const numbers = mesh.nodes.flatMap((node) => [mesh.broadcast(node), mesh.multicast(node)]);
    mesh.clock.runFor(5 * SECOND);
    t.deepEqual(
      numbers.map((number) => mesh.reached(number)),
      numbers.map(() => nodes - 1),
    );
    t.deepEqual(mesh.faults, []);
  });
}
