/**
 * ChaCha20-Poly1305-IETF with nonce = 4 zero bytes | counter u64 LE over buffers of the caller, so that no call
 * allocates.
 */
export interface BufferCipher {
  /** Seals `length` bytes at `at` where they lie; the tag of 16 bytes follows them. */
  seal(key: Uint8Array, counter: number, bytes: Uint8Array, at: number, length: number): void;
  /**
   * Opens `length` bytes at `at`, the last 16 of which are the tag, to `outAt` in `out`, which has room for
   * `length - 16`. False if the tag is invalid; `out` holds nothing of use then.
   */
  open(
    key: Uint8Array,
    counter: number,
    sealed: Uint8Array,
    at: number,
    length: number,
    out: Uint8Array,
    outAt: number,
  ): boolean;
}

/** The same cipher, or a fake of it for simulations, message by message. */
export interface DatagramCipher {
  /** Ciphertext and 16-byte tag: 16 bytes more than `plaintext`. */
  seal(key: Uint8Array, counter: number, plaintext: Uint8Array): Uint8Array;
  /** Undefined if the tag is invalid. */
  open(key: Uint8Array, counter: number, sealed: Uint8Array): Uint8Array | undefined;
}

export function bufferCipher(cipher: DatagramCipher): BufferCipher {
  return {
    seal: (key, counter, bytes, at, length) =>
      bytes.set(cipher.seal(key, counter, bytes.subarray(at, at + length)), at),
    open: (key, counter, sealed, at, length, out, outAt) => {
      const plaintext = cipher.open(key, counter, sealed.subarray(at, at + length));
      if (plaintext !== undefined) out.set(plaintext, outAt);
      return plaintext !== undefined;
    },
  };
}
