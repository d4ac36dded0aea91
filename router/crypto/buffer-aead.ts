import sodium from 'libsodium-wrappers';
import { AEAD_NONCE_BYTES, AEAD_TAG_BYTES, KEY_BYTES, type BufferAead } from './primitives.ts';

/** The part of libsodium that its own types leave out: arguments are addresses in its memory. */
interface SodiumMemory {
  _malloc(bytes: number): number;
  /** Replaced when the memory grows: never keep it. */
  readonly HEAPU8: Uint8Array;
  /** Lengths of the message and of the associated data are two 32-bit halves where they are u64 in C. */
  // prettier-ignore
  _crypto_aead_chacha20poly1305_ietf_encrypt_detached(
    out: number, tag: number, tagLength: number, message: number, low: number, high: number,
    associated: number, associatedLow: number, associatedHigh: number, secretNonce: number, nonce: number, key: number,
  ): number;
  // prettier-ignore
  _crypto_aead_chacha20poly1305_ietf_decrypt_detached(
    out: number, secretNonce: number, sealed: number, low: number, high: number, tag: number,
    associated: number, associatedLow: number, associatedHigh: number, nonce: number, key: number,
  ): number;
}

/** Resolves to libsodium's AEAD over the caller's buffers; `longestMessage` in bytes, without its tag. */
export async function loadBufferAead(longestMessage: number): Promise<BufferAead> {
  await sodium.ready;
  return new SodiumBufferAead(longestMessage);
}

/**
 * ChaCha20-Poly1305-IETF in a piece of libsodium's memory that is taken once: libsodium-wrappers itself takes and copies
 * five pieces per call, which costs a quarter of sealing a datagram.
 */
class SodiumBufferAead implements BufferAead {
  readonly #memory = (sodium as unknown as { libsodium: SodiumMemory }).libsodium;
  readonly #longest: number;
  readonly #key: number;
  readonly #nonce: number;
  readonly #message: number;

  constructor(longestMessage: number) {
    this.#longest = longestMessage;
    this.#key = this.#memory._malloc(KEY_BYTES + AEAD_NONCE_BYTES + longestMessage + AEAD_TAG_BYTES);
    if (this.#key === 0) throw new Error('libsodium has no memory left.');
    this.#nonce = this.#key + KEY_BYTES;
    this.#message = this.#nonce + AEAD_NONCE_BYTES;
  }

  seal(key: Uint8Array, nonce: Uint8Array, bytes: Uint8Array, at: number, length: number): void {
    const tag = this.#message + length;
    this.#put(key, nonce, bytes, at, length, length);
    this.#memory._crypto_aead_chacha20poly1305_ietf_encrypt_detached(
      this.#message,
      tag,
      0,
      this.#message,
      length,
      0,
      0,
      0,
      0,
      0,
      this.#nonce,
      this.#key,
    );
    const memory = this.#memory.HEAPU8;
    memory.fill(0, this.#key, this.#nonce);
    bytes.set(memory.subarray(this.#message, tag + AEAD_TAG_BYTES), at);
  }

  open(
    key: Uint8Array,
    nonce: Uint8Array,
    sealed: Uint8Array,
    at: number,
    length: number,
    out: Uint8Array,
    outAt: number,
  ): boolean {
    const bytes = length - AEAD_TAG_BYTES;
    if (bytes < 0) return false;
    const tag = this.#message + bytes;
    this.#put(key, nonce, sealed, at, length, bytes);
    const result = this.#memory._crypto_aead_chacha20poly1305_ietf_decrypt_detached(
      this.#message,
      0,
      this.#message,
      bytes,
      0,
      tag,
      0,
      0,
      0,
      this.#nonce,
      this.#key,
    );
    const memory = this.#memory.HEAPU8;
    memory.fill(0, this.#key, this.#nonce);
    if (result !== 0) return false;
    out.set(memory.subarray(this.#message, tag), outAt);
    return true;
  }

  /** Lengths are checked here: beyond them lies other memory of libsodium. */
  #put(
    key: Uint8Array,
    nonce: Uint8Array,
    bytes: Uint8Array,
    at: number,
    length: number,
    message: number,
  ): void {
    if (key.length !== KEY_BYTES || nonce.length !== AEAD_NONCE_BYTES)
      throw new RangeError('A key has 32 bytes, a nonce 12.');
    if (message > this.#longest) throw new RangeError(`A message has at most ${this.#longest} bytes.`);
    const memory = this.#memory.HEAPU8;
    memory.set(key, this.#key);
    memory.set(nonce, this.#nonce);
    memory.set(bytes.subarray(at, at + length), this.#message);
  }
}
