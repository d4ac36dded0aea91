import test from 'ava';
import { Mesh, neighbours, peerName, reached } from './mesh.ts';

const SECOND = 1_000;

test('a newcomer with the name of a live neighbour is refused by name and address', (t) => {
  const mesh = new Mesh(1);
  const hub = mesh.add(1);
  const incumbent = mesh.add(2);
  mesh.connect(incumbent, '192.0.2.1');
  mesh.run(5 * SECOND);
  const address = hub.gossip.connectionsStatus(mesh.now)[0]!.address;
  const clone = mesh.add(2, { ip: '192.0.2.99', nickname: 'clone' });
  mesh.connect(clone, '192.0.2.1');
  mesh.run(SECOND);
  const error = `name in use by host2 at ${address}`;
  t.is(clone.gossip.connectionsStatus(mesh.now)[0]?.error, error);
  const refused = hub.gossip.connectionsStatus(mesh.now).find(({ state }) => state === 'failed');
  t.like(refused, { peer: peerName(2), nickname: 'clone', outbound: false, error });
  t.deepEqual(neighbours(hub), [peerName(2)]);
  t.is(hub.gossip.entry(peerName(2))?.nickname, 'host2');
});

test('a newcomer with the name of a live peer further away is refused', (t) => {
  const mesh = new Mesh(2);
  const nodes = [1, 2, 3].map((i) => mesh.add(i, { discovery: false }));
  mesh.connect(nodes[0]!, '192.0.2.2');
  mesh.connect(nodes[1]!, '192.0.2.3');
  mesh.run(5 * SECOND);
  const clone = mesh.add(3, { ip: '192.0.2.99', discovery: false });
  mesh.connect(clone, '192.0.2.1');
  mesh.run(SECOND);
  t.is(clone.gossip.connectionsStatus(mesh.now)[0]?.error, 'name in use by host3 at 192.0.2.3:6783');
  t.deepEqual(neighbours(nodes[0]!), [peerName(2)]);
});

test('a newcomer with our own name is refused with our nickname', (t) => {
  const mesh = new Mesh(3);
  const node = mesh.add(1);
  const clone = mesh.add(1, { ip: '192.0.2.99' });
  mesh.connect(clone, '192.0.2.1');
  mesh.run(SECOND);
  t.is(clone.gossip.connectionsStatus(mesh.now)[0]?.error, 'name in use by host1 at 192.0.2.1:6783');
  t.is(node.streams.size, 0);
});

test('a peer that restarted without a FIN is accepted once its old self did not answer for 5 s', (t) => {
  const mesh = new Mesh(4);
  const hub = mesh.add(1);
  const old = mesh.add(2);
  mesh.connect(old, '192.0.2.1');
  mesh.run(10 * SECOND);
  mesh.crash(old);
  const again = mesh.add(2);
  mesh.connect(again, '192.0.2.1');
  mesh.run(4 * SECOND);
  t.not(hub.gossip.connectionsStatus(mesh.now).at(-1)?.state, 'established');
  mesh.run(3 * SECOND);
  t.deepEqual(neighbours(hub), [peerName(2)]);
  t.deepEqual(reached(again), [peerName(1), peerName(2)]);
  t.is(hub.gossip.entry(peerName(2))?.uid, again.gossip.entry(peerName(2))?.uid);
});

test('two live processes under one name that meet through others are reported, not fought over', (t) => {
  const mesh = new Mesh(5);
  const nodes = [1, 2].map((i) => mesh.add(i, { discovery: false }));
  const twins = [0, 1].map((i) => mesh.add(9, { ip: `192.0.2.${90 + i}`, discovery: false }));
  mesh.connect(twins[0]!, '192.0.2.1');
  mesh.connect(twins[1]!, '192.0.2.2');
  mesh.run(5 * SECOND);
  mesh.connect(nodes[0]!, '192.0.2.2');
  mesh.run(300 * SECOND);
  const reports = twins.flatMap((twin) =>
    twin.of('log').filter(({ message }) => message === 'another live peer uses our name'),
  );
  t.true(reports.length > 0);
  const { incarnation, version } = nodes[0]!.gossip.entry(peerName(9))!;
  t.true(incarnation < 20 && version < 60, `${incarnation}.${version}`);
});
