import test from 'ava';
import { Connection } from '../../gossip/connection.ts';
import { encodeMessage } from '../../gossip/messages.ts';
import { endpoint, peerName } from './mesh.ts';
import { PlainChannel } from './plain-channel.ts';

const HELLO = encodeMessage({
  type: 'hello',
  name: peerName(2),
  nickname: 'host2',
  uid: '0011223344556677',
  incarnation: 1,
  version: '0.1.0',
  replaces: new Uint8Array(0),
  port: 6_783,
  acceptsInbound: true,
  seenAt: endpoint('192.0.2.1', 6_783),
});

/** A connection on which both ends have said hello at `now`. */
function running(now: number): Connection {
  const options = { id: 1, passwords: [], attempt: 0 } as const;
  const channel = new PlainChannel({ ...options, role: 'dialler' });
  const connection = new Connection(
    { conn: 2, remote: endpoint('192.0.2.2', 6_783), outbound: true, channel },
    now,
  );
  const other = new PlainChannel({ ...options, role: 'acceptor' });
  for (const effect of connection.drain()) if (effect.type === 'write') other.onBytes(effect.bytes);
  other.send(HELLO);
  for (const effect of other.drain()) if (effect.type === 'write') connection.onBytes(effect.bytes, now);
  connection.send(HELLO, now);
  connection.drain();
  return connection;
}

test('connections that nothing is sent on heartbeat together, whenever they began, each every ten seconds', (t) => {
  for (const since of [2, 3_210.5, 9_990]) {
    const connection = running(since);
    for (const beat of [10_000, 20_000, 30_000]) {
      t.is(connection.nextTimeout(), beat, String(since));
      connection.onTimeout(beat - 1);
      t.deepEqual(connection.drain(), []);
      connection.onTimeout(beat);
      t.deepEqual(
        connection.drain().map(({ type }) => type),
        ['write'],
      );
    }
  }
});

test('a message that was sent makes the heartbeat of that beat needless', (t) => {
  const connection = running(2);
  connection.send(HELLO, 10_000);
  connection.drain();
  t.is(connection.nextTimeout(), 20_000);
});

test('who does not read is not sent heartbeats on top of what waits for it, until it does', (t) => {
  const connection = running(2);
  const writes = (now: number): number => {
    connection.onTimeout(now);
    return connection.drain().length;
  };
  connection.send(encodeMessage({ type: 'gossip', channel: 'test', delta: new Uint8Array(300_000) }), 5_000);
  connection.drain();
  t.is(writes(10_000), 0);
  t.is(connection.nextTimeout(), 20_000);
  connection.onWritable();
  t.is(writes(20_000), 1);
});
