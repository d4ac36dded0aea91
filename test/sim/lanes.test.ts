import test from 'ava';
import { SECOND } from '../../core/time.ts';
import { KeysMesh } from './keys-mesh.ts';

/** Whatever overtakes something does so inside a host. */
const IN_ORDER = { loss: 0, duplication: 0, leastDelay: 5, mostDelay: 5 };
/** Datagrams overtake one another, and none is lost. */
const REORDERING = { loss: 0, duplication: 0, leastDelay: 1, mostDelay: 12 };
const workersOf = (number: number) => [1, 2, 4, 3][number - 1]!;

for (const seed of [1, 2]) {
  test(`with seed ${seed}, hosts with 1, 2, 3 and 4 workers keep every flow in order, through rekeys, and lose and double nothing`, (t) => {
    const mesh = new KeysMesh(seed, 4, IN_ORDER, workersOf);
    mesh.form();
    mesh.startFlows(mesh.nodes, mesh.nodes, 5);
    for (let i = 0; i < 12; i++) {
      mesh.nodes[i % 4]!.rekey();
      mesh.clock.runFor(SECOND);
    }
    mesh.stopFlows();
    mesh.clock.runFor(SECOND);
    t.true(mesh.sent.length > 20_000);
    t.deepEqual(mesh.faults(mesh.nodes), []);
    t.deepEqual(mesh.overtaken, []);
  });
}

test('hosts with different numbers of workers lose and double nothing where datagrams overtake one another and keys change', (t) => {
  const mesh = new KeysMesh(3, 4, REORDERING, workersOf);
  mesh.form();
  mesh.startFlows(mesh.nodes, mesh.nodes, 10);
  for (let i = 0; i < 20; i++) {
    mesh.nodes[i % 4]!.rekey();
    mesh.clock.runFor(SECOND);
  }
  mesh.stopFlows();
  mesh.clock.runFor(SECOND);
  t.deepEqual(mesh.faults(mesh.nodes), []);
});
