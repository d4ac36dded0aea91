import { secretCopy } from '../../core/bytes.ts';
import { hmacSha512, sha512 } from '../../core/sha512.ts';
import { sodium, type StateAddress } from './libsodium.ts';
import { AEAD_TAG_BYTES, STREAM_OVERHEAD } from './primitives.ts';
import type { KeyPair, Primitives, StreamOpener, StreamSealer } from './primitives.ts';

/** Size of crypto_secretstream_xchacha20poly1305_state. */
const STREAM_STATE_BYTES = 52;

/** The part of libsodium that its own types leave out: arguments are addresses in its memory. */
interface SodiumMemory {
  _free(address: number): void;
  /** Replaced when the memory grows: never keep it. */
  readonly HEAPU8: Uint8Array;
}

/** Resolves once libsodium is compiled and has proved its random source; CPace may be computed from then on. */
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
    const memory = (sodium as unknown as { libsodium: SodiumMemory }).libsodium;
    memory.HEAPU8.fill(0, address, address + STREAM_STATE_BYTES);
    memory._free(address);
    this.#state = undefined;
  }

  #live(): StateAddress {
    if (this.#state === undefined) throw new Error('The stream was wiped.');
    return this.#state;
  }
}
