import test from 'ava';
import { concatBytes, fromHex, utf8 } from '../../../core/bytes.ts';
import { SeededRandom } from '../../../core/random.ts';
import type { CryptoResult } from '../../../gossip/secure-channel.ts';
import { NoiseIkInitiator, NoiseIkResponder } from '../../../router/crypto/noise-ik.ts';
import { End } from './channel-pair.ts';
import { playedSodium as sodium } from './played-primitives.ts';

/** RFC 9496, appendix A.3, and the two encodings of the identity: 0 and p. */
const BAD_RISTRETTO = {
  identity: ['0000000000000000000000000000000000000000000000000000000000000000'],
  'no canonical field element': [
    '00ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
    'ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'f3ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  ],
  'a negative field element': [
    '0100000000000000000000000000000000000000000000000000000000000000',
    '01ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'ed57ffd8c914fb201471d1c3d245ce3c746fcbe63a3679d51b6a516ebebe0e20',
    'c34c4e1826e5d403b78e246e88aa051c36ccf0aafebffe137d148a2bf9104562',
  ],
  'no square x^2': [
    '26948d35ca62e643e26a83177332e6b6afeb9d08e4268b650f1f5bbd8d81d371',
    '4eac077a713c57b4f4397629a4145982c661f48044dd3f96427d40b147d9742f',
  ],
  'a negative xy': [
    '3eb858e78f5a7254d8c9731174a94f76755fd3941c0ac93735c07ba14579630e',
    'a45fdc55c76448c049a1ab33f17023edfb2be3581e9c7aade8a6125215e04220',
  ],
  's = -1': ['ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'],
};

/** The points of order 1, 2, 4 and 8 of Curve25519 and its twist, in every encoding without the ignored top bit. */
const LOW_ORDER = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
].flatMap((digits) => {
  const bytes = fromHex(digits)!;
  return [bytes, bytes.with(31, bytes[31]! | 0x80)];
});

const random = new SeededRandom(1);
const password = utf8('secret');
const exchange = { channelId: utf8('weave-ts/1'), sid: random.bytes(64) };
const data = { associatedA: utf8('A'), associatedB: utf8('B') };
const started = sodium.runJob({ type: 'cpace-start', password, seed: random.bytes(64), ...exchange });
const { scalar, element } = started as Extract<CryptoResult, { type: 'cpace-started' }>;

for (const [what, encodings] of Object.entries(BAD_RISTRETTO)) {
  test(`an element of CPace that is ${what} is refused by the acceptor and by the dialler`, (t) => {
    for (const digits of encodings) {
      const bad = fromHex(digits)!;
      const seed = random.bytes(64);
      t.deepEqual(
        sodium.runJob({ type: 'cpace-answer', password, seed, elementA: bad, ...exchange, ...data }),
        { type: 'refused' },
        digits,
      );
      const { sid } = exchange;
      t.deepEqual(
        sodium.runJob({ type: 'cpace-finish', sid, scalar, elementA: element, elementB: bad, ...data }),
        { type: 'refused' },
        digits,
      );
    }
  });
}

test('a connection on which an invalid element comes dies before anything is answered', (t) => {
  for (const digits of Object.values(BAD_RISTRETTO).flat()) {
    const bad = fromHex(digits)!;
    const acceptor = new End('acceptor', sodium, { passwords: [password] }, 1);
    const dialler = new End('dialler', sodium, { passwords: [password] }, 2);
    const [[ofAcceptor], [ofDialler]] = [acceptor.drain(), dialler.drain()];
    acceptor.channel.onBytes(concatBytes(ofDialler!, bad), 0);
    t.deepEqual(acceptor.drain(), []);
    t.is(acceptor.failure, 'handshake-malformed');
    dialler.channel.onBytes(concatBytes(ofAcceptor!, Uint8Array.of(1), bad, new Uint8Array(64)), 0);
    dialler.drain();
    t.is(dialler.failure, 'handshake-malformed');
    t.is(dialler.written.length, 44 + 32, 'its preamble and its element, no tag');
  }
});

test('X25519 with a point of low order is refused in every encoding', (t) => {
  for (const point of LOW_ORDER) t.is(sodium.dh(random.bytes(32), point), undefined, point.join());
});

test('keys of low order are refused at every place of Noise IK, in every encoding', (t) => {
  const [own, peer] = [1, 2].map((fill) => sodium.keyPairFromSeed(new Uint8Array(32).fill(fill)));
  const prologue = utf8('prologue');
  const payload = utf8('payload');
  const initiator = (remote = peer!.public, staticKey = own!): NoiseIkInitiator =>
    new NoiseIkInitiator({ primitives: sodium, prologue, staticKey }, remote, random.bytes(32));
  const responder = (): NoiseIkResponder =>
    new NoiseIkResponder({ primitives: sodium, prologue, staticKey: peer! });
  for (const point of LOW_ORDER) {
    t.is(initiator(point).writeMessage1(payload), undefined, 'the static key of the responder');
    const honest = initiator();
    const message1 = honest.writeMessage1(payload)!;
    t.is(responder().readMessage1(concatBytes(point, message1.subarray(32))), undefined, 'e of message 1');
    t.is(honest.readMessage2(concatBytes(point, new Uint8Array(40))), undefined, 'e of message 2');
    const liar = initiator(peer!.public, { ...own!, public: point }).writeMessage1(payload)!;
    t.is(responder().readMessage1(liar), undefined, 'the static key of the initiator');
  }
});
