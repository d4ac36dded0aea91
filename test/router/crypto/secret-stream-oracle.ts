import { createCipheriv } from 'node:crypto';

/**
 * libsodium's crypto_secretstream_xchacha20poly1305, written out from its description: HChaCha20 and Poly1305 by
 * arithmetic, ChaCha20 from node:crypto. Slow, without a thought for time or for bad input.
 */
export class SecretStreamOracle {
  readonly #key: Uint8Array;
  /** counter u32 LE, from 1 | 8 bytes of the header, each message mixed in. */
  readonly #nonce: Buffer;

  constructor(key: Uint8Array, header: Uint8Array) {
    this.#key = hchacha20(key, header.subarray(0, 16));
    this.#nonce = Buffer.from([1, 0, 0, 0, ...header.subarray(16, 24)]);
  }

  /** Sealed tag byte | ciphertext | Poly1305 tag of 16 bytes. */
  seal(message: Uint8Array, tag = 0): Uint8Array {
    const polyKey = this.#chacha20(0, new Uint8Array(64)).subarray(0, 32);
    const block = this.#chacha20(1, Uint8Array.of(tag, ...new Uint8Array(63)));
    const body = this.#chacha20(2, message);
    const lengths = Buffer.alloc(16);
    lengths.writeUInt32LE(64 + message.length, 8);
    // libsodium pads by the length modulo 16, not up to a multiple of it.
    const padding = new Uint8Array(message.length % 16);
    const mac = poly1305(polyKey, Buffer.concat([block, body, padding, lengths]));
    for (let i = 0; i < 8; i++) this.#nonce[4 + i]! ^= mac[i]!;
    this.#nonce.writeUInt32LE(this.#nonce.readUInt32LE(0) + 1, 0);
    return Uint8Array.from([block[0]!, ...body, ...mac]);
  }

  #chacha20(counter: number, text: Uint8Array): Buffer {
    const iv = Buffer.alloc(16);
    iv.writeUInt32LE(counter, 0);
    iv.set(this.#nonce, 4);
    return createCipheriv('chacha20', this.#key, iv).update(text);
  }
}

/** draft-irtf-cfrg-xchacha, section 2.2. */
export function hchacha20(key: Uint8Array, nonce: Uint8Array): Uint8Array {
  const state = Buffer.concat([Buffer.from('expand 32-byte k'), key, nonce]);
  const words = Uint32Array.from({ length: 16 }, (_, i) => state.readUInt32LE(4 * i));
  for (let round = 0; round < 10; round++) {
    for (const [a, b, c, d] of COLUMNS_THEN_DIAGONALS) quarterRound(words, a, b, c, d);
  }
  const out = Buffer.alloc(32);
  [0, 1, 2, 3, 12, 13, 14, 15].forEach((word, i) => out.writeUInt32LE(words[word]!, 4 * i));
  return out;
}

const COLUMNS_THEN_DIAGONALS = [
  [0, 4, 8, 12],
  [1, 5, 9, 13],
  [2, 6, 10, 14],
  [3, 7, 11, 15],
  [0, 5, 10, 15],
  [1, 6, 11, 12],
  [2, 7, 8, 13],
  [3, 4, 9, 14],
] as const;

function quarterRound(x: Uint32Array, a: number, b: number, c: number, d: number): void {
  const step = (to: number, plus: number, other: number, by: number): void => {
    x[to] = x[to]! + x[plus]!;
    const mixed = x[other]! ^ x[to];
    x[other] = (mixed << by) | (mixed >>> (32 - by));
  };
  step(a, b, d, 16);
  step(c, d, b, 12);
  step(a, b, d, 8);
  step(c, d, b, 7);
}

/** RFC 8439, section 2.5. */
export function poly1305(key: Uint8Array, message: Uint8Array): Uint8Array {
  const r = littleEndian(key.subarray(0, 16)) & 0x0ffffffc0ffffffc0ffffffc0fffffffn;
  const s = littleEndian(key.subarray(16, 32));
  let sum = 0n;
  for (let at = 0; at < message.length; at += 16) {
    const block = Uint8Array.of(...message.subarray(at, at + 16), 1);
    sum = ((sum + littleEndian(block)) * r) % (2n ** 130n - 5n);
  }
  const tag = sum + s;
  return Uint8Array.from({ length: 16 }, (_, i) => Number((tag >> BigInt(8 * i)) & 255n));
}

function littleEndian(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`);
}
