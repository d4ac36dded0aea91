import { createCipheriv, createDecipheriv } from 'node:crypto';
import type { DatagramCipher } from '../../../router/engine/datagram-cipher.ts';

const TAG_BYTES = 16;

/** The datagram's AEAD by Node's own OpenSSL: what engines are held against. */
export const chacha: DatagramCipher = { seal, open };

export function seal(key: Uint8Array, counter: number | bigint, plaintext: Uint8Array): Uint8Array {
  const cipher = createCipheriv('chacha20-poly1305', key, nonceOf(counter), { authTagLength: TAG_BYTES });
  const body = cipher.update(plaintext);
  cipher.final();
  return Uint8Array.from(Buffer.concat([body, cipher.getAuthTag()]));
}

/** Undefined if the tag is wrong. */
export function open(key: Uint8Array, counter: number | bigint, sealed: Uint8Array): Uint8Array | undefined {
  const end = sealed.length - TAG_BYTES;
  const decipher = createDecipheriv('chacha20-poly1305', key, nonceOf(counter), { authTagLength: TAG_BYTES });
  decipher.setAuthTag(sealed.subarray(end));
  const body = decipher.update(sealed.subarray(0, end));
  try {
    decipher.final();
    return Uint8Array.from(body);
  } catch {
    return undefined;
  }
}

/** 4 zero bytes | counter u64 LE. */
function nonceOf(counter: number | bigint): Uint8Array {
  const nonce = Buffer.alloc(12);
  nonce.writeBigUInt64LE(BigInt(counter), 4);
  return nonce;
}
