import { createHash, createHmac } from 'node:crypto';
import test from 'ava';
import { concatBytes, toHex, utf8 } from '../../../core/bytes.ts';
import { SeededRandom } from '../../../core/random.ts';
import { equalTags } from '../../../router/crypto/primitives.ts';
import { allPrimitives } from './channel-pair.ts';
import { chachaPoly, publicOf, x25519 } from './noise-oracle.ts';
import { playedSodium as sodium } from './played-primitives.ts';

const random = new SeededRandom(4);

test("libsodium's results are those of node:crypto", (t) => {
  for (const length of [0, 1, 64, 129, 1_400]) {
    const [message, key, secret, other] = [
      random.bytes(length),
      random.bytes(32),
      random.bytes(32),
      random.bytes(32),
    ];
    const digest = (hash: { update(data: Uint8Array): { digest(): Uint8Array } }): string =>
      toHex(hash.update(message).digest());
    t.is(toHex(sodium.sha512(message)), digest(createHash('sha512')));
    const longKey = concatBytes(key, key, key, key, key);
    for (const macKey of [key, longKey]) {
      t.is(toHex(sodium.hmacSha512(macKey, message)), digest(createHmac('sha512', macKey)));
    }
    const nonce = new Uint8Array(12).with(4, 9);
    const associated = utf8('header');
    t.is(
      toHex(sodium.aeadSeal(key, nonce, associated, message)),
      toHex(chachaPoly(key, 9, associated, message)),
    );
    t.is(toHex(sodium.keyPairFromSeed(secret).public), toHex(publicOf(secret)));
    t.is(toHex(sodium.dh(secret, publicOf(other))!), toHex(x25519(secret, publicOf(other))));
  }
});

for (const [name, primitives] of allPrimitives) {
  const [key, nonce, header] = [random.bytes(32), random.bytes(12), random.bytes(24)];
  const associated = utf8('associated');
  const message = utf8('message');

  test(`with ${name}, two key pairs agree on a secret that a third does not get`, (t) => {
    const [a, b, c] = [1, 2, 3].map((fill) => primitives.keyPairFromSeed(new Uint8Array(32).fill(fill)));
    t.deepEqual(primitives.dh(a!.secret, b!.public), primitives.dh(b!.secret, a!.public));
    t.notDeepEqual(primitives.dh(a!.secret, b!.public), primitives.dh(c!.secret, b!.public));
    t.is(primitives.dh(a!.secret, new Uint8Array(32)), undefined);
  });

  test(`with ${name}, a sealed message opens only with the same key, nonce and associated data`, (t) => {
    const sealed = primitives.aeadSeal(key, nonce, associated, message);
    t.is(sealed.length, message.length + 16);
    t.deepEqual(primitives.aeadOpen(key, nonce, associated, sealed), message);
    t.is(primitives.aeadOpen(key.with(0, key[0]! ^ 1), nonce, associated, sealed), undefined);
    t.is(primitives.aeadOpen(key, nonce.with(0, nonce[0]! ^ 1), associated, sealed), undefined);
    t.is(primitives.aeadOpen(key, nonce, utf8('associatee'), sealed), undefined);
    for (let i = 0; i < sealed.length; i++) {
      t.is(primitives.aeadOpen(key, nonce, associated, sealed.with(i, sealed[i]! ^ 1)), undefined);
      t.is(primitives.aeadOpen(key, nonce, associated, sealed.subarray(0, i)), undefined);
    }
  });

  test(`with ${name}, an empty message has a seal, too`, (t) => {
    const sealed = primitives.aeadSeal(key, nonce, associated, new Uint8Array(0));
    t.is(sealed.length, 16);
    t.deepEqual(primitives.aeadOpen(key, nonce, associated, sealed), new Uint8Array(0));
  });

  test(`with ${name}, a stream opens its messages in order and nothing else`, (t) => {
    const sealer = primitives.sealStream(key, header);
    const sealed = [message, message, new Uint8Array(0)].map((text) => sealer.seal(text));
    t.is(sealed[0]!.length, message.length + 17);
    t.notDeepEqual(sealed[0], sealed[1]);
    const opener = primitives.openStream(key, header);
    t.deepEqual(
      sealed.map((bytes) => opener.open(bytes)),
      [message, message, new Uint8Array(0)],
    );
    t.is(primitives.openStream(key, header).open(sealed[1]!), undefined);
    t.is(primitives.openStream(key, header.with(0, header[0]! ^ 1)).open(sealed[0]!), undefined);
    t.is(primitives.openStream(key.with(0, key[0]! ^ 1), header).open(sealed[0]!), undefined);
    t.is(primitives.openStream(key, header).open(sealed[0]!.subarray(0, 16)), undefined);
  });

  test(`with ${name}, a wiped stream can be wiped again but is of no more use`, (t) => {
    const sealer = primitives.sealStream(key, header);
    const opener = primitives.openStream(key, header);
    for (const stream of [sealer, opener, sealer, opener]) stream.wipe();
    t.throws(() => sealer.seal(message));
    t.throws(() => opener.open(new Uint8Array(40)));
  });

  test(`with ${name}, keys of a wrong length are a bug and throw`, (t) => {
    const short = new Uint8Array(31);
    t.throws(() => primitives.keyPairFromSeed(short));
    t.throws(() => primitives.dh(short, key));
    t.throws(() => primitives.dh(key, short));
    t.throws(() => primitives.aeadSeal(short, nonce, associated, message));
    t.throws(() => primitives.aeadOpen(short, nonce, associated, new Uint8Array(40)));
    t.throws(() => primitives.sealStream(short, header));
  });

  test(`with ${name}, wiping overwrites the bytes in place`, (t) => {
    const secret = key.slice();
    primitives.wipe(secret);
    t.deepEqual(secret, new Uint8Array(32));
  });
}

test('streams give their memory back', (t) => {
  const key = new Uint8Array(32);
  const header = new Uint8Array(24);
  const before = process.memoryUsage().external;
  for (let i = 0; i < 400_000; i++) sodium.sealStream(key, header).wipe();
  t.true(process.memoryUsage().external - before < 16_000_000);
});

test('tags are equal if all of their bytes are', (t) => {
  t.true(equalTags(new Uint8Array(0), new Uint8Array(0)));
  t.true(equalTags(Uint8Array.of(1, 2), Uint8Array.of(1, 2)));
  t.false(equalTags(Uint8Array.of(1, 2), Uint8Array.of(1, 3)));
  t.false(equalTags(Uint8Array.of(1, 2), Uint8Array.of(0, 2)));
  t.false(equalTags(Uint8Array.of(1), Uint8Array.of(1, 2)));
});
