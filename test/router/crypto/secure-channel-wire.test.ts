import { createHash, createHmac } from 'node:crypto';
import test from 'ava';
import { concatBytes, toHex, utf8 } from '../../../core/bytes.ts';
import type { CryptoJob } from '../../../gossip/secure-channel.ts';
import { ChannelPair, allPrimitives } from './channel-pair.ts';
import type { PlayedPrimitives } from './played-primitives.ts';

const [, sodium] = allPrimitives[0]!;

test('every byte of a connection is where the protocol says, with the values that it says', (t) => {
  const isks: Uint8Array[] = [];
  const jobs: CryptoJob[] = [];
  const recording: PlayedPrimitives = {
    ...sodium,
    runJob: (job) => {
      const result = sodium.runJob(job);
      jobs.push(structuredClone(job));
      if (result.type === 'cpace-answered') isks.push(result.isk.slice());
      return result;
    },
  };
  const dialling = { passwords: [utf8('current')] };
  const accepting = { passwords: [utf8('next'), utf8('current')] };
  const { dialler, acceptor } = new ChannelPair(recording, dialling, accepting).run();
  dialler.channel.send(utf8('to b'));
  acceptor.channel.send(utf8('to a'));
  dialler.drain();
  acceptor.drain();

  const a = reader(dialler.written);
  const b = reader(acceptor.written);
  const [preambleA, preambleB] = [a(44), b(44)];
  for (const preamble of [preambleA, preambleB]) {
    t.deepEqual(preamble.subarray(0, 12), concatBytes(utf8('weave-ts'), Uint8Array.of(1, 1, 1, 0)));
  }
  const sid = sha512(preambleA.subarray(12), preambleB.subarray(12));
  t.deepEqual(dialler.opened?.sid, sid);

  const elementA = a(32);
  t.deepEqual(b(1), Uint8Array.of(2));
  const offers = [0, 1].map(() => ({ element: b(32), tag: b(64) }));
  for (const [index, offer] of offers.entries()) {
    const data = concatBytes(preambleB, Uint8Array.of(index));
    t.is(toHex(offer.tag), toHex(tag(sid, isks[index]!, offer.element, data)));
  }
  t.deepEqual(a(2), Uint8Array.of(1, 1));
  t.is(toHex(a(64)), toHex(tag(sid, isks[1]!, elementA, preambleA)));

  for (const [read, label, text] of [
    [a, 'weave-ts a>b', 'to b'],
    [b, 'weave-ts b>a', 'to a'],
  ] as const) {
    const key = sha512(utf8(label), isks[1]!).slice(0, 32);
    const stream = sodium.openStream(key, read(24));
    t.deepEqual(read(4), Uint8Array.of(text.length + 17, 0, 0, 0));
    t.deepEqual(stream.open(read(text.length + 17)), utf8(text));
    t.is(read().length, 0);
  }
  for (const job of jobs) {
    t.deepEqual(job.sid, sid);
    if (job.type !== 'cpace-finish') t.deepEqual(job.channelId, utf8('weave-ts/1'));
  }
});

/** Reads a stream piece by piece; without a count, all the rest. */
function reader(bytes: Uint8Array): (count?: number) => Uint8Array {
  let at = 0;
  return (count = bytes.length - at) => bytes.slice(at, (at += count));
}

function tag(sid: Uint8Array, isk: Uint8Array, element: Uint8Array, data: Uint8Array): Uint8Array {
  const macKey = sha512(utf8('CPaceMac'), sid, isk);
  // Both parts are shorter than 128 bytes, so that LEB128 writes their lengths as one byte.
  const parts = [Uint8Array.of(element.length), element, Uint8Array.of(data.length), data];
  return new Uint8Array(
    createHmac('sha512', macKey)
      .update(concatBytes(...parts))
      .digest(),
  );
}

function sha512(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(
    createHash('sha512')
      .update(concatBytes(...parts))
      .digest(),
  );
}
