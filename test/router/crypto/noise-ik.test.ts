import { readFileSync } from 'node:fs';
import test from 'ava';
import fc from 'fast-check';
import { concatBytes, fromHex, toHex, utf8 } from '../../../core/bytes.ts';
import type { PeerName } from '../../../core/peer-name.ts';
import { SeededRandom } from '../../../core/random.ts';
import { NoiseIkInitiator, NoiseIkResponder } from '../../../router/crypto/noise-ik.ts';
import { linkPrologue, rekeyPrologue } from '../../../router/crypto/noise-prologue.ts';
import type { Primitives } from '../../../router/crypto/primitives.ts';
import { allPrimitives } from './channel-pair.ts';
import { noiseIkOracle } from './noise-oracle.ts';
import type { OracleInputs } from './noise-oracle.ts';

const vector = JSON.parse(
  readFileSync('test/vectors/noise-ik-25519-chachapoly-sha512.json', 'utf8'),
) as Readonly<Record<string, string>>;
const [, sodium] = allPrimitives[0]!;

function seedOf(
  random: SeededRandom,
  payload1 = random.bytes(40),
  payload2 = random.bytes(30),
): OracleInputs {
  return {
    prologue: random.bytes(43),
    initiatorStatic: random.bytes(32),
    initiatorEphemeral: random.bytes(32),
    responderStatic: random.bytes(32),
    responderEphemeral: random.bytes(32),
    payload1,
    payload2,
  };
}

function machines(primitives: Primitives, inputs: OracleInputs): [NoiseIkInitiator, NoiseIkResponder] {
  const { prologue } = inputs;
  const responderKey = primitives.keyPairFromSeed(inputs.responderStatic);
  const initiatorKey = primitives.keyPairFromSeed(inputs.initiatorStatic);
  return [
    new NoiseIkInitiator(
      { primitives, prologue, staticKey: initiatorKey },
      responderKey.public,
      inputs.initiatorEphemeral,
    ),
    new NoiseIkResponder({ primitives, prologue, staticKey: responderKey }),
  ];
}

function handshake(primitives: Primitives, inputs: OracleInputs) {
  const [initiator, responder] = machines(primitives, inputs);
  const message1 = initiator.writeMessage1(inputs.payload1)!;
  const read = responder.readMessage1(message1)!;
  const answer = responder.writeMessage2(inputs.payload2, inputs.responderEphemeral)!;
  const done = initiator.readMessage2(answer.message)!;
  return { message1, read, message2: answer.message, ofResponder: answer.session, done };
}

function vectorInputs(): OracleInputs {
  const names = Object.keys(seedOf(new SeededRandom(1)));
  return Object.fromEntries(names.map((name) => [name, fromHex(vector[name]!)])) as unknown as OracleInputs;
}

test('the published vector comes out byte for byte', (t) => {
  const { message1, message2, done, ofResponder } = handshake(sodium, vectorInputs());
  t.is(toHex(message1), vector['message1']!);
  t.is(toHex(message2), vector['message2']!);
  t.is(toHex(done.session.handshakeHash), vector['handshakeHash']!);
  const none = new Uint8Array(0);
  const seal = (key: Uint8Array, text: string): string =>
    toHex(sodium.aeadSeal(key, new Uint8Array(12), none, fromHex(text)!));
  t.is(seal(done.session.keys.send, vector['transport1']!), vector['transport1Sealed']!);
  t.is(seal(ofResponder.keys.send, vector['transport2']!), vector['transport2Sealed']!);
});

test('any handshake comes out as in a plain implementation on node:crypto', (t) => {
  const random = new SeededRandom(7);
  for (let i = 0; i < 10; i++) {
    const inputs = seedOf(random, random.bytes(i * 10), random.bytes(100 - i * 10));
    const expected = noiseIkOracle(inputs);
    const { message1, message2, done, ofResponder } = handshake(sodium, inputs);
    t.is(toHex(message1), toHex(expected.message1));
    t.is(toHex(message2), toHex(expected.message2));
    t.is(toHex(done.session.handshakeHash), toHex(expected.handshakeHash));
    t.is(toHex(done.session.keys.send), toHex(expected.fromInitiator));
    t.is(toHex(ofResponder.keys.send), toHex(expected.fromResponder));
  }
});

for (const [name, primitives] of allPrimitives) {
  const inputs = seedOf(new SeededRandom(11));

  test(`with ${name}, both ends get the same hash, crossed keys and each other's payload`, (t) => {
    const { read, done, ofResponder } = handshake(primitives, inputs);
    t.deepEqual(read.payload, inputs.payload1);
    t.deepEqual(done.payload, inputs.payload2);
    t.deepEqual(read.remoteStatic, primitives.keyPairFromSeed(inputs.initiatorStatic).public);
    t.deepEqual(done.session.handshakeHash, ofResponder.handshakeHash);
    t.deepEqual(done.session.keys, { send: ofResponder.keys.receive, receive: ofResponder.keys.send });
    t.notDeepEqual(done.session.keys.send, done.session.keys.receive);
    t.is(done.session.keys.send.length, 32);
    t.is(done.session.handshakeHash.length, 64);
  });

  test(`with ${name}, the messages are 96 and 48 bytes longer than their payloads`, (t) => {
    const { message1, message2 } = handshake(primitives, inputs);
    t.is(message1.length, 96 + inputs.payload1.length);
    t.is(message2.length, 48 + inputs.payload2.length);
  });

  test(`with ${name}, another prologue, another responder or another key makes message 1 unreadable`, (t) => {
    const message1 = machines(primitives, inputs)[0].writeMessage1(inputs.payload1)!;
    const others: OracleInputs[] = [
      { ...inputs, prologue: inputs.prologue.with(0, inputs.prologue[0]! ^ 1) },
      { ...inputs, responderStatic: inputs.responderStatic.with(5, inputs.responderStatic[5]! ^ 1) },
    ];
    for (const changed of others) t.is(machines(primitives, changed)[1].readMessage1(message1), undefined);
  });

  test(`with ${name}, a bit flipped anywhere in a message is noticed, and the true answer still counts`, (t) => {
    const step = name === 'libsodium' ? 37 : 1;
    const message1 = machines(primitives, inputs)[0].writeMessage1(inputs.payload1)!;
    for (let bit = 0; bit < 8 * message1.length; bit += step) {
      const [, responder] = machines(primitives, inputs);
      t.is(responder.readMessage1(flip(message1, bit)), undefined);
      t.throws(() => responder.writeMessage2(inputs.payload2, inputs.responderEphemeral));
    }
    const [initiator, responder] = machines(primitives, inputs);
    responder.readMessage1(initiator.writeMessage1(inputs.payload1)!);
    const { message } = responder.writeMessage2(inputs.payload2, inputs.responderEphemeral)!;
    for (let bit = 0; bit < 8 * message.length; bit += step) {
      t.is(initiator.readMessage2(flip(message, bit)), undefined);
    }
    t.deepEqual(initiator.readMessage2(message)?.payload, inputs.payload2);
  });

  test(`with ${name}, bytes of any kind and length are refused without a throw`, (t) => {
    const [initiator] = machines(primitives, inputs);
    initiator.writeMessage1(inputs.payload1);
    const property = fc.property(fc.uint8Array({ maxLength: 200, size: 'max' }), (bytes) => {
      const [, responder] = machines(primitives, inputs);
      return responder.readMessage1(bytes) === undefined && initiator.readMessage2(bytes) === undefined;
    });
    t.notThrows(() => fc.assert(property, { numRuns: name === 'libsodium' ? 40 : 300, seed: 1 }));
    t.is(initiator.readMessage2(new Uint8Array(65_536)), undefined);
  });

  test(`with ${name}, keys of low order are refused at every place`, (t) => {
    const zero = new Uint8Array(32);
    const staticKey = primitives.keyPairFromSeed(inputs.initiatorStatic);
    const { prologue } = inputs;
    const towardsZero = new NoiseIkInitiator(
      { primitives, prologue, staticKey },
      zero,
      inputs.initiatorEphemeral,
    );
    t.is(towardsZero.writeMessage1(inputs.payload1), undefined);

    const [initiator, responder] = machines(primitives, inputs);
    const message1 = initiator.writeMessage1(inputs.payload1)!;
    t.is(responder.readMessage1(concatBytes(zero, message1.subarray(32))), undefined);
    t.is(initiator.readMessage2(concatBytes(zero, new Uint8Array(60))), undefined);

    const hidden = { ...staticKey, public: zero };
    const responderKey = primitives.keyPairFromSeed(inputs.responderStatic);
    const liar = new NoiseIkInitiator(
      { primitives, prologue, staticKey: hidden },
      responderKey.public,
      inputs.initiatorEphemeral,
    );
    const [, second] = machines(primitives, inputs);
    t.is(second.readMessage1(liar.writeMessage1(inputs.payload1)!), undefined);
  });

  test(`with ${name}, each step works once and in order`, (t) => {
    const [initiator, responder] = machines(primitives, inputs);
    t.throws(() => responder.writeMessage2(inputs.payload2, inputs.responderEphemeral));
    t.is(initiator.readMessage2(new Uint8Array(100)), undefined);
    const message1 = initiator.writeMessage1(inputs.payload1)!;
    t.throws(() => initiator.writeMessage1(inputs.payload1));
    t.truthy(responder.readMessage1(message1));
    const { message } = responder.writeMessage2(inputs.payload2, inputs.responderEphemeral)!;
    t.throws(() => responder.writeMessage2(inputs.payload2, inputs.responderEphemeral));
    t.is(responder.readMessage1(message1), undefined);
    t.truthy(initiator.readMessage2(message));
    t.is(initiator.readMessage2(message), undefined);
  });
}

test('a payload that fills a Noise message to its last byte passes, one more is a bug', (t) => {
  const inputs = seedOf(new SeededRandom(3), new Uint8Array(65_439), new Uint8Array(65_487));
  t.is(handshake(sodium, inputs).done.payload.length, 65_487);
  const [initiator, responder] = machines(sodium, inputs);
  t.throws(() => initiator.writeMessage1(new Uint8Array(65_440)), { instanceOf: RangeError });
  responder.readMessage1(initiator.writeMessage1(inputs.payload1)!);
  t.throws(() => responder.writeMessage2(new Uint8Array(65_488), inputs.responderEphemeral), {
    instanceOf: RangeError,
  });
});

test('a handshake wipes its secrets at the end but never the static keys', (t) => {
  const inputs = seedOf(new SeededRandom(5));
  const wiped: string[] = [];
  const primitives: Primitives = {
    ...sodium,
    wipe: (secret) => {
      wiped.push(toHex(secret));
      sodium.wipe(secret);
    },
  };
  const seeds = [inputs.initiatorEphemeral, inputs.responderEphemeral];
  const ephemerals = seeds.map(toHex);
  handshake(primitives, inputs);
  for (const ephemeral of ephemerals) {
    t.is(wiped.filter((secret) => secret === ephemeral).length, 2, 'the seed, and the key made from it');
  }
  for (const fixed of [inputs.initiatorStatic, inputs.responderStatic]) t.false(wiped.includes(toHex(fixed)));
});

test('the prologue of a link names version, both peers and both runs, that of a rekey the old hash and the phase', (t) => {
  const ends = {
    initiatorName: '00:00:00:00:00:01' as PeerName,
    responderName: 'ff:ee:dd:cc:bb:aa' as PeerName,
    initiatorUid: fromHex('0102030405060708')!,
    responderUid: fromHex('1112131415161718')!,
  };
  const expected = `${toHex(utf8('weave-ts link 1'))}000000000001ffeeddccbbaa01020304050607081112131415161718`;
  t.is(toHex(linkPrologue(ends)), expected);
  t.throws(() => linkPrologue({ ...ends, responderUid: new Uint8Array(7) }), { instanceOf: RangeError });
  t.is(toHex(rekeyPrologue(Uint8Array.of(1, 2), 255)), '0102ff');
});

function flip(bytes: Uint8Array, bit: number): Uint8Array {
  return bytes.with(bit >> 3, bytes[bit >> 3]! ^ (1 << (bit & 7)));
}
