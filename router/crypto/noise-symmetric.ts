import { concatBytes, secretCopy } from '../../core/bytes.ts';
import { AEAD_NONCE_BYTES, HASH_BYTES, KEY_BYTES } from './primitives.ts';
import type { Primitives } from './primitives.ts';

const NOTHING = new Uint8Array(0);

/** The SymmetricState and its CipherState of the Noise Protocol Framework, revision 34, section 5. */
export class SymmetricState {
  readonly #primitives: Primitives;
  #hash: Uint8Array;
  #chainingKey: Uint8Array;
  #key: Uint8Array | undefined;
  #nonce = 0;

  /** InitializeSymmetric with the full Noise name, at most 64 bytes. */
  constructor(primitives: Primitives, protocol: Uint8Array) {
    this.#primitives = primitives;
    this.#hash = new Uint8Array(HASH_BYTES);
    this.#hash.set(protocol);
    this.#chainingKey = this.#hash.slice();
  }

  mixHash(data: Uint8Array): void {
    this.#hash = this.#primitives.sha512(concatBytes(this.#hash, data));
  }

  /** Wipes `input`, which is a fresh Diffie-Hellman result. */
  mixKey(input: Uint8Array): void {
    const [chainingKey, key] = hkdf(this.#primitives, this.#chainingKey, input);
    this.#primitives.wipe(input);
    this.#forgetKeys();
    this.#chainingKey = moved(this.#primitives, chainingKey, HASH_BYTES);
    this.#key = moved(this.#primitives, key, KEY_BYTES);
    this.#nonce = 0;
  }

  /** EncryptAndHash; only after the first {@link mixKey}. */
  seal(plaintext: Uint8Array): Uint8Array {
    const sealed = this.#primitives.aeadSeal(this.#cipherKey(), this.#nextNonce(), this.#hash, plaintext);
    this.mixHash(sealed);
    return sealed;
  }

  /** DecryptAndHash; undefined if it was not sealed in the same state. */
  open(sealed: Uint8Array): Uint8Array | undefined {
    const plaintext = this.#primitives.aeadOpen(this.#cipherKey(), this.#nextNonce(), this.#hash, sealed);
    if (plaintext !== undefined) this.mixHash(sealed);
    return plaintext;
  }

  /** Keys of 32 bytes for the initiator's and the responder's direction. */
  split(): [initiator: Uint8Array, responder: Uint8Array] {
    const [first, second] = hkdf(this.#primitives, this.#chainingKey, NOTHING);
    return [moved(this.#primitives, first, KEY_BYTES), moved(this.#primitives, second, KEY_BYTES)];
  }

  handshakeHash(): Uint8Array {
    return this.#hash.slice();
  }

  /** A copy that goes its own way, to try a message that may be forged. */
  clone(): SymmetricState {
    const copy = new SymmetricState(this.#primitives, NOTHING);
    copy.#hash = this.#hash.slice();
    copy.#chainingKey = secretCopy(this.#chainingKey);
    copy.#key = this.#key && secretCopy(this.#key);
    copy.#nonce = this.#nonce;
    return copy;
  }

  wipe(): void {
    this.#forgetKeys();
    this.#key = undefined;
  }

  #forgetKeys(): void {
    this.#primitives.wipe(this.#chainingKey);
    if (this.#key !== undefined) this.#primitives.wipe(this.#key);
  }

  #cipherKey(): Uint8Array {
    if (this.#key === undefined) throw new Error('No key was mixed in yet.');
    return this.#key;
  }

  /** 4 zero bytes | counter u64 LE; a handshake never gets beyond a handful. */
  #nextNonce(): Uint8Array {
    const nonce = new Uint8Array(AEAD_NONCE_BYTES);
    nonce[4] = this.#nonce;
    this.#nonce += 1;
    return nonce;
  }
}

/** HKDF of section 4.3 with two outputs of 64 bytes. */
function hkdf(primitives: Primitives, chainingKey: Uint8Array, input: Uint8Array): [Uint8Array, Uint8Array] {
  const extracted = primitives.hmacSha512(chainingKey, input);
  const first = primitives.hmacSha512(extracted, Uint8Array.of(1));
  const input2 = concatBytes(first, Uint8Array.of(2));
  const second = primitives.hmacSha512(extracted, input2);
  for (const secret of [extracted, input2]) primitives.wipe(secret);
  return [first, second];
}

/** Out of the heap that V8 moves; hashes of 64 bytes are cut to 32 where they serve as cipher keys. */
function moved(primitives: Primitives, output: Uint8Array, length: number): Uint8Array {
  const key = secretCopy(output, length);
  primitives.wipe(output);
  return key;
}
