import test from 'ava';
import fc from 'fast-check';
import { encodeMessage } from '../../gossip/messages.ts';
import { pack } from '../../core/msgpack.ts';
import { endpoint, Mesh, peerName, type SimulatedNode } from './mesh.ts';
import { frame } from './plain-channel.ts';
import { greeting, helloOf } from './stranger.ts';

const SECOND = 1_000;

const hello = helloOf(66);

/** A node with a connection from outside the simulation that has said hello. */
function greeted(): { mesh: Mesh; node: SimulatedNode; conn: number } {
  const mesh = new Mesh(1);
  const node = mesh.add(1);
  const conn = 101;
  mesh.act(node, (gossip, now) => gossip.onAccepted(conn, endpoint('198.51.100.7', 5_000), now));
  mesh.inject(node, conn, greeting);
  mesh.inject(node, conn, frame(encodeMessage(hello)));
  return { mesh, node, conn };
}

const malformed: [string, Uint8Array][] = [
  ['no MessagePack at all', Uint8Array.of(0xc1)],
  [
    'a truncated message',
    encodeMessage({ type: 'gossip', channel: 'topology', delta: Uint8Array.of(1, 2) }).slice(0, -1),
  ],
  ['a message with surplus bytes', Uint8Array.of(...encodeMessage({ type: 'heartbeat' }), 0)],
  ['an extension', Uint8Array.of(0x91, 0xd4, 0x72, 0x40)],
  ['an array that claims four billion items', Uint8Array.of(0xdd, 0xff, 0xff, 0xff, 0xff)],
  ['deep nesting', new Uint8Array(10_000).fill(0x91)],
  ['a second hello', encodeMessage(hello)],
  ['a listed type with other fields', pack([7, 1])],
  [
    'a topology delta that is not one',
    encodeMessage({ type: 'gossip', channel: 'topology', delta: Uint8Array.of(1) }),
  ],
  [
    'an announcement that is not one',
    encodeMessage({ type: 'have', channel: 'topology', announcement: Uint8Array.of(1) }),
  ],
  [
    'a request for a part of an entry',
    encodeMessage({ type: 'ask', channel: 'topology', request: new Uint8Array(11) }),
  ],
  ['a bucket digest of the wrong size', pack([4, 'topology', new Uint8Array(127), true])],
];

for (const [title, bytes] of malformed) {
  test(`${title} closes the connection and is counted`, (t) => {
    const { mesh, node, conn } = greeted();
    t.is(node.gossip.connectionsStatus(mesh.now)[0]?.peer, peerName(66));
    mesh.inject(node, conn, frame(bytes));
    t.deepEqual(node.gossip.failures(), { malformed: 1 });
    t.deepEqual(
      node.gossip.connectionsStatus(mesh.now).filter(({ state }) => state !== 'failed'),
      [],
    );
    mesh.inject(node, conn, frame(bytes));
    t.deepEqual(node.gossip.failures(), { malformed: 1 });
  });
}

test('messages of unknown types are ignored', (t) => {
  const { mesh, node, conn } = greeted();
  mesh.inject(node, conn, frame(pack([200, 'later', 1])));
  t.deepEqual(node.gossip.failures(), {});
  t.is(node.gossip.connectionsStatus(mesh.now).length, 1);
});

test('a message before hello is malformed', (t) => {
  const mesh = new Mesh(1);
  const node = mesh.add(1);
  mesh.act(node, (gossip, now) => gossip.onAccepted(101, endpoint('198.51.100.7', 5_000), now));
  mesh.inject(node, 101, greeting);
  mesh.inject(node, 101, frame(encodeMessage({ type: 'heartbeat' })));
  t.deepEqual(node.gossip.failures(), { malformed: 1 });
  t.regex(
    node.gossip.connectionsStatus(mesh.now)[0]!.error!,
    /198\.51\.100\.7:5000 sent a malformed message/,
  );
});

test('an open connection that says no hello is closed after 10 s', (t) => {
  const mesh = new Mesh(1);
  const node = mesh.add(1);
  mesh.act(node, (gossip, now) => gossip.onAccepted(101, endpoint('198.51.100.7', 5_000), now));
  mesh.inject(node, 101, greeting);
  mesh.run(11 * SECOND);
  t.deepEqual(node.gossip.failures(), { 'no-hello': 1 });
});

test('one source may hold only eight connections that have not said hello', (t) => {
  const mesh = new Mesh(1);
  const node = mesh.add(1);
  for (let i = 0; i < 20; i++) {
    mesh.act(node, (gossip, now) => gossip.onAccepted(101 + 2 * i, endpoint('198.51.100.7', 5_000 + i), now));
  }
  mesh.act(node, (gossip, now) => gossip.onAccepted(999, endpoint('203.0.113.1', 5_000), now));
  t.deepEqual(node.gossip.failures(), { 'half-open-limit': 12 });
  const live = node.gossip.connectionsStatus(mesh.now).filter(({ state }) => state === 'connecting');
  t.is(live.length, 9);
});

test('refused attempts are kept for status in bounded number', (t) => {
  const mesh = new Mesh(1);
  const node = mesh.add(1);
  for (let i = 0; i < 200; i++) {
    mesh.act(node, (gossip, now) => gossip.onAccepted(101 + 2 * i, endpoint(`198.51.100.${i}`, 5_000), now));
    mesh.inject(node, 101 + 2 * i, frame(Uint8Array.of(1)));
  }
  t.is(node.gossip.connectionsStatus(mesh.now).length, 64);
  t.deepEqual(node.gossip.failures(), { 'not-weave-ts': 200 });
});

test('a neighbour that takes nothing is sent a bounded amount, and everything once it does', (t) => {
  const { mesh, node, conn } = greeted();
  const big = new Uint8Array(60_000);
  let accepted = 0;
  for (let i = 0; i < 50; i++) {
    mesh.act(node, (gossip, now) => {
      if (gossip.unicast(peerName(66), 'offer', big, now)) accepted++;
    });
  }
  t.true(accepted >= 4 && accepted <= 6, `${accepted} accepted`);
  mesh.act(node, (gossip, now) => gossip.onWritable(conn, now));
  mesh.act(node, (gossip, now) => t.true(gossip.unicast(peerName(66), 'offer', big, now)));
});

test('gossip that waited for a neighbour that took nothing leaves as soon as it does', (t) => {
  const { mesh, node, conn } = greeted();
  mesh.run(SECOND);
  for (let i = 0; i < 6; i++) {
    mesh.act(node, (gossip, now) => gossip.unicast(peerName(66), 'offer', new Uint8Array(60_000), now));
  }
  mesh.act(node, (gossip, now) => gossip.announce({ info: { waits: 'here' } }, now));
  mesh.run(SECOND);
  const before = node.bytesWritten;
  mesh.run(SECOND);
  t.is(node.bytesWritten, before);
  mesh.act(node, (gossip, now) => gossip.onWritable(conn, now));
  mesh.run(SECOND / 4);
  t.true(node.bytesWritten > before);
});

test('no bytes after hello make a node throw', (t) => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ minLength: 1, maxLength: 60 }), { maxLength: 5 }), (payloads) => {
      const { mesh, node, conn } = greeted();
      for (const payload of payloads) mesh.inject(node, conn, frame(payload));
      mesh.run(SECOND);
      return true;
    }),
    { numRuns: 200, seed: 1 },
  );
  t.pass();
});

test('no field of any message makes a node throw', (t) => {
  const value = fc.oneof(
    fc.nat(),
    fc.string({ maxLength: 12 }),
    fc.uint8Array({ maxLength: 200 }),
    fc.boolean(),
    fc.constant('topology'),
    fc.constant(null),
    fc.array(fc.oneof(fc.nat(), fc.uint8Array({ maxLength: 12 })), { maxLength: 4 }),
  );
  const message = fc.tuple(fc.integer({ min: 0, max: 12 }), fc.array(value, { maxLength: 10 }));
  fc.assert(
    fc.property(message, ([type, fields]) => {
      const { mesh, node, conn } = greeted();
      mesh.inject(node, conn, frame(pack([type, ...fields])));
      mesh.run(SECOND);
      return true;
    }),
    { numRuns: 500, seed: 2 },
  );
  t.pass();
});
