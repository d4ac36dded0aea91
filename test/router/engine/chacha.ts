import { createCipheriv, createDecipheriv } from 'node:crypto';
import type { DatagramCipher } from '../../../router/engine/memory.ts';

const TAG_BYTES = 16;

/** The datagram's AEAD by Node's own OpenSSL: what engines are held against. */
export const chacha: DatagramCipher = {
  seal(key, counter, plaintext) {
    const cipher = createCipheriv('chacha20-poly1305', key, nonceOf(counter), { authTagLength: TAG_BYTES });
    const body = cipher.update(plaintext);
    cipher.final();
    return Uint8Array.from(Buffer.concat([body, cipher.getAuthTag()]));
  },
  open(key, counter, sealed) {
    const end = sealed.length - TAG_BYTES;
    const decipher = createDecipheriv('chacha20-poly1305', key, nonceOf(counter), {
      authTagLength: TAG_BYTES,
    });
    decipher.setAuthTag(sealed.subarray(end));
    const body = decipher.update(sealed.subarray(0, end));
    try {
      decipher.final();
      return Uint8Array.from(body);
    } catch {
      return undefined;
    }
  },
};

function nonceOf(counter: number): Uint8Array {
  const nonce = Buffer.alloc(12);
  nonce.writeBigUInt64LE(BigInt(counter), 4);
  return nonce;
}
