import { readFileSync } from 'node:fs';
import test from 'ava';
import fc from 'fast-check';
import { fromHex, toHex, utf8 } from '../../../core/bytes.ts';
import { SeededRandom } from '../../../core/random.ts';
import type { CryptoJob, CryptoResult } from '../../../gossip/secure-channel.ts';
import {
  generator,
  publicElement,
  runCpaceJob,
  sampleScalar,
  sessionKey,
  sharedElement,
} from '../../../router/crypto/cpace.ts';
import { lengthPrefixed } from '../../../router/crypto/length-prefixed.ts';
import { loadSodium } from '../../../router/crypto/sodium.ts';
import { allPrimitives } from './channel-pair.ts';

await loadSodium();

interface Vectors {
  readonly vector: Readonly<Record<string, string>>;
  readonly points: Readonly<{ Valid: Readonly<Record<string, string>> }> & Readonly<Record<string, string>>;
}

const { vector, points } = JSON.parse(
  readFileSync('test/vectors/cpace-ristretto255-sha512.json', 'utf8'),
) as Vectors;
const figure = (name: string): Uint8Array => fromHex(vector[name]!)!;
const upper = (bytes: Uint8Array | undefined): string => toHex(bytes!).toUpperCase();
const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;

test("the draft's vector comes out byte for byte", (t) => {
  t.is(upper(generator(figure('PRS'), figure('CI'), figure('sid'))), vector['g']!);
  t.is(upper(publicElement(figure('g'), figure('ya'))), vector['Ya']!);
  t.is(upper(publicElement(figure('g'), figure('yb'))), vector['Yb']!);
  t.is(upper(sharedElement(figure('ya'), figure('Yb'))), vector['K']!);
  t.is(upper(sharedElement(figure('yb'), figure('Ya'))), vector['K']!);
  const transcript = {
    sid: figure('sid'),
    elementA: figure('Ya'),
    associatedA: figure('ADa'),
    elementB: figure('Yb'),
    associatedB: figure('ADb'),
  };
  t.is(upper(sessionKey(figure('K'), transcript)), vector['ISK_IR']!);
});

test("the draft's valid point multiplies, its invalid ones are refused", (t) => {
  const { s, X } = points.Valid;
  t.is(upper(sharedElement(fromHex(s!)!, fromHex(X!)!)), points.Valid['G.scalar_mult_vfy(s,X)']!);
  for (const name of ['Invalid Y1', 'Invalid Y2']) {
    t.is(sharedElement(fromHex(s!)!, fromHex(points[name]!)!), undefined, name);
  }
});

test('a scalar is its 64 random bytes modulo the order of the group', (t) => {
  const seeds = [new Uint8Array(64), new Uint8Array(64).fill(255), new SeededRandom(1).bytes(64)];
  for (const seed of seeds) t.is(littleEndian(sampleScalar(seed)), littleEndian(seed) % ORDER);
  t.throws(() => sampleScalar(new Uint8Array(32)), { instanceOf: RangeError });
});

test('lengths in front of parts are LEB128', (t) => {
  t.is(toHex(lengthPrefixed(new Uint8Array(0), Uint8Array.of(7))), '000107');
  t.is(toHex(lengthPrefixed(new Uint8Array(127)).subarray(0, 2)), '7f00');
  t.is(toHex(lengthPrefixed(new Uint8Array(128)).subarray(0, 3)), '800100');
  t.is(toHex(lengthPrefixed(new Uint8Array(16_384)).subarray(0, 4)), '80800100');
});

test('a password of any length has a generator of its own', (t) => {
  const passwords = [0, 1, 64, 107, 108, 109, 110, 111, 200].map((length) => new Uint8Array(length));
  const generators = passwords.map((password) => toHex(generator(password, utf8('c'), utf8('s'))));
  t.is(new Set(generators).size, passwords.length);
  t.not(toHex(generator(utf8('p'), utf8('d'), utf8('s'))), toHex(generator(utf8('p'), utf8('c'), utf8('s'))));
});

for (const [name, primitives] of allPrimitives) {
  const random = new SeededRandom(9);
  const shared = { channelId: utf8('weave-ts/1'), sid: random.bytes(64) };
  const data = { associatedA: utf8('A'), associatedB: utf8('B') };
  const start = (password: string): Started =>
    primitives.runJob({
      type: 'cpace-start',
      password: utf8(password),
      seed: random.bytes(64),
      ...shared,
    }) as Started;
  const answer = (password: string, elementA: Uint8Array): CryptoResult => {
    const seed = random.bytes(64);
    return primitives.runJob({
      type: 'cpace-answer',
      password: utf8(password),
      seed,
      elementA,
      ...shared,
      ...data,
    });
  };
  const finish = (started: Started, elementB: Uint8Array): CryptoResult => {
    const job: CryptoJob = {
      type: 'cpace-finish',
      sid: shared.sid,
      scalar: started.scalar,
      elementA: started.element,
      elementB,
      ...data,
    };
    return primitives.runJob(job);
  };

  test(`with ${name}, jobs agree on a key if and only if the passwords are the same`, (t) => {
    for (const [left, right] of [
      ['same', 'same'],
      ['same', 'other'],
    ] as const) {
      const started = start(left);
      const answered = answer(right, started.element) as Answered;
      const finished = finish(started, answered.element) as Finished;
      t.is(answered.isk.length, 64);
      t.is(toHex(finished.isk) === toHex(answered.isk), left === right);
    }
  });

  test(`with ${name}, the identity as an element is refused`, (t) => {
    t.deepEqual(answer('x', new Uint8Array(32)), { type: 'refused' });
    t.deepEqual(finish(start('x'), new Uint8Array(32)), { type: 'refused' });
  });
}

test('an element of any bytes and length is answered or refused, never a throw', (t) => {
  const job = { type: 'cpace-answer', password: utf8('p'), channelId: utf8('c'), sid: utf8('s') } as const;
  const rest = { seed: new SeededRandom(2).bytes(64), associatedA: utf8('A'), associatedB: utf8('B') };
  const property = fc.property(fc.uint8Array({ minLength: 30, maxLength: 34, size: 'max' }), (elementA) => {
    const { type } = runCpaceJob({ ...job, ...rest, elementA });
    return type === 'refused' || (type === 'cpace-answered' && elementA.length === 32);
  });
  t.notThrows(() => fc.assert(property, { numRuns: 40, seed: 3 }));
});

test('a seed that samples the scalar zero is refused', (t) => {
  const seed = new Uint8Array(64);
  t.deepEqual(
    runCpaceJob({ type: 'cpace-start', password: utf8('p'), channelId: utf8('c'), sid: utf8('s'), seed }),
    { type: 'refused' },
  );
});

type Started = Extract<CryptoResult, { type: 'cpace-started' }>;
type Answered = Extract<CryptoResult, { type: 'cpace-answered' }>;
type Finished = Extract<CryptoResult, { type: 'cpace-finished' }>;

function littleEndian(bytes: Uint8Array): bigint {
  return BigInt(`0x${toHex(bytes.toReversed())}`);
}
