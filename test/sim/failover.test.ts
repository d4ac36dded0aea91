import test from 'ava';
import { randomBelow, SeededRandom } from '../../core/random.ts';
import { SECOND, type Millis } from '../../core/time.ts';
import { FailoverMesh } from './failover-mesh.ts';

/** From a cut to the first frame that comes by way of a third node. */
const RELAY_WITHIN: Millis = 15 * SECOND;
/** From healing to a direct path on both ends. */
const DIRECT_WITHIN: Millis = 20 * SECOND;
/** What a change back to direct may cost while datagrams are lost. */
const RETURN_GAP: Millis = 3 * SECOND;
const LONGEST_CUT: Millis = 60 * SECOND;
const CYCLES = 5;

type Draw = (below: number) => number;

/** Frames both ways, or questions and answers, before the cut or only from it on. */
function drawTraffic(mesh: FailoverMesh, draw: Draw): { start: () => void; early: boolean } {
  const echoed = draw(2) === 1;
  const start = () => {
    mesh.startFlow(1, 2, echoed ? 500 : 150, echoed);
    if (!echoed) mesh.startFlow(2, 1, 150);
  };
  return { start, early: draw(2) === 1 };
}

/** Cuts hosts 1 and 2 apart, heals, and returns what was too slow, as sentences. */
function cycle(mesh: FailoverMesh, draw: Draw): string[] {
  const { start, early } = drawTraffic(mesh, draw);
  if (early) {
    start();
    mesh.clock.runFor(3 * SECOND);
    mesh.takeLongestGap();
  }
  const [from, to] = draw(2) === 1 ? [1, 2] : [2, 1];
  const oneWay = draw(2) === 1;
  mesh.cut(from, to, oneWay);
  if (!early) start();
  mesh.clock.runFor(SECOND + draw(LONGEST_CUT));
  const cutGap = mesh.takeLongestGap();
  mesh.network.heal();
  const direct = mesh.timeToDirect(1, 2, DIRECT_WITHIN);
  mesh.clock.runFor(SECOND + draw(draw(2) === 1 ? 2 * SECOND : 20 * SECOND));
  const returnGap = mesh.takeLongestGap();
  mesh.stopFlows();
  const what = `cut ${oneWay ? 'one way' : 'both ways'} at ${mesh.clock.now}`;
  return [
    ...(cutGap > RELAY_WITHIN ? [`${what}: nothing for ${cutGap} ms`] : []),
    ...(direct === undefined ? [`${what}: not direct again`] : []),
    ...(returnGap > RETURN_GAP ? [`${what}: nothing for ${returnGap} ms after it healed`] : []),
  ];
}

function faultsOf(seed: number, nodes: number, loss: number, settled: boolean): string[] {
  const mesh = new FailoverMesh(seed, nodes, { loss, duplication: 0.01, leastDelay: 1, mostDelay: 10 });
  const random = new SeededRandom(seed);
  const draw = (below: number) => randomBelow(random, below);
  mesh.form(settled);
  mesh.clock.runFor(draw(10 * SECOND));
  return Array.from({ length: CYCLES }, () => cycle(mesh, draw)).flat();
}

for (const [nodes, loss, settled] of [
  [3, 0, true],
  [3, 0, false],
  [3, 0.05, true],
  [3, 0.05, false],
  [5, 0.03, true],
  [5, 0.03, false],
] as const) {
  const state = settled ? 'at rest' : 'just formed';
  test(`in a mesh of ${nodes} ${state}, with ${loss * 100} % loss, cut after cut of an edge is relayed and heals`, (t) => {
    for (let seed = 1; seed <= 5; seed++)
      t.deepEqual(faultsOf(seed, nodes, loss, settled), [], `seed ${seed}`);
  });
}

/** How often each end of the edge between hosts 1 and 2 changes its path within a time. */
function pathChanges(mesh: FailoverMesh, during: Millis): [number, number] {
  const ends = [
    [1, 2],
    [2, 1],
  ] as const;
  const paths = ends.map(([from, to]) => mesh.path(from, to));
  const changes: [number, number] = [0, 0];
  for (let waited = 0; waited < during; waited += SECOND / 2) {
    mesh.clock.runFor(SECOND / 2);
    for (const [i, [from, to]] of ends.entries()) {
      const path = mesh.path(from, to);
      if (path !== paths[i]) changes[i]!++;
      paths[i] = path;
    }
  }
  return changes;
}

for (const loss of [0, 0.03]) {
  test(`an edge that is cut one way for two minutes, with ${loss * 100} % loss, is relayed one way and direct the other, and does not flap`, (t) => {
    for (let seed = 1; seed <= 2; seed++) {
      const terms = { loss, duplication: 0, leastDelay: 1, mostDelay: 10 };
      const mesh = new FailoverMesh(seed, 3, terms);
      mesh.form();
      mesh.startFlow(1, 2, 150);
      mesh.startFlow(2, 1, 150);
      mesh.clock.runFor(3 * SECOND);
      mesh.cut(1, 2, true);
      mesh.clock.runFor(30 * SECOND);
      t.deepEqual([mesh.path(1, 2), mesh.path(2, 1)], ['relay', 'direct'], `seed ${seed}`);
      mesh.takeLongestGap();
      t.deepEqual(pathChanges(mesh, 90 * SECOND), [0, 0], `seed ${seed}`);
      t.true(mesh.takeLongestGap() < RETURN_GAP, 'frames go both ways meanwhile');
    }
  });
}
