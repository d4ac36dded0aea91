import test from 'ava';
import { Mesh, neighbours, peerName, type SimulatedNode } from './mesh.ts';

const SECOND = 1_000;

/** As the node's owner does it; returns how many connections are to be re-made. */
function rotate(mesh: Mesh, node: SimulatedNode, passwords: readonly string[]): number {
  const positions = node.passwords.map((old) => passwords.indexOf(old));
  node.passwords.splice(0, node.passwords.length, ...passwords);
  let remaking = 0;
  mesh.act(node, (gossip, now) => {
    const newIndexOf = positions.map((at) => (at < 0 ? undefined : at));
    remaking = gossip.onPasswordsChanged(newIndexOf, now);
  });
  return remaking;
}

const refusals = [
  {
    title: 'different passwords are called a mismatch on both ends',
    dialler: ['one'],
    acceptor: ['two'],
    outbound: 'password mismatch with 192.0.2.1:6783',
    inbound: /^password mismatch with 192\.0\.2\.2:\d+$/,
  },
  {
    title: 'a dialler without a password is told that one is required',
    dialler: [],
    acceptor: ['two'],
    outbound: '192.0.2.1:6783 requires a password, none is set here',
    inbound: /^192\.0\.2\.2:\d+ has no password, one is set here$/,
  },
  {
    title: 'a dialler with a password is told that the other has none',
    dialler: ['one'],
    acceptor: [],
    outbound: '192.0.2.1:6783 has no password, one is set here',
    inbound: /^192\.0\.2\.2:\d+ requires a password, none is set here$/,
  },
];

for (const { title, dialler, acceptor, outbound, inbound } of refusals) {
  test(title, (t) => {
    const mesh = new Mesh(1);
    const a = mesh.add(1, { passwords: acceptor });
    const b = mesh.add(2, { passwords: dialler });
    mesh.connect(b, '192.0.2.1');
    mesh.run(300);
    t.like(b.gossip.connectionsStatus(mesh.now)[0], { outbound: true, state: 'retrying', error: outbound });
    const [refused] = a.gossip.connectionsStatus(mesh.now);
    t.like(refused, { outbound: false, state: 'failed' });
    t.regex(refused!.error!, inbound);
  });
}

test('a dialler tries its second password at once when the first is refused', (t) => {
  const mesh = new Mesh(2);
  mesh.add(1, { passwords: ['old'] });
  const b = mesh.add(2, { passwords: ['new', 'old'] });
  mesh.connect(b, '192.0.2.1');
  mesh.run(400);
  t.deepEqual(neighbours(b), [peerName(1)]);
  t.is(b.dials, 2);
});

for (const hours of [0, 1]) {
  test(`a host that lacked the password for ${hours} h comes in as soon as it is added`, (t) => {
    const mesh = new Mesh(9);
    mesh.add(1, { passwords: ['right'] });
    const b = mesh.add(2, { passwords: ['wrong'] });
    mesh.connect(b, '192.0.2.1');
    mesh.run(5 * SECOND + hours * 3_600 * SECOND);
    t.is(b.gossip.connectionsStatus(mesh.now)[0]?.state, 'retrying');
    rotate(mesh, b, ['wrong', 'right']);
    mesh.run(SECOND / 2);
    t.deepEqual(neighbours(b), [peerName(1)]);
  });
}

test('a dial that is under way when the list changes begins anew with the first of it', (t) => {
  for (let wait = 0; wait < 100; wait += 2) {
    const mesh = new Mesh(10);
    mesh.add(1, { passwords: ['third'] });
    const b = mesh.add(2, { passwords: ['first', 'second'] });
    mesh.connect(b, '192.0.2.1');
    mesh.run(wait);
    rotate(mesh, b, ['third', 'second']);
    mesh.run(450);
    t.deepEqual(neighbours(b), [peerName(1)], `changed ${wait} ms after the dial`);
  }
});

test('connections are re-made before the dropped password breaks them, and no peer is lost meanwhile', (t) => {
  const mesh = new Mesh(3);
  const nodes = [1, 2, 3].map((i) => mesh.add(i, { passwords: ['old'] }));
  for (const node of nodes.slice(1)) mesh.connect(node, '192.0.2.1');
  mesh.run(10 * SECOND);
  for (const passwords of [['old', 'new'], ['new', 'old'], ['new']]) {
    for (const node of nodes) {
      const before = node.gossip.routes().names.length;
      rotate(mesh, node, passwords);
      for (let i = 0; i < 50; i++) {
        mesh.run(100);
        for (const other of nodes) t.is(other.gossip.routes().names.length, before);
      }
    }
  }
  mesh.run(120 * SECOND);
  for (const node of nodes) {
    t.is(neighbours(node).length, 2);
    t.is(node.streams.size, 2);
  }
});

test('a peer that knows only the dropped password is out after 35 s', (t) => {
  const mesh = new Mesh(4);
  const a = mesh.add(1, { passwords: ['old', 'new'] });
  const b = mesh.add(2, { passwords: ['old'] });
  mesh.connect(b, '192.0.2.1');
  mesh.run(10 * SECOND);
  t.is(rotate(mesh, a, ['new']), 1);
  mesh.run(34 * SECOND);
  t.deepEqual(neighbours(a), [peerName(2)]);
  const [row] = b.gossip.connectionsStatus(mesh.now);
  t.like(row, { state: 'established', error: 'being re-made: password mismatch with 192.0.2.1:6783' });
  mesh.run(2 * SECOND);
  t.deepEqual(neighbours(a), []);
  mesh.run(10 * SECOND);
  t.regex(b.gossip.connectionsStatus(mesh.now)[0]!.error!, /password mismatch with/);
});

test('who dialled with what the other end drops re-makes the connection with its second password, without a gap', (t) => {
  const mesh = new Mesh(5);
  const a = mesh.add(1, { passwords: ['old', 'new'] });
  const b = mesh.add(2, { passwords: ['old', 'new'] });
  mesh.connect(b, '192.0.2.1');
  mesh.run(10 * SECOND);
  t.is(rotate(mesh, a, ['new']), 1);
  for (let i = 0; i < 600; i++) {
    mesh.run(100);
    for (const node of [a, b]) {
      t.true(node.gossip.connectionsStatus(mesh.now).some(({ state }) => state === 'established'));
    }
  }
  t.is(b.streams.size, 1);
  t.is(rotate(mesh, b, ['new', 'newest']), 0, 'the connection is of the new one already');
});

test('a password keeps its connections through changes of its place, also those that began before', (t) => {
  for (let wait = 0; wait < 80; wait += 2) {
    const mesh = new Mesh(6);
    const a = mesh.add(1, { passwords: ['old', 'new'] });
    const b = mesh.add(2, { passwords: ['old'] });
    mesh.connect(b, '192.0.2.1');
    mesh.run(wait);
    rotate(mesh, a, ['new', 'old']);
    mesh.run(10 * SECOND);
    t.deepEqual(neighbours(a), [peerName(2)], `swapped ${wait} ms after the dial`);
    t.is(rotate(mesh, a, ['new', 'newer']), 1, `swapped ${wait} ms after the dial`);
    mesh.run(45 * SECOND);
    t.deepEqual(neighbours(a), []);
  }
});

test('who proves a password while it is being dropped does not stay in', (t) => {
  for (let wait = 0; wait < 80; wait += 2) {
    const mesh = new Mesh(7);
    const a = mesh.add(1, { passwords: ['new', 'old'] });
    const b = mesh.add(2, { passwords: ['old'] });
    mesh.connect(b, '192.0.2.1');
    mesh.run(wait);
    rotate(mesh, a, ['new']);
    mesh.run(45 * SECOND);
    t.deepEqual(neighbours(a), [], `dropped ${wait} ms after the dial`);
  }
});

test('a dial for the second password survives that there is but one left', (t) => {
  for (let wait = 0; wait < 100; wait += 2) {
    const mesh = new Mesh(8);
    mesh.add(1, { passwords: ['new'] });
    const b = mesh.add(2, { passwords: ['old', 'new'] });
    mesh.connect(b, '192.0.2.1');
    mesh.run(wait);
    rotate(mesh, b, ['new']);
    mesh.run(60 * SECOND);
    t.deepEqual(neighbours(b), [peerName(1)], `dropped ${wait} ms after the dial`);
  }
});
