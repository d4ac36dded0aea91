import test from 'ava';
import { loadBufferAead } from '../../../router/crypto/buffer-aead.ts';
import * as chacha from '../engine/chacha.ts';

const LONGEST = 2_000;
const key = Uint8Array.from({ length: 32 }, (_, i) => 7 * i);
const aead = await loadBufferAead(LONGEST);

function nonceOf(counter: number): Uint8Array {
  const nonce = new Uint8Array(12);
  new DataView(nonce.buffer).setUint32(4, counter, true);
  return nonce;
}

function bytesOf(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + length) & 255);
}

test('messages of every length are sealed where they lie as OpenSSL seals them, and nothing beside them changes', (t) => {
  for (let length = 0; length <= 300; length++) {
    const bytes = new Uint8Array(length + 40).fill(0xee);
    bytes.set(bytesOf(length), 5);
    aead.seal(key, nonceOf(length), bytes, 5, length);
    const sealed = chacha.seal(key, length, bytesOf(length));
    const rest = new Uint8Array(40 - 5 - 16).fill(0xee);
    t.deepEqual(bytes, Uint8Array.of(...new Uint8Array(5).fill(0xee), ...sealed, ...rest));
  }
});

test('what OpenSSL has sealed is opened to another buffer, and nothing beside it changes', (t) => {
  for (const length of [0, 1, 15, 16, 17, 63, 64, 65, 1_388, LONGEST]) {
    const sealed = Uint8Array.of(9, 9, ...chacha.seal(key, length, bytesOf(length)), 9);
    const out = new Uint8Array(length + 10).fill(0xee);
    t.true(aead.open(key, nonceOf(length), sealed, 2, length + 16, out, 4));
    const around = (bytes: number) => new Uint8Array(bytes).fill(0xee);
    t.deepEqual(out, Uint8Array.of(...around(4), ...bytesOf(length), ...around(6)));
  }
});

test('any changed bit, another nonce and a missing tag are refused, and the buffer stays as it was', (t) => {
  const sealed = chacha.seal(key, 1, bytesOf(40));
  const out = new Uint8Array(60);
  for (let bit = 0; bit < 8 * sealed.length; bit++) {
    const changed = sealed.with(bit >> 3, sealed[bit >> 3]! ^ (1 << (bit & 7)));
    t.false(aead.open(key, nonceOf(1), changed, 0, changed.length, out, 0));
  }
  t.false(aead.open(key, nonceOf(2), sealed, 0, sealed.length, out, 0));
  t.false(aead.open(key, nonceOf(1), sealed, 0, 15, out, 0));
  t.deepEqual(out, new Uint8Array(60));
});

test('lengths beyond what was asked for throw: other memory lies there', (t) => {
  const bytes = new Uint8Array(LONGEST + 100);
  t.throws(() => aead.seal(key, nonceOf(0), bytes, 0, LONGEST + 1), { instanceOf: RangeError });
  t.throws(() => aead.open(key, nonceOf(0), bytes, 0, LONGEST + 17, bytes, 0), { instanceOf: RangeError });
  t.throws(() => aead.seal(key.subarray(1), nonceOf(0), bytes, 0, 1), { instanceOf: RangeError });
  t.throws(() => aead.seal(key, new Uint8Array(8), bytes, 0, 1), { instanceOf: RangeError });
});
