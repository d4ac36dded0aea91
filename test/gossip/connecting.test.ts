import test from 'ava';
import { Mesh, neighbours, peerName, reached } from './mesh.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;

test('two peers that dial each other keep the same single connection', (t) => {
  for (let seed = 1; seed <= 20; seed++) {
    const mesh = new Mesh(seed);
    const [a, b] = [mesh.add(1), mesh.add(2)];
    mesh.connect(a, '192.0.2.2');
    mesh.connect(b, '192.0.2.1');
    mesh.run(10 * SECOND);
    t.is(a.streams.size, 1);
    t.is(b.streams.size, 1);
    t.is([...a.streams.values()][0], [...b.streams.values()][0]);
    t.deepEqual(a.gossip.targetsStatus(), [{ address: '192.0.2.2:6783', state: 'connected' }]);
    t.deepEqual(b.gossip.targetsStatus(), [{ address: '192.0.2.1:6783', state: 'connected' }]);
  }
});

test('a connection to oneself is recognised, named and left', (t) => {
  const mesh = new Mesh(1);
  const node = mesh.add(1);
  mesh.connect(node, '192.0.2.1');
  mesh.run(SECOND);
  const [row, ...rest] = node.gossip.connectionsStatus(mesh.now);
  t.is(row?.state, 'retrying');
  t.is(row?.error, 'cannot connect to ourself');
  t.deepEqual(rest, []);
  t.is(node.streams.size, 0);
  t.deepEqual(reached(node), [peerName(1)]);
});

test('an unreachable target is retried with growing waits up to two minutes', (t) => {
  const mesh = new Mesh(2);
  const node = mesh.add(1);
  mesh.connect(node, '192.0.2.77');
  mesh.run(3_200);
  const [row] = node.gossip.connectionsStatus(mesh.now);
  t.like(row, {
    peer: '',
    address: '192.0.2.77:6783',
    outbound: true,
    state: 'retrying',
    error: 'no answer',
  });
  t.true(row!.retryInSeconds! >= 0 && row!.retryInSeconds! <= 2);
  t.deepEqual(node.gossip.targetsStatus(), [{ address: '192.0.2.77:6783', state: 'failed' }]);
  mesh.run(30 * MINUTE);
  // 1, 1.5, ... 120 s and 3 s for each failing dial: about 11 until two minutes are reached, then 30 an hour.
  t.true(node.dials >= 15 && node.dials <= 45, `${node.dials} dials`);
  const dials = node.dials;
  mesh.connect(node, '192.0.2.77');
  mesh.run(10);
  t.is(node.dials, dials + 1, 'connect tries at once');
});

test('a failure is logged once as long as its reason stays the same', (t) => {
  const mesh = new Mesh(3);
  const node = mesh.add(1);
  mesh.connect(node, '192.0.2.77');
  mesh.run(5 * MINUTE);
  t.is(node.of('log').filter(({ message }) => message === 'cannot connect').length, 1);
});

test('a peer that comes back within the back-off is found again', (t) => {
  const mesh = new Mesh(4);
  const [a, b] = [mesh.add(1), mesh.add(2)];
  mesh.connect(a, '192.0.2.2');
  mesh.run(2 * MINUTE);
  mesh.stop(b);
  mesh.run(3 * SECOND);
  mesh.add(2);
  mesh.run(10 * SECOND);
  t.deepEqual(neighbours(a), [peerName(2)]);
});

test('forget ends retries and replace leaves only the new targets', (t) => {
  const mesh = new Mesh(5);
  const node = mesh.add(1);
  mesh.connect(node, '192.0.2.77', 'host.example:7000');
  mesh.act(node, (gossip, now) => t.is(gossip.forget(['192.0.2.77'], now), undefined));
  t.deepEqual(
    node.gossip.targetsStatus().map(({ address }) => address),
    ['host.example:7000'],
  );
  mesh.act(node, (gossip, now) => t.is(gossip.connect(['[2001:db8::7]:99'], true, now), undefined));
  t.deepEqual(
    node.gossip.targetsStatus().map(({ address }) => address),
    ['[2001:db8::7]:99'],
  );
  t.deepEqual(node.of('persist-targets').at(-1)?.targets, ['[2001:db8::7]:99']);
  const dials = node.dials;
  mesh.act(node, (gossip, now) => gossip.forget(['[2001:db8::7]:99'], now));
  mesh.run(10 * MINUTE);
  t.is(node.dials, dials);
});

test('malformed targets are named and change nothing', (t) => {
  const mesh = new Mesh(6);
  const node = mesh.add(1);
  for (const text of ['192.0.2.300', 'a b', '', 'host:0', 'host:70000', '[::1', 'x'.repeat(300)]) {
    const error = mesh.connect(node, '192.0.2.9', text);
    t.is(error, `"${text}" is not an address or host name, with or without a port`);
  }
  t.deepEqual(node.gossip.targetsStatus(), []);
});

test('the connection limit refuses further peers by name', (t) => {
  const mesh = new Mesh(7);
  const hub = mesh.add(1, { connLimit: 2 });
  const others = [2, 3, 4].map((i) => mesh.add(i, { discovery: false }));
  for (const node of others) mesh.connect(node, '192.0.2.1');
  mesh.run(SECOND);
  t.is(neighbours(hub).length, 2);
  const refused = hub.gossip.connectionsStatus(mesh.now).filter(({ state }) => state === 'failed');
  t.is(refused.length, 1);
  t.is(refused[0]?.error, 'connection limit reached (2)');
  t.false(refused[0]?.outbound);
  const errors = others.flatMap(({ gossip }) => gossip.connectionsStatus(mesh.now).map(({ error }) => error));
  t.true(errors.includes('connection limit reached (2)'));
});

test('a peer that nobody else has comes in place of one that others have', (t) => {
  const mesh = new Mesh(9);
  const hub = mesh.add(1, { connLimit: 2 });
  const others = [2, 3, 4, 5].map((i) => mesh.add(i));
  for (const node of others) {
    mesh.connect(node, '192.0.2.1');
    mesh.run(5 * SECOND);
  }
  for (const node of [hub, ...others]) t.is(reached(node).length, 5, node.name);
  t.is(neighbours(hub).length, 2);
  mesh.run(10 * MINUTE);
  for (const node of [hub, ...others]) t.is(reached(node).length, 5, node.name);
});

test('where all are at their limit one more can join', (t) => {
  const mesh = new Mesh(10);
  const nodes = [1, 2, 3, 4].map((i) => mesh.add(i, { connLimit: 3 }));
  for (const node of nodes.slice(1)) mesh.connect(node, '192.0.2.1');
  mesh.run(20 * SECOND);
  for (const node of nodes) t.is(neighbours(node).length, 3);
  const late = mesh.add(5, { connLimit: 3 });
  mesh.connect(late, ...nodes.map(({ ip }) => ip));
  mesh.run(5 * SECOND);
  for (const node of [...nodes, late]) {
    t.is(reached(node).length, 5, node.name);
    t.true(neighbours(node).length <= 3);
  }
});

test('halves of hosts that all have as many connections as they may find one another again', (t) => {
  const mesh = new Mesh(12);
  const nodes = [1, 2, 3, 4, 5, 6, 7, 8].map((i) => mesh.add(i, { connLimit: 3 }));
  mesh.partition(nodes.slice(0, 4), nodes.slice(4));
  for (const node of nodes.slice(1, 5)) mesh.connect(node, '192.0.2.1');
  for (const node of nodes.slice(5)) mesh.connect(node, '192.0.2.5');
  mesh.run(5 * MINUTE);
  for (const node of nodes) t.deepEqual([reached(node).length, neighbours(node).length], [4, 3], node.name);
  mesh.heal();
  mesh.run(3 * MINUTE);
  for (const node of nodes) {
    t.is(reached(node).length, 8, node.name);
    t.true(neighbours(node).length <= 3);
  }
});

test('a host with as many connections as it may have reaches one that nobody else knows', (t) => {
  const mesh = new Mesh(13);
  const nodes = [1, 2, 3, 4].map((i) => mesh.add(i, { connLimit: 3 }));
  for (const node of nodes.slice(1)) mesh.connect(node, '192.0.2.1');
  mesh.run(20 * SECOND);
  const alone = mesh.add(5);
  mesh.connect(nodes[0]!, '192.0.2.5', '192.0.2.2');
  mesh.run(5 * SECOND);
  for (const node of [...nodes, alone]) t.is(reached(node).length, 5, node.name);
});

test('what is not dialled because of the connection limit says so', (t) => {
  const mesh = new Mesh(14);
  const hub = mesh.add(1, { connLimit: 2 });
  const others = [2, 3, 4].map((i) => mesh.add(i, { discovery: false }));
  mesh.connect(hub, '192.0.2.2', '192.0.2.3');
  mesh.run(SECOND);
  mesh.connect(others[2]!, '192.0.2.3');
  mesh.run(SECOND);
  mesh.connect(hub, '192.0.2.4');
  mesh.run(5 * SECOND);
  const row = hub.gossip.connectionsStatus(mesh.now).find(({ address }) => address === '192.0.2.4:6783');
  t.like(row, { state: 'retrying', error: 'connection limit reached (2)' });
});

test('a host that makes room for another does not take the mesh for a sparse one', (t) => {
  const mesh = new Mesh(15);
  const hub = mesh.add(1, { connLimit: 5, fullMeshLimit: 20 });
  const others = Array.from({ length: 12 }, (_, i) => mesh.add(i + 2, { fullMeshLimit: 20 }));
  for (const node of others) {
    mesh.connect(node, '192.0.2.1');
    mesh.run(2 * SECOND);
  }
  mesh.run(MINUTE);
  t.is(reached(hub).length, 13);
  t.is(neighbours(hub).length, 5);
  for (const node of others)
    t.true(neighbours(node).length >= 11, `${node.name}: ${neighbours(node).length}`);
});

test('a host that was refused for want of room is tried again', (t) => {
  const mesh = new Mesh(17);
  const hub = mesh.add(1, { connLimit: 2 });
  const [a, b] = [mesh.add(2), mesh.add(3)];
  for (const node of [a, b]) mesh.connect(node, '192.0.2.1');
  mesh.run(5 * SECOND);
  const late = mesh.add(4);
  mesh.connect(late, '192.0.2.2');
  mesh.run(30 * SECOND);
  t.is(neighbours(hub).length, 2);
  const row = late.gossip.connectionsStatus(mesh.now).find(({ address }) => address === '192.0.2.1:6783');
  t.like(row, { state: 'retrying', error: 'connection limit reached (2)' });
  mesh.crash(b);
  mesh.run(3 * MINUTE);
  t.true(neighbours(hub).includes(late.name));
});

test('what an earlier run was to connect to is kept until this one is told', (t) => {
  const mesh = new Mesh(16);
  mesh.add(1);
  const node = mesh.add(2, {
    untold: true,
    candidates: [{ name: peerName(1), addresses: ['192.0.2.1'], remaining: MINUTE }],
  });
  mesh.run(2 * MINUTE);
  t.is(reached(node).length, 2, 'what was connected is tried');
  t.deepEqual(node.of('persist-targets'), []);
  mesh.connect(node, '192.0.2.9');
  t.deepEqual(node.of('persist-targets').at(-1)?.targets, ['192.0.2.9:6783']);
});

test('of peers that come all at once a full one lets one in each second', (t) => {
  const mesh = new Mesh(11);
  const hub = mesh.add(1, { connLimit: 3 });
  const inner = [2, 3, 4].map((i) => mesh.add(i, { discovery: false }));
  for (const node of inner) mesh.connect(node, '192.0.2.1', '192.0.2.2', '192.0.2.3');
  mesh.run(5 * SECOND);
  for (let i = 10; i < 20; i++) mesh.connect(mesh.add(i, { discovery: false }), '192.0.2.1');
  mesh.run(0.9 * SECOND);
  t.is(neighbours(hub).filter((name) => inner.every((node) => node.name !== name)).length, 1);
});

test('refused inbound attempts disappear after five minutes', (t) => {
  const mesh = new Mesh(8);
  const hub = mesh.add(1, { passwords: ['right'] });
  const other = mesh.add(2, { passwords: ['wrong'] });
  mesh.connect(other, '192.0.2.1');
  mesh.run(SECOND);
  mesh.crash(other);
  const failed = (): number =>
    hub.gossip.connectionsStatus(mesh.now).filter(({ state }) => state === 'failed').length;
  t.is(failed(), 1);
  mesh.run(4 * MINUTE);
  t.is(failed(), 1);
  mesh.run(70 * SECOND);
  t.is(failed(), 0);
});

test('an IPv6 underlay works and is published', (t) => {
  const mesh = new Mesh(11);
  const [a, b, c] = [1, 2, 3].map((i) => mesh.add(i, { ip: `2001:db8::${i}` }));
  mesh.connect(b!, '2001:db8::1');
  mesh.connect(c!, '[2001:db8::1]:6783');
  mesh.run(10 * SECOND);
  t.deepEqual(neighbours(b!), [peerName(1), peerName(3)]);
  t.is(a!.gossip.connectionsStatus(mesh.now).length, 2);
  t.is(c!.gossip.targetsStatus()[0]?.address, '[2001:db8::1]:6783');
});

test('peers that accept no inbound connections are not dialled but connect themselves', (t) => {
  const mesh = new Mesh(12);
  const nodes = [1, 2, 3, 4].map((i) => mesh.add(i, { acceptsInbound: i < 3 }));
  for (const node of nodes.slice(1)) mesh.connect(node, '192.0.2.1');
  mesh.run(10 * SECOND);
  t.deepEqual(neighbours(nodes[3]!), [peerName(1), peerName(2)]);
  t.deepEqual(reached(nodes[3]!).length, 4);
  t.is(nodes[0]!.dials, 0);
});

test('a mesh above the limit is sparse yet connected, and full again when it shrinks', (t) => {
  const mesh = new Mesh(13);
  const nodes = Array.from({ length: 40 }, (_, i) => mesh.add(i + 1, { fullMeshLimit: 20 }));
  for (const node of nodes.slice(1)) mesh.connect(node, `192.0.2.${1 + (node.streams.size % 3)}`);
  mesh.run(3 * MINUTE);
  for (const node of nodes) t.is(reached(node).length, 40);
  const degrees = nodes.slice(3).map((node) => neighbours(node).length);
  t.true(Math.max(...degrees) <= 24, `degrees ${degrees.join()}`);
  t.true(Math.min(...degrees) >= 8, `degrees ${degrees.join()}`);
  for (const node of nodes.slice(8)) mesh.stop(node);
  mesh.run(MINUTE);
  for (const node of nodes.slice(0, 8)) t.is(neighbours(node).length, 7);
});
