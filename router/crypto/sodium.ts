import { secretCopy } from '../../core/bytes.ts';
import { hmacSha512, sha512 } from '../../core/sha512.ts';
import { sodium, type StateAddress } from './libsodium.ts';
import { KEY_BYTES, AEAD_NONCE_BYTES, AEAD_TAG_BYTES, STREAM_OVERHEAD } from './primitives.ts';
import type { BufferAead, KeyPair, Primitives, StreamOpener, StreamSealer } from './primitives.ts';

/** Size of crypto_secretstream_xchacha20poly1305_state. */
const STREAM_STATE_BYTES = 52;

/** The part of libsodium that its own types leave out: arguments are addresses in its memory. */
interface SodiumMemory {
  _malloc(bytes: number): number;
  _free(address: number): void;
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

/** Resolves once libsodium is compiled and has proved its random source. */
export async function loadSodium(): Promise<Primitives> {
  await sodium.ready;
  return sodiumPrimitives;
}

const sodiumPrimitives: Primitives = {
  keyPairFromSeed,
  dh,
  // libsodium-wrappers has neither.
  sha512,
  hmacSha512,
  aeadSeal: (key, nonce, associated, plaintext) =>
    sodium.crypto_aead_chacha20poly1305_ietf_encrypt(plaintext, associated, null, nonce, key),
  aeadOpen,
  sealStream: (key, header) => new SodiumStream(key, header),
  openStream: (key, header) => new SodiumStream(key, header),
  wipe: (secret) => sodium.memzero(secret),
};

function keyPairFromSeed(seed: Uint8Array): KeyPair {
  return { secret: secretCopy(seed), public: sodium.crypto_scalarmult_base(seed) };
}

function dh(secret: Uint8Array, publicKey: Uint8Array): Uint8Array | undefined {
  try {
    return sodium.crypto_scalarmult(secret, publicKey);
  } catch (error) {
    if (secret.length !== 32 || publicKey.length !== 32) throw error;
    return undefined;
  }
}

function aeadOpen(
  key: Uint8Array,
  nonce: Uint8Array,
  associated: Uint8Array,
  sealed: Uint8Array,
): Uint8Array | undefined {
  if (sealed.length < AEAD_TAG_BYTES) return undefined;
  try {
    return sodium.crypto_aead_chacha20poly1305_ietf_decrypt(null, sealed, associated, nonce, key);
  } catch (error) {
    if (key.length !== 32 || nonce.length !== 12) throw error;
    return undefined;
  }
}

/**
 * One direction of a secret stream. libsodium's push and pull states are the same given the header; starting both
 * from a header that the caller drew keeps its randomness an argument.
 */
class SodiumStream implements StreamSealer, StreamOpener {
  #state: StateAddress | undefined;

  constructor(key: Uint8Array, header: Uint8Array) {
    this.#state = sodium.crypto_secretstream_xchacha20poly1305_init_pull(header, key);
  }

  seal(message: Uint8Array): Uint8Array {
    const tag = sodium.crypto_secretstream_xchacha20poly1305_TAG_MESSAGE;
    return sodium.crypto_secretstream_xchacha20poly1305_push(this.#live(), message, null, tag);
  }

  open(sealed: Uint8Array): Uint8Array | undefined {
    const state = this.#live();
    if (sealed.length < STREAM_OVERHEAD) return undefined;
    const pulled = sodium.crypto_secretstream_xchacha20poly1305_pull(state, sealed, null);
    return pulled === false ? undefined : pulled.message;
  }

  wipe(): void {
    if (this.#state === undefined) return;
    // The state is an address, whatever its type says, and libsodium-wrappers never frees it.
    const address = this.#state as unknown as number;
    const memory = sodiumMemory();
    memory.HEAPU8.fill(0, address, address + STREAM_STATE_BYTES);
    memory._free(address);
    this.#state = undefined;
  }

  #live(): StateAddress {
    if (this.#state === undefined) throw new Error('The stream was wiped.');
    return this.#state;
  }
}

function sodiumMemory(): SodiumMemory {
  return (sodium as unknown as { libsodium: SodiumMemory }).libsodium;
}

/** Resolves to libsodium's AEAD over the caller's buffers. */
export async function loadBufferAead(longestMessage: number): Promise<BufferAead> {
  await sodium.ready;
  return new SodiumBufferAead(longestMessage);
}

/**
 * ChaCha20-Poly1305-IETF in a piece of libsodium's memory that is taken once: libsodium-wrappers itself takes and copies
 * five pieces per call, which costs a quarter of sealing a datagram.
 */
class SodiumBufferAead implements BufferAead {
  readonly #memory = sodiumMemory();
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
