import test from 'ava';
import type { ExecutionContext } from 'ava';
import { formatCidr, formatIp, parseIp } from '../../core/address.ts';
import { utf8 } from '../../core/bytes.ts';
import { ControlNet } from './control-net.ts';
import type { TestNode } from './control-net.ts';

/** `count` nodes, each told of the one before it, a minute old. */
function line(count: number, options: Parameters<ControlNet['start']>[1] = {}): [ControlNet, ...TestNode[]] {
  const net = new ControlNet();
  const nodes = Array.from({ length: count }, (_, i) => net.start(i + 1, options));
  for (let i = 1; i < count; i++) net.connect(nodes[i]!, nodes[i - 1]!);
  net.run(60_000);
  return [net, ...nodes];
}

function assertSession(t: ExecutionContext, a: TestNode, b: TestNode): void {
  const one = a.sessions(b).at(-1);
  const other = b.sessions(a).at(-1);
  t.truthy(one, `${a.name} has a session with ${b.name}`);
  t.deepEqual(one?.keys?.send, other?.keys?.receive);
  t.deepEqual(one?.keys?.receive, other?.keys?.send);
  t.is(one?.localIndex, other?.remoteIndex);
  t.is(one?.remoteIndex, other?.localIndex);
  t.not(one?.initiator, other?.initiator);
}

test('three nodes in a line become a mesh with one session for each pair', (t) => {
  const [, a, b, c] = line(3);
  for (const [one, other] of [
    [a, b],
    [b, c],
    [a, c],
  ] as const) {
    assertSession(t, one!, other!);
    t.is(one!.sessions(other!).length, 1);
  }
  const routes = a!.sent('routes').at(-1)!.routes;
  t.deepEqual(routes.names, [a!.name, b!.name, c!.name]);
  t.deepEqual([...routes.direct], [1, 1, 1, 1, 1, 1]);
});

test('a session names the addresses of the other end', (t) => {
  const [, a, b] = line(2);
  t.deepEqual(a!.sessions(b!)[0]!.candidates[0], b!.endpoint);
  t.deepEqual(b!.sessions(a!)[0]!.candidates[0], a!.endpoint);
});

test('without a password sessions have cookies and no keys', (t) => {
  const [, a, b] = line(2, { passwords: [] });
  const [one] = a!.sessions(b!);
  t.is(one?.keys, undefined);
  t.deepEqual(one?.cookies?.send, b!.sessions(a!)[0]?.cookies?.receive);
});

test('a node with another password gets no connection, and the status says why', (t) => {
  const net = new ControlNet();
  const a = net.start(1);
  const b = net.start(2, { passwords: [utf8('other')] });
  net.connect(b, a);
  net.run(30_000);
  t.is(a.sessions(b).length, 0);
  b.node.requestStatus(1, net.now);
  net.settle(b);
  net.run(10);
  const [connection] = b.documents.get(1)!.router.connections;
  t.regex(connection?.error ?? '', /password mismatch/);
});

test('a node that starts again gets a new session at once, under a higher incarnation', (t) => {
  const [net, a, b] = line(2);
  const before = a!.sessions(b!).length;
  net.kill(b!);
  net.run(2_000);
  net.start(2);
  net.connect(b!, a!);
  net.run(5_000);
  t.is(a!.sessions(b!).length, before + 1);
  assertSession(t, a!, b!);
  const [, statusOfB] = statuses(net, a!, b!);
  t.is(statusOfB!.router.incarnation, 2);
});

test('an incarnation that others know to be higher is stored, so that the next start is above it', (t) => {
  const [net, a, b] = line(2);
  const old = b!.store.get('identity')!;
  for (let i = 0; i < 3; i++) {
    net.kill(b!);
    net.start(2);
    net.connect(b!, a!);
    net.run(15_000);
  }
  net.kill(b!);
  b!.store.set('identity', old);
  net.start(2);
  net.connect(b!, a!);
  net.run(15_000);
  t.is(statuses(net, b!)[0]!.router.incarnation, 5, 'moved past all that others knew');
  net.kill(b!);
  net.start(2);
  t.is(statuses(net, b!)[0]!.router.incarnation, 6);
});

test('a node that comes back with another key stays in the mesh but gets no session, and the link says so', (t) => {
  const [net, a, b] = line(2);
  net.kill(b!);
  b!.store.delete('identity');
  net.start(2);
  net.connect(b!, a!);
  net.run(20_000);
  t.is(b!.sessions(a!).length, 0);
  t.is(a!.sessions(b!).length, 1, 'the one before');
  const [status] = statuses(net, a!);
  t.is(status!.router.links[0]?.error, `key of ${b!.name} changed`);
  t.is(status!.router.peers.length, 2);
  t.true((status!.router.drops['offer-key-changed'] ?? 0) > 0);
  t.true(a!.logs.some((line) => line.includes(`key of ${b!.name} changed`)));
});

test('pins outlive a restart of the node that made them', (t) => {
  const [net, a, b] = line(2);
  net.kill(a!);
  net.kill(b!);
  b!.store.delete('identity');
  net.start(1);
  net.start(2);
  net.connect(b!, a!);
  net.run(20_000);
  t.is(a!.sessions(b!).length, 0);
  t.is(statuses(net, a!)[0]!.router.links[0]?.error, `key of ${b!.name} changed`);
});

test('for how long a peer was not seen is stored daily and at the end, and goes on counting in the next run', (t) => {
  const HOUR = 3_600_000;
  const [net, a, b] = line(2);
  const hours = (): number => a!.store.get('pins')!.at(-2)!;
  t.is(hours(), 0);
  net.kill(b!);
  net.run(25 * HOUR);
  t.is(hours(), 23);
  a!.node.stop(net.now);
  net.settle(a!);
  net.run(1_000);
  t.is(hours(), 24);
  net.start(1);
  net.run(5 * HOUR);
  a!.node.stop(net.now);
  net.settle(a!);
  net.run(1_000);
  t.is(hours(), 29);
});

test('what the data plane says of a peer is logged with its nickname', (t) => {
  const [net, a, b] = line(2);
  const fields = { peer: b!.name, reason: 'no path answers' };
  net.data(a!, { type: 'log', level: 'warn', message: 'link down', fields });
  net.data(a!, { type: 'log', level: 'warn', message: 'link down', fields: { peer: '02:00:00:00:00:99' } });
  net.run(1_000);
  t.true(a!.logs.includes(`link down ${JSON.stringify({ ...fields, nickname: 'host2' })}`));
  t.true(a!.logs.includes('link down {"peer":"02:00:00:00:00:99"}'));
});

test('a circuit is opened through the node in the middle, and joins both ends', (t) => {
  const [net, a, b, c] = line(3);
  net.data(a!, { type: 'link-changed', peer: c!.name, state: 'up', direct: false });
  net.run(1_000);
  const session = a!.sessions(c!)[0]!.id;
  net.data(a!, { type: 'need-circuit', peer: c!.name, session, avoid: [] });
  net.run(1_000);
  const near = a!.sent('circuit').at(-1)!;
  const far = c!.sent('circuit').at(-1)!;
  t.deepEqual([near.peer, near.session, near.route], [c!.name, session, [b!.name]]);
  t.deepEqual([far.peer, far.session, far.route], [a!.name, c!.sessions(a!)[0]!.id, [b!.name]]);
  const labels = b!.sent('label');
  const forth = labels.find(({ index }) => index === near.sendIndex)!;
  const back = labels.find(({ index }) => index === far.sendIndex)!;
  t.deepEqual([forth.previous, forth.next, forth.nextIndex], [a!.name, c!.name, far.alias]);
  t.deepEqual([back.previous, back.next, back.nextIndex], [c!.name, a!.name, near.alias]);
  net.data(a!, { type: 'circuit-ended', peer: c!.name, circuit: near.circuit });
  net.run(1_000);
  t.is(b!.sent('label-removed').length, 2);
  t.is(c!.sent('circuit-closed').length, 1);
});

test('where no path of direct links leads round, the data plane is told', (t) => {
  const [net, a, b] = line(2);
  net.data(a!, { type: 'need-circuit', peer: b!.name, session: a!.sessions(b!)[0]!.id, avoid: [] });
  t.is(a!.sent('circuit-failed').length, 1);
});

test('a rekey over the session gives both ends the same new keys', (t) => {
  const [net, a, b] = line(2);
  const [initiator, responder] = a!.sessions(b!)[0]!.initiator ? [a!, b!] : [b!, a!];
  const idAt = (host: typeof initiator, other: typeof initiator): number => host.sessions(other)[0]!.id;
  const session = idAt(responder, initiator);
  net.data(initiator, {
    type: 'rekey-due',
    peer: responder.name,
    session: idAt(initiator, responder),
    phase: 1,
  });
  const step1 = initiator.sent('rekey-message').at(-1)!;
  net.data(responder, { ...step1, type: 'rekey-received', peer: initiator.name, session });
  const step2 = responder.sent('rekey-message').at(-1)!;
  net.data(initiator, {
    ...step2,
    type: 'rekey-received',
    peer: responder.name,
    session: idAt(initiator, responder),
  });
  const one = initiator.sent('rekey-keys').at(-1)!;
  const other = responder.sent('rekey-keys').at(-1)!;
  t.deepEqual(one.keys.send, other.keys.receive);
  t.notDeepEqual(one.keys.send, initiator.sessions(responder)[0]!.keys!.send);
});

test('addresses are handed out by all nodes from one range, and never one twice', (t) => {
  const [net, ...nodes] = line(3);
  const seen = new Set<string>();
  for (let i = 0; i < 4; i++) {
    for (const host of nodes) {
      host.node.onIpamRequest(i, { type: 'allocate', id: `${host.number}-${i}` }, net.now);
      net.settle(host);
    }
  }
  net.run(20_000);
  for (const host of nodes) {
    for (let i = 0; i < 4; i++) {
      const reply = host.replies.get(i);
      t.is(reply?.type, 'addresses');
      if (reply?.type === 'addresses') seen.add(formatCidr(reply.addresses[0]!));
    }
  }
  t.is(seen.size, 12);
  t.deepEqual(
    statuses(net, ...nodes).map(({ ipam }) => ipam.status),
    ['ready', 'ready', 'ready'],
  );
});

test('an address request is answered only after its transaction, and survives a power cut after it', (t) => {
  const [net, a] = line(2);
  a!.node.onIpamRequest(1, { type: 'allocate', id: 'one' }, net.now);
  net.settle(a!);
  net.run(10_000);
  const first = a!.replies.get(1);
  net.kill(a!);
  net.start(1);
  net.run(20_000);
  a!.node.onIpamRequest(2, { type: 'lookup', id: 'one' }, net.now);
  net.settle(a!);
  net.run(1_000);
  t.deepEqual(a!.replies.get(2), first);
});

test('without address allocation a request for one is answered with an error, and nobody holds any', (t) => {
  const [net, a] = line(1, { ipam: undefined });
  a!.node.onIpamRequest(1, { type: 'prime' }, net.now);
  net.settle(a!);
  t.is(a!.replies.get(1)?.type, 'failed');
  t.is(statuses(net, a!)[0]!.ipam.status, 'disabled');
  a!.node.onIpamRequest(2, { type: 'release', id: 'one' }, net.now);
  a!.node.onIpamRequest(3, { type: 'lookup', id: 'one' }, net.now);
  a!.node.onIpamRequest(4, { type: 'list' }, net.now);
  net.settle(a!);
  t.deepEqual(
    [2, 3, 4].map((request) => a!.replies.get(request)),
    [{ type: 'done' }, { type: 'addresses', addresses: [] }, { type: 'allocations', allocations: [] }],
  );
});

test('refused connections are reset, and counted among the drops under names of their own', (t) => {
  const [net, a] = line(1);
  const stranger = { ip: parseIp('198.51.100.7')!, port: 5_000 };
  for (let conn = 101; conn <= 117; conn += 2) a!.node.onAccepted(conn, stranger, net.now);
  const closes = a!.node.drain().filter(({ type }) => type === 'close-connection');
  t.deepEqual(closes, [{ type: 'close-connection', conn: 117, reset: true }]);
  const [status] = statuses(net, a!);
  t.is(status!.router.drops['connection-half-open-limit'], 1);
  t.is(status!.router.drops['index-unknown'], 3);
  t.like(status!.router.connections.at(-1), { outbound: false, state: 'failed' });
});

test('status and report carry what the data plane says, and do without after two seconds', (t) => {
  const [net, a] = line(2);
  a!.node.requestReport(1, net.now);
  net.settle(a!);
  net.run(10);
  const report = a!.documents.get(1)!;
  t.is(report.router.drops['index-unknown'], 3);
  t.true('topology' in report && report.topology.length === 2 && report.details['labels'] === 2);
  t.is(report.router.nickname, 'host1');
  t.is(report.router.mtu, 1_388);
  t.true(report.router.encryption);
  t.deepEqual(
    report.router.peers.map(({ neighbours }) => neighbours.length),
    [1, 1],
  );
  a!.node.requestStatus(2, net.now);
  a!.node.drain();
  net.run(1_999);
  t.false(a!.documents.has(2));
  net.run(1);
  t.is(a!.documents.get(2)!.router.drops['index-unknown'], undefined);
});

test('more status requests than can wait are answered at once', (t) => {
  const [net, a] = line(1);
  for (let i = 0; i < 65; i++) a!.node.requestStatus(i, net.now);
  net.settle(a!);
  t.deepEqual([...a!.documents.keys()], [64]);
});

test('a control-only node takes part in gossip and has no links', (t) => {
  const net = new ControlNet();
  const a = net.start(1);
  const b = net.start(2, { dataPlane: false });
  net.connect(b, a);
  net.run(20_000);
  t.is(statuses(net, b)[0]!.router.peers.length, 2);
  t.deepEqual(b.toData, []);
  t.is(a.sessions(b).length, 0);
  t.deepEqual(statuses(net, a)[0]!.router.links, []);
});

test('a node that stops says bye and ends its sessions', (t) => {
  const [net, a, b] = line(2);
  b!.node.stop(net.now);
  net.settle(b!);
  t.deepEqual(
    b!.sent('session-closed').map(({ peer, notify }) => [peer, notify]),
    [[a!.name, true]],
  );
  b!.running = false;
  net.run(500);
  t.true(a!.logs.some((line) => line.includes('host2 is stopping')));
});

for (const [passwords, next, refusal] of [
  [[], ['a'], /no password is set/],
  [['a'], [], /no password is left/],
  [['a'], ['a', 'b', 'c'], /3 passwords are too many/],
] as const) {
  test(`to go from ${passwords.length} passwords to ${next.length} is refused, and changes nothing`, (t) => {
    const [net, a, b] = line(2, { passwords: passwords.map(utf8) });
    const outcome = a!.node.onPasswords(next.map(utf8), net.now);
    t.regex(typeof outcome === 'string' ? outcome : '', refusal);
    net.settle(a!);
    net.run(90_000);
    t.is(statuses(net, a!)[0]!.router.connections[0]?.state, 'established');
    t.is(a!.sessions(b!).length, 1);
  });
}

test('a rotation says what it came to, in the log too, and never the passwords', (t) => {
  const [net, a, b] = line(2);
  t.deepEqual(a!.node.onPasswords(['secret', 'marker'].map(utf8), net.now), {
    accepted: 2,
    added: 1,
    dropped: 0,
    remaking: 0,
  });
  b!.node.onPasswords(['secret', 'marker'].map(utf8), net.now);
  t.is(statuses(net, a!)[0]!.router.passwords, 2);
  const dropped = a!.node.onPasswords(['marker'].map(utf8), net.now);
  t.deepEqual(dropped, { accepted: 1, added: 0, dropped: 1, remaking: 1 });
  net.settle(a!);
  net.settle(b!);
  net.run(60_000);
  t.is(statuses(net, a!)[0]!.router.connections[0]?.state, 'established');
  t.true(a!.logs.includes('passwords read again {"accepted":1,"added":0,"dropped":1,"remaking":1}'));
  t.is(statuses(net, a!).at(-1)!.router.passwords, 1);
  t.false(a!.logs.join().includes('marker'));
});

test('rekeys are asked of the data plane, peer by peer', (t) => {
  const [net, a, b] = line(2);
  a!.node.rekey([b!.name], net.now);
  net.settle(a!);
  t.deepEqual(a!.sent('rekey'), [{ type: 'rekey', peer: b!.name }]);
});

test('a node that stopped holds no passwords and no static key any more, and leaves the stored one alone', (t) => {
  const passwords = [utf8('secret')];
  const [net, a] = line(2, { passwords });
  const stored = a!.store.get('identity')!.slice();
  const secret = a!.identity.staticKey.secret;
  t.true(secret.some((byte) => byte !== 0));
  a!.node.stop(net.now);
  net.settle(a!);
  net.run(60_000);
  t.deepEqual(secret, new Uint8Array(32));
  t.deepEqual(passwords, [new Uint8Array(6)]);
  t.deepEqual(a!.store.get('identity'), stored);
});

test('a session is closed when its peer has been gone for ten minutes, not before', (t) => {
  const [net, a, b] = line(2);
  net.run(10 * 60_000);
  net.kill(b!);
  net.run(9.5 * 60_000);
  t.is(a!.sent('session-closed').length, 0);
  net.run(60_000);
  t.is(a!.sent('session-closed').length, 1);
});

for (const [passwords, lasts] of [
  [['secret'], 15_000],
  [[], 600_000],
] as const) {
  const what = passwords.length === 0 ? 'a node without a password' : 'an encrypted node';
  test(`soon after the start of ${what} a session outlives its peer by ${lasts / 1_000} s`, (t) => {
    const [net, a, b] = line(2, { passwords: passwords.map(utf8) });
    net.kill(b!);
    net.run(lasts - 2_000);
    t.is(a!.sent('session-closed').length, 0);
    net.run(4_000);
    t.is(a!.sent('session-closed').length, 1);
  });
}

test('targets are stored, and malformed ones are refused', (t) => {
  const net = new ControlNet();
  const a = net.start(1);
  t.is(a.node.connect([formatIp(a.endpoint.ip), 'host7:1234'], false, net.now), undefined);
  t.regex(a.node.connect(['1.2.3.4.5:x'], false, net.now) ?? '', /1\.2\.3\.4\.5:x/);
  net.settle(a);
  net.run(10);
  const stored = () => JSON.parse(new TextDecoder().decode(a.store.get('targets'))) as { targets: string[] };
  t.deepEqual(stored().targets, ['192.0.2.1:6783', 'host7:1234']);
  a.node.forget(['host7:1234'], net.now);
  net.settle(a);
  net.run(10);
  t.deepEqual(stored().targets, ['192.0.2.1:6783']);
});

test('a link that is no longer direct is published as such at once', (t) => {
  const [net, a, b] = line(2);
  net.data(a!, { type: 'link-changed', peer: b!.name, state: 'up', direct: false });
  net.run(1_000);
  t.deepEqual([...b!.sent('routes').at(-1)!.routes.direct], [0, 0]);
});

test('the failure of the data plane is passed on', (t) => {
  const [net, a] = line(1);
  net.data(a!, { type: 'failed', error: 'TAP is gone' });
  t.true(a!.logs.includes('failed: TAP is gone'));
});

test('local MACs go to the data plane', (t) => {
  const [net, a] = line(1);
  a!.node.onLocalMacs(Uint8Array.of(1, 2, 3, 4, 5, 6), net.now);
  net.settle(a!);
  t.deepEqual(a!.sent('local-macs').at(-1)?.macs, Uint8Array.of(1, 2, 3, 4, 5, 6));
});

test('damaged pins refuse the start', (t) => {
  const net = new ControlNet();
  const [, a] = line(1);
  a!.store.set('pins', Uint8Array.of(9));
  net.nodes.push(a!);
  t.throws(() => net.start(1), { message: /pins/ });
});

function statuses(net: ControlNet, ...hosts: TestNode[]) {
  for (const host of hosts) {
    host.node.requestStatus(999, net.now);
    net.settle(host);
  }
  net.run(10);
  return hosts.map((host) => host.documents.get(999)!);
}
