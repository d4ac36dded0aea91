import test from 'ava';
import { Mesh, neighbours, peerName, type SimulatedNode } from './mesh.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const NAT = '192.0.2.200';

/** What the limits refused, at all nodes. */
function limited(nodes: readonly SimulatedNode[]): Record<string, number> {
  const limits = ['half-open-limit', 'guess-limit', 'handshake-rate', 'dial-guess-limit'];
  const sums: Record<string, number> = {};
  for (const { gossip } of nodes) {
    for (const [reason, count] of Object.entries(gossip.refusals())) {
      if (limits.includes(reason)) sums[reason] = (sums[reason] ?? 0) + count;
    }
  }
  return sums;
}

test('thirty hosts that start at once, and all again, are not limited, even while two passwords are held', (t) => {
  const mesh = new Mesh(1, true);
  for (const life of ['first', 'second']) {
    const nodes = Array.from({ length: 30 }, (_, i) => mesh.add(i + 1, { passwords: ['new', 'old'] }));
    for (const node of nodes) mesh.connect(node, '192.0.2.1', '192.0.2.2', '192.0.2.3');
    mesh.run(4 * SECOND);
    for (const node of nodes) t.is(neighbours(node).length, 29, `${life} life of ${node.name}`);
    t.deepEqual(limited(nodes), {});
    for (const node of nodes) mesh.crash(node);
  }
});

test('thirty hosts that all come back to one that runs are not limited', (t) => {
  const mesh = new Mesh(2, true);
  const hub = mesh.add(100, { passwords: ['secret'] });
  for (let life = 0; life < 3; life++) {
    const nodes = Array.from({ length: 30 }, (_, i) =>
      mesh.add(i + 1, { passwords: ['secret'], discovery: false }),
    );
    for (const node of nodes) mesh.connect(node, '192.0.2.100');
    mesh.run(5 * SECOND);
    t.is(neighbours(hub).length, 30);
    for (const node of nodes) mesh.stop(node);
    mesh.run(2 * SECOND);
  }
  t.deepEqual(limited([hub]), {});
});

for (const passwords of [['secret'], ['new', 'old']]) {
  test(`forty hosts behind one address, one of them with a wrong password, are all in within half a minute, if each holds ${passwords.length}`, (t) => {
    const mesh = new Mesh(3, true);
    const hub = mesh.add(1, { passwords });
    const behind = { ip: NAT, acceptsInbound: false, discovery: false };
    const wrong = mesh.add(2, { ...behind, passwords: ['wrong'] });
    const nodes = Array.from({ length: 40 }, (_, i) => mesh.add(10 + i, { ...behind, passwords }));
    for (const node of [wrong, ...nodes]) mesh.connect(node, '192.0.2.1');
    mesh.run(30 * SECOND);
    t.is(neighbours(hub).length, 40);
    t.true(limited([hub])['half-open-limit']! > 0, 'they came too many at once at first');
    t.false(neighbours(hub).includes(peerName(2)));
  });
}

test('a host with a wrong password is told so as long as it tries, and keeps nobody else out', (t) => {
  const mesh = new Mesh(4, true);
  const hub = mesh.add(1, { passwords: ['secret'] });
  const wrong = mesh.add(2, { ip: NAT, acceptsInbound: false, passwords: ['wrong', 'worse'] });
  mesh.connect(wrong, '192.0.2.1');
  for (let minute = 0; minute < 60; minute++) {
    mesh.run(MINUTE);
    const [row] = wrong.gossip.connectionsStatus(mesh.now);
    if (row?.state === 'retrying') t.regex(row.error!, /^password mismatch with 192\.0\.2\.1:6783/);
  }
  t.true(wrong.dials < 200, `${wrong.dials} dials`);
  t.true((limited([hub])['guess-limit'] ?? 0) <= 5, 'mostly it limits itself first');
  const late = mesh.add(3, { ip: NAT, acceptsInbound: false, passwords: ['secret'] });
  mesh.connect(late, '192.0.2.1');
  mesh.run(5 * SECOND);
  t.deepEqual(neighbours(hub), [peerName(3)]);
});
