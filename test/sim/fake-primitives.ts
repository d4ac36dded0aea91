import type { CryptoJob, CryptoResult } from '../../gossip/secure-channel.ts';
import { AEAD_TAG_BYTES, HASH_BYTES, KEY_BYTES, STREAM_OVERHEAD } from '../../router/crypto/primitives.ts';
import type { StreamOpener, StreamSealer } from '../../router/crypto/primitives.ts';
import type { PlayedPrimitives } from '../router/crypto/played-primitives.ts';

/**
 * Stand-ins for cryptography in simulations: the same sizes, the same order of messages and the same refusals, for
 * a hundredth of the cost and no secrecy at all. A wrong key, a flipped bit or another password fails like the real one.
 */
export const fakePrimitives: PlayedPrimitives = {
  keyPairFromSeed: (seed) => {
    checkLength(seed, KEY_BYTES);
    return { secret: seed.slice(), public: mask(seed, KEY_PAIR_MASK) };
  },
  dh: (secret, publicKey) => {
    checkLength(secret, KEY_BYTES);
    checkLength(publicKey, KEY_BYTES);
    return isZero(publicKey) ? undefined : digest(KEY_BYTES, xor(secret, mask(publicKey, KEY_PAIR_MASK)));
  },
  sha512: (message) => digest(HASH_BYTES, message),
  hmacSha512: (key, message) => digest(HASH_BYTES, key, message),
  aeadSeal: (key, nonce, associated, plaintext) => {
    checkLength(key, KEY_BYTES);
    return withTag(plaintext, digest(AEAD_TAG_BYTES, key, nonce, associated, plaintext));
  },
  aeadOpen: (key, nonce, associated, sealed) => {
    checkLength(key, KEY_BYTES);
    if (sealed.length < AEAD_TAG_BYTES) return undefined;
    const plaintext = sealed.slice(0, sealed.length - AEAD_TAG_BYTES);
    const tag = digest(AEAD_TAG_BYTES, key, nonce, associated, plaintext);
    return endsWith(sealed, tag) ? plaintext : undefined;
  },
  sealStream: (key, header) => new FakeStream(key, header),
  openStream: (key, header) => new FakeStream(key, header),
  wipe: (secret) => void secret.fill(0),
  runJob: runFakeJob,
};

const KEY_PAIR_MASK = 0x5a;

/** Makes equal messages differ by their position, as a secret stream does. */
class FakeStream implements StreamSealer, StreamOpener {
  #key: Uint8Array | undefined;
  readonly #position = new Uint8Array(4);

  constructor(key: Uint8Array, header: Uint8Array) {
    checkLength(key, KEY_BYTES);
    this.#key = digest(KEY_BYTES, key, header);
  }

  seal(message: Uint8Array): Uint8Array {
    return withTag(message, this.#nextTag(message));
  }

  open(sealed: Uint8Array): Uint8Array | undefined {
    if (sealed.length < STREAM_OVERHEAD) return undefined;
    const message = sealed.slice(0, sealed.length - STREAM_OVERHEAD);
    return endsWith(sealed, this.#nextTag(message)) ? message : undefined;
  }

  wipe(): void {
    this.#key = undefined;
  }

  #nextTag(message: Uint8Array): Uint8Array {
    if (this.#key === undefined) throw new Error('The stream was wiped.');
    const tag = digest(STREAM_OVERHEAD, this.#key, this.#position, message);
    const view = new DataView(this.#position.buffer);
    view.setUint32(0, view.getUint32(0) + 1);
    return tag;
  }
}

/** The shape of CPace with xor for multiplication: Y = scalar xor g, K = scalar xor Y of the other end. */
function runFakeJob(job: CryptoJob): CryptoResult {
  switch (job.type) {
    case 'cpace-start': {
      const scalar = digest(KEY_BYTES, job.seed);
      return { type: 'cpace-started', scalar, element: xor(scalar, generator(job)) };
    }
    case 'cpace-answer': {
      if (isZero(job.elementA)) return { type: 'refused' };
      const scalar = digest(KEY_BYTES, job.seed);
      const element = xor(scalar, generator(job));
      const shared = xor(scalar, job.elementA);
      return { type: 'cpace-answered', element, isk: sessionKey(shared, { ...job, elementB: element }) };
    }
    case 'cpace-finish': {
      if (isZero(job.elementB)) return { type: 'refused' };
      return { type: 'cpace-finished', isk: sessionKey(xor(job.scalar, job.elementB), job) };
    }
  }
}

function generator(job: { password: Uint8Array; channelId: Uint8Array; sid: Uint8Array }): Uint8Array {
  return digest(KEY_BYTES, job.password, job.channelId, job.sid);
}

interface FakeTranscript {
  readonly sid: Uint8Array;
  readonly elementA: Uint8Array;
  readonly associatedA: Uint8Array;
  readonly elementB: Uint8Array;
  readonly associatedB: Uint8Array;
}

function sessionKey(shared: Uint8Array, t: FakeTranscript): Uint8Array {
  return digest(HASH_BYTES, t.sid, shared, t.elementA, t.associatedA, t.elementB, t.associatedB);
}

/** `length` bytes that depend on every bit of every part and on where parts end: two lanes after MurmurHash3. */
function digest(length: number, ...parts: readonly Uint8Array[]): Uint8Array {
  let a = 0x9e3779b9;
  let b = length;
  for (const part of parts) {
    const end = part.length - 7;
    let i = 0;
    for (; i < end; i += 8) {
      a = Math.imul(a ^ wordAt(part, i), 0x85ebca6b);
      b = Math.imul(b ^ wordAt(part, i + 4), 0xc2b2ae35);
      a ^= a >>> 15;
      b ^= b >>> 13;
    }
    for (; i < part.length; i++) a = Math.imul(a ^ part[i]!, 0x85ebca6b) ^ (a >>> 15);
    const mixed = Math.imul(a ^ b, 0x27d4eb2f) ^ (b >>> 16);
    b = (Math.imul(b ^ part.length, 0x165667b1) + a) | 0;
    a = mixed;
  }
  return expand(length, a, b);
}

/** Little-endian. A DataView would cost more than the bytes of most parts. */
function wordAt(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}

function expand(length: number, seedA: number, seedB: number): Uint8Array {
  const out = new Uint8Array(length);
  let a = seedA;
  let b = seedB;
  for (let at = 0; at < length; at += 4) {
    a = Math.imul(a ^ (a >>> 16) ^ b, 0x85ebca6b);
    b = Math.imul(b ^ (b >>> 13) ^ a, 0xc2b2ae35) + at;
    const word = a ^ (b >>> 7);
    // What lies beyond the end is not written.
    out[at] = word;
    out[at + 1] = word >>> 8;
    out[at + 2] = word >>> 16;
    out[at + 3] = word >>> 24;
  }
  return out;
}

function withTag(plaintext: Uint8Array, tag: Uint8Array): Uint8Array {
  const out = new Uint8Array(plaintext.length + tag.length);
  out.set(plaintext);
  out.set(tag, plaintext.length);
  return out;
}

function endsWith(bytes: Uint8Array, tail: Uint8Array): boolean {
  const from = bytes.length - tail.length;
  for (let i = 0; i < tail.length; i++) if (bytes[from + i] !== tail[i]) return false;
  return true;
}

function mask(bytes: Uint8Array, value: number): Uint8Array {
  return bytes.map((byte) => byte ^ value);
}

function xor(a: Uint8Array, b: Uint8Array): Uint8Array {
  const out = new Uint8Array(a.length);
  for (let i = 0; i < out.length; i++) out[i] = a[i]! ^ b[i]!;
  return out;
}

function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}

function checkLength(bytes: Uint8Array, length: number): void {
  if (bytes.length !== length) throw new RangeError(`Expected ${length} bytes, not ${bytes.length}.`);
}
