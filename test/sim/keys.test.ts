import test from 'ava';
import { SECOND } from '../../core/time.ts';
import { establishedWith, KeysMesh } from './keys-mesh.ts';
import type { SimNode } from './sim-node.ts';

/** Datagrams overtake one another, and none is lost. */
const REORDERING = { loss: 0, duplication: 0, leastDelay: 1, mostDelay: 12 };

for (const seed of [1, 2]) {
  test(`with seed ${seed}, rekeys every second under load lose and double no frame`, (t) => {
    const mesh = new KeysMesh(seed, 3, REORDERING);
    mesh.form();
    mesh.watch(() => undefined);
    mesh.startFlows(mesh.nodes, mesh.nodes, 6);
    for (let i = 0; i < 42; i++) {
      mesh.nodes[i % 3]!.rekey();
      mesh.clock.runFor(SECOND);
    }
    mesh.stopFlows();
    mesh.clock.runFor(SECOND);
    t.true(mesh.sent.length > 40_000);
    t.deepEqual(mesh.faults(mesh.nodes), []);
    for (const { router } of mesh.statuses.values()) {
      for (const { rekeys } of router.links) t.true(rekeys >= 27 && rekeys <= 28, `${rekeys} rekeys`);
    }
  });
}

for (const seed of [3, 4]) {
  test(`with seed ${seed}, a rotation under load loses no frame and no connection, and ejects within a minute who did not take part`, (t) => {
    const mesh = new KeysMesh(seed, 4, REORDERING);
    mesh.form();
    const [first, second, third, outsider] = mesh.nodes as [SimNode, SimNode, SimNode, SimNode];
    const members = [first, second, third];
    const gaps: string[] = [];
    mesh.watch((node, status) => {
      const others = members.filter((each) => each !== node).map(({ name }) => name);
      const lacking = others.filter((name) => !establishedWith(status).includes(name));
      if (node !== outsider && lacking.length > 0)
        gaps.push(`${node.name} lacks ${lacking.join()} at ${mesh.clock.now}`);
    });
    mesh.startFlows(members, members, 10);
    mesh.startFlows(members, [outsider], 100);
    mesh.startFlows([outsider], members, 100);
    for (const passwords of [['documentation', 'new horse'], ['new horse', 'documentation'], ['new horse']]) {
      for (const node of members) {
        t.is(typeof node.rotate(passwords), 'object');
        mesh.clock.runFor(SECOND);
      }
    }
    const droppedEverywhere = mesh.clock.now;
    mesh.clock.runFor(90 * SECOND);
    mesh.stopFlows();
    mesh.clock.runFor(SECOND);
    t.deepEqual(gaps, []);
    for (const node of members) t.deepEqual(establishedWith(mesh.statuses.get(node)!).length, 2);
    t.deepEqual(establishedWith(mesh.statuses.get(outsider)!), []);
    for (const node of members) {
      for (const [from, to] of [
        [node, outsider],
        [outsider, node],
      ] as const) {
        const after = mesh.lastHeard(from, to) - droppedEverywhere;
        t.true(
          after > 5 * SECOND && after < 60 * SECOND,
          `${from.name} to ${to.name} until ${after} ms after`,
        );
      }
    }
    t.deepEqual(mesh.faults(members), []);
  });
}
