import test from 'ava';
import { SeededRandom } from '../../core/random.ts';
import type { PeerName } from '../../core/peer-name.ts';
import { encodeMessage, type Hello } from '../../gossip/messages.ts';
import { Neighbourhood } from '../../gossip/neighbourhood.ts';
import type { SecureChannelEffect } from '../../gossip/secure-channel.ts';
import { MAX_NEIGHBOURS, type TopologyEntry } from '../../gossip/topology-entry.ts';
import { endpoint, peerName } from './mesh.ts';

const SELF = peerName(0);

function hello(name: PeerName, uid: string): Omit<Hello, 'type' | 'replaces' | 'seenAt'> {
  return { name, nickname: name, uid, incarnation: 1, version: 'test', port: 6783, acceptsInbound: true };
}

/** Open from the start, with every piece of bytes a message. */
function openChannel(id: number) {
  const sid = new Uint8Array(16);
  new DataView(sid.buffer).setUint32(0, id);
  const effects: SecureChannelEffect[] = [{ type: 'open', sid, encrypted: false, passwordIndex: 0 }];
  const ignore = (): undefined => undefined;
  return {
    onBytes: (bytes: Uint8Array) => void effects.push({ type: 'message', bytes }),
    onTaskDone: ignore,
    send: ignore,
    close: ignore,
    nextTimeout: ignore,
    onTimeout: ignore,
    drain: () => effects.splice(0),
  };
}

/** A neighbourhood that `count` peers connect to, and those that then are its neighbours. */
function crowd(connLimit: number, count: number, knownUid?: string) {
  let channels = 0;
  const neighbourhood = new Neighbourhood(
    { hello: hello(SELF, '00'.repeat(8)), connLimit, discovery: true },
    {
      random: new SeededRandom(1),
      createChannel: () => openChannel(++channels),
      passwordCount: () => 0,
      findSpare: () => undefined,
      reachablePeer: () => (knownUid === undefined ? undefined : ({ uid: knownUid } as TopologyEntry)),
    },
  );
  for (let i = 1; i <= count; i++) {
    const conn = 2 * i + 1;
    neighbourhood.onAccepted(conn, endpoint(`198.51.100.${i & 127}`), 0);
    const greeting = { ...hello(peerName(i), '11'.repeat(8)), replaces: new Uint8Array(0) };
    neighbourhood.drain(0);
    neighbourhood.onBytes(
      conn,
      encodeMessage({ type: 'hello', ...greeting, seenAt: endpoint('192.0.2.1') }),
      0,
    );
    neighbourhood.drain(0);
  }
  return neighbourhood;
}

for (const connLimit of [0, MAX_NEIGHBOURS + 10]) {
  test(`a connection limit of ${connLimit} takes no more neighbours than the topology can name`, (t) => {
    const neighbourhood = crowd(connLimit, MAX_NEIGHBOURS + 2);
    t.is(neighbourhood.neighbours.size, MAX_NEIGHBOURS);
    t.is(neighbourhood.failures.get('connection-limit'), 2);
  });
}

test('peers that restarted count towards the limit once their old selves did not answer', (t) => {
  const neighbourhood = crowd(2, 4, '22'.repeat(8));
  t.is(neighbourhood.neighbours.size, 0, 'all names are contested');
  neighbourhood.onTimeout(5_000);
  t.is(neighbourhood.neighbours.size, 2);
  t.is(neighbourhood.failures.get('connection-limit'), 2);
});
