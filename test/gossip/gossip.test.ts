import test from 'ava';
import type { PeerName } from '../../core/peer-name.ts';
import { LastWriterChannel } from './last-writer-channel.ts';
import { endpoint, Mesh, neighbours, peerName, reached, type SimulatedNode } from './mesh.ts';

const SECOND = 1_000;
const DIRECT = { up: true, direct: true };
const LOST = { up: false, direct: false };

/** `count` nodes of which all know the first. */
function start(mesh: Mesh, count: number): SimulatedNode[] {
  const nodes = Array.from({ length: count }, (_, i) => mesh.add(i + 1));
  for (const node of nodes.slice(1)) mesh.connect(node, '192.0.2.1');
  return nodes;
}

function withChannels(nodes: readonly SimulatedNode[]): LastWriterChannel[] {
  return nodes.map((node) => {
    const channel = new LastWriterChannel();
    node.gossip.registerChannel('test', channel);
    return channel;
  });
}

test('nodes that know only the first find each other and make a full mesh', (t) => {
  const mesh = new Mesh(1);
  const nodes = start(mesh, 5);
  mesh.run(10 * SECOND);
  const names = nodes.map(({ name }) => name);
  for (const node of nodes) {
    t.deepEqual(reached(node), names);
    t.deepEqual(
      neighbours(node),
      names.filter((name) => name !== node.name),
    );
  }
});

for (const seed of [1, 2, 3]) {
  test(`twenty nodes started at once agree on one view and one connection per pair (seed ${seed})`, (t) => {
    const mesh = new Mesh(seed);
    const nodes = start(mesh, 20);
    mesh.run(15 * SECOND);
    const expected = nodes[0]!.gossip.routes();
    t.is(expected.adjacency.length, 20 * 19);
    for (const { gossip, streams } of nodes) {
      const routes = gossip.routes();
      t.deepEqual(routes.names, expected.names);
      t.deepEqual(routes.adjacency, expected.adjacency);
      t.deepEqual(routes.epoch, expected.epoch);
      t.is(streams.size, 19);
    }
  });
}

test('every edge is listed from both ends and following next hops reaches every peer without a loop', (t) => {
  const mesh = new Mesh(4);
  const nodes = Array.from({ length: 9 }, (_, i) => mesh.add(i + 1, { discovery: false }));
  for (const [a, b] of [
    [1, 2],
    [2, 3],
    [3, 4],
    [4, 1],
    [4, 5],
    [5, 6],
    [6, 7],
    [7, 5],
    [8, 9],
    [9, 2],
  ]) {
    mesh.connect(nodes[a! - 1]!, `192.0.2.${b}`);
  }
  mesh.run(5 * SECOND);
  const byName = new Map<PeerName, SimulatedNode>(nodes.map((node) => [node.name, node]));
  for (const from of nodes) {
    for (const neighbour of neighbours(from)) {
      t.true(neighbours(byName.get(neighbour as PeerName)!).includes(from.name));
    }
    for (const to of nodes) {
      const seen = new Set<PeerName>();
      for (let at = from; at !== to;) {
        t.false(seen.has(at.name));
        seen.add(at.name);
        const routes = at.gossip.routes();
        at = byName.get(routes.names[routes.nextHop[routes.names.indexOf(to.name)]!]!)!;
      }
    }
  }
});

test('without discovery a chain stays a chain and unicasts go through the middle', (t) => {
  const mesh = new Mesh(2);
  const nodes = [1, 2, 3].map((i) => mesh.add(i, { discovery: false }));
  mesh.connect(nodes[0]!, '192.0.2.2');
  mesh.connect(nodes[1]!, '192.0.2.3');
  mesh.run(5 * SECOND);
  t.deepEqual(neighbours(nodes[0]!), [peerName(2)]);
  t.deepEqual(reached(nodes[0]!), [peerName(1), peerName(2), peerName(3)]);
  mesh.act(nodes[0]!, (gossip, now) => {
    t.true(gossip.unicast(peerName(3), 'offer', Uint8Array.of(1, 2, 3), now));
    t.false(gossip.unicast(peerName(9), 'offer', Uint8Array.of(1), now));
    t.false(gossip.unicast(peerName(3), 'offer', new Uint8Array(65_537), now));
  });
  mesh.run(SECOND);
  const [received] = nodes[2]!.of('unicast');
  t.is(received?.from, peerName(1));
  t.is(received?.kind, 'offer');
  t.deepEqual([...received!.bytes], [1, 2, 3]);
  t.deepEqual(nodes[1]!.of('unicast'), []);
});

test('a change of a channel reaches all peers at about one message each in a full mesh', (t) => {
  const mesh = new Mesh(5);
  const nodes = start(mesh, 10);
  const channels = withChannels(nodes);
  mesh.run(10 * SECOND);
  const before = channels.map(({ merges }) => merges);
  mesh.act(nodes[3]!, (gossip, now) => gossip.publish('test', channels[3]!.set('a', 1), now));
  mesh.run(400);
  t.deepEqual(
    channels.map(({ values }) => values.get('a')),
    nodes.map(() => 1),
  );
  const merges = channels.reduce((sum, channel, i) => sum + channel.merges - before[i]!, 0);
  t.true(merges <= 2 * nodes.length, `${merges} messages for ${nodes.length} peers`);
});

test('a node without a channel relays it, once', (t) => {
  const mesh = new Mesh(6);
  const nodes = [1, 2, 3, 4].map((i) => mesh.add(i, { discovery: false }));
  for (const [a, b] of [
    [1, 2],
    [2, 3],
    [3, 4],
    [4, 2],
  ])
    mesh.connect(nodes[a! - 1]!, `192.0.2.${b}`);
  const [first] = withChannels([nodes[0]!]);
  const [last] = withChannels([nodes[3]!]);
  mesh.run(5 * SECOND);
  mesh.act(nodes[0]!, (gossip, now) => gossip.publish('test', first!.set('a', 7), now));
  mesh.run(SECOND);
  t.is(last!.values.get('a'), 7);
  t.true(last!.merges <= 2);
});

test('what was missed during a partition is repaired when it heals', (t) => {
  const mesh = new Mesh(7);
  const nodes = start(mesh, 6);
  const channels = withChannels(nodes);
  mesh.run(10 * SECOND);
  mesh.partition(nodes.slice(0, 3), nodes.slice(3));
  mesh.run(100 * SECOND);
  t.is(reached(nodes[0]!).length, 3);
  t.is(nodes[0]!.of('peer-gone').length, 3);
  mesh.act(nodes[0]!, (gossip, now) => gossip.publish('test', channels[0]!.set('left', 1), now));
  mesh.act(nodes[5]!, (gossip, now) => gossip.publish('test', channels[5]!.set('right', 2), now));
  mesh.run(10 * SECOND);
  mesh.heal();
  mesh.run(130 * SECOND);
  for (const [i, node] of nodes.entries()) {
    t.is(reached(node).length, 6);
    t.deepEqual([...channels[i]!.values].sort(), [
      ['left', 1],
      ['right', 2],
    ]);
  }
});

test('a delta that was lost is repaired by comparing digests within 30 s', (t) => {
  const mesh = new Mesh(8);
  const nodes = start(mesh, 3);
  const channels = withChannels(nodes);
  mesh.run(10 * SECOND);
  channels[1]!.set('lost', 3); // never published
  mesh.run(31 * SECOND);
  t.deepEqual(
    channels.map(({ values }) => values.get('lost')),
    [3, 3, 3],
  );
});

test('a crash without FIN is known to all in less than 35 s and forgotten 30 s later', (t) => {
  const mesh = new Mesh(9);
  const nodes = start(mesh, 6);
  mesh.run(10 * SECOND);
  mesh.crash(nodes[2]!);
  mesh.run(35 * SECOND);
  const others = nodes.filter((node) => node !== nodes[2]);
  for (const node of others) {
    t.false(reached(node).includes(peerName(3)));
    t.false(node.gossip.isReachable(peerName(3)));
  }
  mesh.run(31 * SECOND);
  for (const node of others) {
    t.is(node.gossip.entry(peerName(3)), undefined);
    t.deepEqual(node.of('peer-gone'), [{ type: 'peer-gone', name: peerName(3) }]);
  }
  mesh.run(120 * SECOND);
  for (const node of others) t.is(node.gossip.entry(peerName(3)), undefined, 'it does not come back');
});

test('a peer that was forgotten and never met is no longer dialled, though nobody says a word', (t) => {
  const mesh = new Mesh(19);
  const nodes = [1, 2, 3].map((i) => mesh.add(i));
  const [one, hub, lost] = nodes;
  mesh.cut(one!, lost!);
  for (const node of [one!, lost!]) mesh.connect(node, '192.0.2.2');
  mesh.run(10 * SECOND);
  mesh.crash(lost!);
  mesh.crash(hub!);
  const retried = () => one!.gossip.connectionsStatus(mesh.now).map(({ address }) => address);
  mesh.run(20 * SECOND);
  t.true(retried().includes('192.0.2.3:6783'));
  while (one!.gossip.entry(lost!.name) !== undefined) mesh.run(100);
  mesh.run(500);
  t.false(retried().includes('192.0.2.3:6783'));
});

test('a peer that stops is known to be gone at once', (t) => {
  const mesh = new Mesh(10);
  const nodes = start(mesh, 6);
  mesh.run(10 * SECOND);
  mesh.stop(nodes[2]!);
  mesh.run(500);
  for (const node of nodes.filter((other) => other !== nodes[2])) {
    t.false(reached(node).includes(peerName(3)));
  }
});

test('a restarted peer is seen as such by all, with its new incarnation', (t) => {
  const mesh = new Mesh(11);
  const nodes = start(mesh, 4);
  mesh.run(10 * SECOND);
  const before = nodes[0]!.gossip.entry(peerName(3))!;
  mesh.crash(nodes[2]!);
  mesh.run(SECOND);
  const again = mesh.add(3);
  mesh.connect(again, '192.0.2.1');
  mesh.run(10 * SECOND);
  for (const node of [nodes[0]!, nodes[1]!, nodes[3]!, again]) {
    const entry = node.gossip.entry(peerName(3))!;
    t.true(entry.incarnation > before.incarnation);
    t.not(entry.uid, before.uid);
    t.is(reached(node).length, 4);
  }
  t.true(
    nodes[0]!.of('peer-changed').some(({ entry }) => entry.uid === again.gossip.entry(peerName(3))!.uid),
  );
});

test('a restarted peer whose incarnation fell back moves past what others remember of it', (t) => {
  const mesh = new Mesh(12);
  const nodes = start(mesh, 3);
  const old = mesh.add(9, { incarnation: 50 });
  mesh.connect(old, '192.0.2.1');
  mesh.run(10 * SECOND);
  mesh.stop(old);
  mesh.run(2 * SECOND);
  const again = mesh.add(9, { incarnation: 7 });
  mesh.connect(again, '192.0.2.1');
  mesh.run(40 * SECOND);
  for (const node of [...nodes, again]) {
    const entry = node.gossip.entry(peerName(9))!;
    t.is(entry.uid, again.gossip.entry(peerName(9))!.uid);
    t.is(entry.incarnation, 51);
    t.is(reached(node).length, 4);
  }
});

test('link states are published and count when both ends say so', (t) => {
  const mesh = new Mesh(13);
  const nodes = start(mesh, 3);
  mesh.run(10 * SECOND);
  mesh.act(nodes[0]!, (gossip, now) => gossip.onLinkChanged(peerName(2), DIRECT, now));
  mesh.run(3 * SECOND);
  t.false(nodes[2]!.gossip.routes().direct.includes(1));
  mesh.act(nodes[1]!, (gossip, now) => gossip.onLinkChanged(peerName(1), DIRECT, now));
  mesh.run(3 * SECOND);
  t.is(nodes[2]!.gossip.routes().direct.filter((flag) => flag === 1).length, 2);
  mesh.act(nodes[1]!, (gossip, now) => gossip.onLinkChanged(peerName(1), LOST, now));
  mesh.run(3 * SECOND);
  t.false(nodes[2]!.gossip.routes().direct.includes(1));
});

/** Three nodes, all links direct, of which the first two lose each other without a word. */
function cutPair(seed: number): [Mesh, SimulatedNode[]] {
  const mesh = new Mesh(seed);
  const nodes = start(mesh, 3);
  mesh.run(10 * SECOND);
  for (const node of nodes) {
    for (const { name } of nodes.filter((other) => other !== node)) {
      mesh.act(node, (gossip, now) => gossip.onLinkChanged(name, DIRECT, now));
    }
  }
  mesh.run(3 * SECOND);
  mesh.cut(nodes[0]!, nodes[1]!);
  mesh.act(nodes[0]!, (gossip, now) => gossip.onLinkChanged(peerName(2), LOST, now));
  mesh.act(nodes[1]!, (gossip, now) => gossip.onLinkChanged(peerName(1), LOST, now));
  return [mesh, nodes];
}

test('a unicast goes round a neighbour connection whose link lost its path', (t) => {
  const [mesh, [one, two]] = cutPair(15);
  mesh.run(SECOND);
  mesh.act(one!, (gossip, now) => gossip.unicast(peerName(2), 'offer', Uint8Array.of(7), now));
  mesh.run(SECOND);
  t.deepEqual(
    two!.of('unicast').map(({ from, bytes }) => [from, ...bytes]),
    [[peerName(1), 7]],
  );
});

for (const seed of [16, 17, 18]) {
  test(`what a neighbour announces behind a stalled connection is known soon all the same (seed ${seed})`, (t) => {
    const [mesh, [one, two]] = cutPair(seed);
    mesh.run(2 * SECOND);
    mesh.act(two!, (gossip, now) => gossip.announce({ info: { cluster: 'news' } }, now));
    mesh.run(3 * SECOND);
    t.deepEqual(one!.gossip.entry(peerName(2))?.info, { cluster: 'news' });
  });
}

test('what a peer announces reaches the others', (t) => {
  const mesh = new Mesh(14);
  const nodes = start(mesh, 3);
  mesh.run(10 * SECOND);
  mesh.act(nodes[1]!, (gossip, now) =>
    gossip.announce({ capabilities: ['ipam', 'ipam-voter:3'], info: { cluster: 'abc' } }, now),
  );
  mesh.run(SECOND);
  const entry = nodes[2]!.gossip.entry(peerName(2))!;
  t.deepEqual(entry.capabilities, ['ipam', 'ipam-voter:3']);
  t.deepEqual(entry.info, { cluster: 'abc' });
  t.deepEqual(entry.addresses, [endpoint('192.0.2.2')]);
});

test('routes do not change, and nothing but heartbeats and digests is sent, while nothing happens', (t) => {
  const mesh = new Mesh(15);
  const nodes = start(mesh, 10);
  mesh.run(20 * SECOND);
  const versions = nodes.map(({ gossip }) => gossip.routes().version);
  const before = nodes.map(({ bytesWritten }) => bytesWritten);
  mesh.run(60 * SECOND);
  t.deepEqual(
    nodes.map(({ gossip }) => gossip.routes().version),
    versions,
  );
  for (const [i, node] of nodes.entries()) {
    const perSecond = (node.bytesWritten - before[i]!) / 60;
    t.true(perSecond < 60, `${perSecond} bytes per second`);
  }
});
