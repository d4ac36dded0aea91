export const KEY_BYTES = 32;
export const HASH_BYTES = 64;
export const AEAD_NONCE_BYTES = 12;
export const AEAD_TAG_BYTES = 16;
/** Random bytes that begin a secret stream. */
export const STREAM_HEADER_BYTES = 24;
/** What sealing adds to one message of a secret stream. */
export const STREAM_OVERHEAD = 17;

/** An X25519 key pair. */
export interface KeyPair {
  /** 32 bytes. */
  readonly secret: Uint8Array;
  /** 32 bytes. */
  readonly public: Uint8Array;
}

/**
 * The cryptography that the protocols are built from. All of it is deterministic: random bytes are arguments.
 * Wrong lengths of keys and nonces are bugs and throw; bytes that others sent never do.
 * Results are fresh arrays, owned by the caller.
 */
export interface Primitives {
  /** The X25519 key pair (RFC 7748) whose secret is a copy of these 32 bytes. */
  keyPairFromSeed(seed: Uint8Array): KeyPair;
  /** X25519; undefined if `publicKey` is of low order, so that the result would not depend on the secret. */
  dh(secret: Uint8Array, publicKey: Uint8Array): Uint8Array | undefined;
  /** 64 bytes. */
  sha512(message: Uint8Array): Uint8Array;
  /** 64 bytes; RFC 2104 with a key of any length. */
  hmacSha512(key: Uint8Array, message: Uint8Array): Uint8Array;
  /** ChaCha20-Poly1305 (RFC 8439): ciphertext | 16-byte tag. */
  aeadSeal(key: Uint8Array, nonce: Uint8Array, associated: Uint8Array, plaintext: Uint8Array): Uint8Array;
  /** Undefined if the tag is wrong or missing. */
  aeadOpen(
    key: Uint8Array,
    nonce: Uint8Array,
    associated: Uint8Array,
    sealed: Uint8Array,
  ): Uint8Array | undefined;
  /** The sending end of a libsodium secret stream (XChaCha20-Poly1305) that begins with these 24 random bytes. */
  sealStream(key: Uint8Array, header: Uint8Array): StreamSealer;
  /** The receiving end of the stream that begins with `header`. */
  openStream(key: Uint8Array, header: Uint8Array): StreamOpener;
  /** Overwrites a secret that is of no more use. */
  wipe(secret: Uint8Array): void;
}

export interface StreamSealer {
  seal(message: Uint8Array): Uint8Array;
  /** Ends the stream and forgets its key; later calls have no effect. Sealing afterwards is a bug and throws. */
  wipe(): void;
}

export interface StreamOpener {
  /** Undefined if this is not the sealed form of the next message; the stream is then of no more use. */
  open(sealed: Uint8Array): Uint8Array | undefined;
  /** Ends the stream and forgets its key; later calls have no effect. Opening afterwards is a bug and throws. */
  wipe(): void;
}

/** ChaCha20-Poly1305 (RFC 8439) without associated data, over buffers of the caller: no call allocates memory for bytes. */
export interface BufferAead {
  /** Seals `length` bytes at `at` where they lie; the tag of 16 bytes follows them. */
  seal(key: Uint8Array, nonce: Uint8Array, bytes: Uint8Array, at: number, length: number): void;
  /**
   * Opens `length` bytes at `at`, the last 16 of which are the tag, to `outAt` in `out`. False, and `out` as it was, if
   * the tag is wrong or missing.
   */
  open(
    key: Uint8Array,
    nonce: Uint8Array,
    sealed: Uint8Array,
    at: number,
    length: number,
    out: Uint8Array,
    outAt: number,
  ): boolean;
}

/** Equality that takes the same time wherever the difference lies: for tags. Lengths are public. */
export function equalTags(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= a[i]! ^ b[i]!;
  return difference === 0;
}
