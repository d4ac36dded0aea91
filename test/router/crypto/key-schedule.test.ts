import { readFileSync } from 'node:fs';
import test from 'ava';
import fc from 'fast-check';
import { concatBytes, fromHex, toHex, utf8 } from '../../../core/bytes.ts';
import { SeededRandom } from '../../../core/random.ts';
import { sampleScalar, sessionKey, sharedElement } from '../../../router/crypto/cpace.ts';
import { confirmationTags, streamKeys } from '../../../router/crypto/channel-keys.ts';
import { ChannelPair, type EndOptions } from './channel-pair.ts';
import { cpaceIsk, cpaceKeys, cpaceSid, iskOf, type CpaceOracleInputs } from './cpace-oracle.ts';
import { SecretStreamOracle, hchacha20, poly1305 } from './secret-stream-oracle.ts';
import { playedSodium as sodium, type PlayedPrimitives } from './played-primitives.ts';

const PREAMBLE = 44;
const ELEMENT = 32;
const TAG = 64;
const held = (...words: string[]): EndOptions => ({ passwords: words.map(utf8) });

test('HChaCha20 and Poly1305 of the oracle are those of their documents', (t) => {
  const key = Uint8Array.from({ length: 32 }, (_, i) => i);
  const nonce = fromHex('000000090000004a0000000031415927')!;
  t.is(
    toHex(hchacha20(key, nonce)),
    '82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc',
    'draft-irtf-cfrg-xchacha, 2.2.1',
  );
  const polyKey = fromHex('85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b')!;
  const message = utf8('Cryptographic Forum Research Group');
  t.is(toHex(poly1305(polyKey, message)), 'a8061dc1305136c6c22b8baf0c0127a9', 'RFC 8439, 2.5.2');
});

test('any sequence of messages on a secret stream is sealed as the oracle seals it', (t) => {
  const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
  const messages = fc.array(fc.uint8Array({ maxLength: 300, size: 'max' }), { maxLength: 6 });
  const property = fc.property(bytes(32), bytes(24), messages, (key, header, texts) => {
    const [stream, oracle] = [sodium.sealStream(key, header), new SecretStreamOracle(key, header)];
    const reader = sodium.openStream(key, header);
    for (const text of texts) {
      const sealed = oracle.seal(text);
      t.is(toHex(stream.seal(text)), toHex(sealed));
      t.deepEqual(reader.open(sealed), text);
    }
    stream.wipe();
    reader.wipe();
  });
  t.notThrows(() => fc.assert(property, { numRuns: 60, seed: 6_783 }));
});

/** A conversation in the clear of its observer: every byte, and the secrets of the acceptor's jobs. */
function observe(seed: number, dialler: EndOptions, acceptor: EndOptions) {
  const answers: { isk: Uint8Array; shared: Uint8Array }[] = [];
  const recording: PlayedPrimitives = {
    ...sodium,
    runJob: (job) => {
      const shared =
        job.type === 'cpace-answer' ? sharedElement(sampleScalar(job.seed), job.elementA) : undefined;
      const result = sodium.runJob(job);
      if (shared !== undefined && result.type === 'cpace-answered')
        answers.push({ isk: result.isk.slice(), shared });
      return result;
    },
  };
  const pair = new ChannelPair(recording, dialler, acceptor, undefined, seed).run();
  return { pair, answers };
}

test('any handshake derives what the oracle derives, and its frames are those of the oracle', (t) => {
  const texts = fc.array(fc.uint8Array({ maxLength: 200, size: 'max' }), { minLength: 1, maxLength: 4 });
  const property = fc.property(fc.nat({ max: 1e6 }), fc.nat({ max: 1 }), texts, (seed, index, messages) => {
    const accepting = index === 0 ? held('right', 'other') : held('other', 'right');
    const { pair, answers } = observe(seed, held('right'), accepting);
    for (const message of messages)
      for (const end of [pair.dialler, pair.acceptor]) end.channel.send(message);
    pair.run();
    const [a, b] = [pair.dialler.written, pair.acceptor.written];
    const offerAt = PREAMBLE + 1 + index * (ELEMENT + TAG);
    const inputs: CpaceOracleInputs = {
      preambleA: a.slice(0, PREAMBLE),
      preambleB: b.slice(0, PREAMBLE),
      index,
      elementA: a.slice(PREAMBLE, PREAMBLE + ELEMENT),
      elementB: b.slice(offerAt, offerAt + ELEMENT),
    };
    const { isk, shared } = answers[index]!;
    t.is(toHex(cpaceIsk(shared, inputs)), toHex(isk));
    const keys = cpaceKeys(isk, inputs);
    t.is(toHex(pair.dialler.opened!.sid), toHex(keys.sid));
    t.is(toHex(b.slice(offerAt + ELEMENT, offerAt + ELEMENT + TAG)), toHex(keys.tagB));
    const proofAt = PREAMBLE + ELEMENT;
    t.is(toHex(a.slice(proofAt, proofAt + 2 + TAG)), `01${toHex(Uint8Array.of(index))}${toHex(keys.tagA)}`);
    t.is(toHex(a.slice(proofAt + 2 + TAG)), framesOf(keys.streamAToB, a, proofAt + 2 + TAG, messages));
    const framesAt = PREAMBLE + 1 + 2 * (ELEMENT + TAG);
    t.is(toHex(b.slice(framesAt)), framesOf(keys.streamBToA, b, framesAt, messages));
  });
  t.notThrows(() => fc.assert(property, { numRuns: 8, seed: 6_783 }));
});

/** Header and frames as the oracle writes them; the header is taken from what was written. */
function framesOf(key: Uint8Array, written: Uint8Array, at: number, messages: readonly Uint8Array[]): string {
  const header = written.slice(at, at + 24);
  const stream = new SecretStreamOracle(key, header);
  const frames = messages.map((message) => {
    const sealed = stream.seal(message);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(sealed.length);
    return concatBytes(length, sealed);
  });
  return toHex(concatBytes(header, ...frames));
}

test("the oracle's ISK is that of the draft's vector", (t) => {
  const { vector } = JSON.parse(readFileSync('test/vectors/cpace-ristretto255-sha512.json', 'utf8')) as {
    vector: Readonly<Record<string, string>>;
  };
  const figure = (name: string): Uint8Array => fromHex(vector[name]!)!;
  const isk = iskOf(figure('K'), figure('sid'), figure('Ya'), figure('ADa'), figure('Yb'), figure('ADb'));
  t.is(toHex(isk).toUpperCase(), vector['ISK_IR']!);
});

test('every part of the transcript is bound into the key, the tags and both stream keys', (t) => {
  const random = new SeededRandom(3);
  const inputs: CpaceOracleInputs = {
    preambleA: random.bytes(PREAMBLE),
    preambleB: random.bytes(PREAMBLE),
    index: 0,
    elementA: random.bytes(ELEMENT),
    elementB: random.bytes(ELEMENT),
  };
  const shared = random.bytes(32);
  const flip = (bytes: Uint8Array, at: number): Uint8Array => bytes.with(at, bytes[at]! ^ 1);
  const changes: readonly Partial<CpaceOracleInputs>[] = [
    {},
    ...[0, 8, 9, 10, 11, 12, 43].flatMap((at) => [
      { preambleA: flip(inputs.preambleA, at) },
      { preambleB: flip(inputs.preambleB, at) },
    ]),
    { index: 1 },
    { elementA: flip(inputs.elementA, 0) },
    { elementB: flip(inputs.elementB, 31) },
    { elementA: inputs.elementB, elementB: inputs.elementA },
  ];
  const secrets = changes.map((change) => secretsOf(shared, { ...inputs, ...change }));
  for (const kind of ['isk', 'tagA', 'tagB', 'aToB', 'bToA'] as const) {
    t.is(new Set(secrets.map((each) => each[kind])).size, changes.length, kind);
  }
  t.is(new Set(Object.values(secrets[0]!)).size, 5, 'and each secret differs from the others');
});

/** By the product, and checked against the oracle. */
function secretsOf(shared: Uint8Array, inputs: CpaceOracleInputs) {
  const { elementA, elementB, preambleA, preambleB, index } = inputs;
  const sid = cpaceSid(inputs);
  const associatedB = concatBytes(preambleB, Uint8Array.of(index));
  const isk = sessionKey(shared, { sid, elementA, associatedA: preambleA, elementB, associatedB });
  const a = { element: elementA, associated: preambleA };
  const tags = confirmationTags(sodium, sid, isk, a, { element: elementB, associated: associatedB });
  const { aToB, bToA } = streamKeys(sodium, isk);
  const expected = cpaceKeys(cpaceIsk(shared, inputs), inputs);
  const got = { isk, tagA: tags.a, tagB: tags.b, aToB, bToA };
  const want = [expected.tagA, expected.tagB, expected.streamAToB, expected.streamBToA];
  if (want.map(toHex).join() !== [tags.a, tags.b, aToB, bToA].map(toHex).join())
    throw new Error('the oracle differs');
  return Object.fromEntries(
    Object.entries(got).map(([name, secret]) => [name, toHex(secret)]),
  ) as unknown as Record<keyof typeof got, string>;
}
