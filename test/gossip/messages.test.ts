import test from 'ava';
import { encodeMessage, parseMessage, type Message } from '../../gossip/messages.ts';
import { pack } from '../../core/msgpack.ts';
import { text } from '../../gossip/checked-fields.ts';
import { endpoint, peerName } from './mesh.ts';

const messages: Message[] = [
  {
    type: 'hello',
    name: peerName(1),
    nickname: 'host1',
    uid: '0011223344556677',
    incarnation: 2 ** 33,
    version: '0.1.0',
    replaces: Uint8Array.of(1, 2, 3),
    port: 6_783,
    acceptsInbound: true,
    seenAt: endpoint('2001:db8::9', 65_535),
  },
  { type: 'gossip', channel: 'ipam', delta: Uint8Array.of(1) },
  { type: 'digest', roots: [{ channel: 'topology', root: new Uint8Array(8).fill(7) }] },
  { type: 'buckets', channel: 'ipam', buckets: new Uint8Array(128).fill(3), mutual: false },
  { type: 'want', channel: 'ipam', buckets: 0xffff },
  { type: 'unicast', from: peerName(1), to: peerName(2), ttl: 64, kind: 'offer', bytes: new Uint8Array(0) },
  { type: 'heartbeat' },
  { type: 'bye', reason: 'stopping', sentence: 'host1 is stopping' },
  { type: 'remake' },
  { type: 'spare' },
  { type: 'keep' },
];

for (const message of messages) {
  test(`${message.type} survives encoding, and every cut of it is malformed`, (t) => {
    const bytes = Uint8Array.from(encodeMessage(message));
    t.deepEqual(parseMessage(bytes), { type: 'message', message });
    for (let length = 0; length < bytes.length; length++) {
      t.is(parseMessage(bytes.subarray(0, length)).type, 'malformed');
    }
  });
}

test('an unlisted type is unknown, whatever its fields', (t) => {
  t.deepEqual(parseMessage(pack([77])), { type: 'unknown' });
  t.deepEqual(parseMessage(pack([77, 'a', [1, 2]])), { type: 'unknown' });
});

test('what is not an array that begins with a type is malformed', (t) => {
  for (const value of [[], ['hello'], 7, 'text', null, [-1], [256], [[1]]]) {
    t.is(parseMessage(pack(value)).type, 'malformed', JSON.stringify(value));
  }
});

test('control characters in text from others never reach a terminal', (t) => {
  t.is(text('a\u001b[31mb\u202e', 99, 'x'), 'a?[31mb?');
});
