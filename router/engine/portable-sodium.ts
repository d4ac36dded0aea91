import { AEAD_NONCE_BYTES, type BufferAead } from '../crypto/primitives.ts';
import { loadBufferAead } from '../crypto/buffer-aead.ts';
import { LONGEST_DATAGRAM, writeU32 } from '../wire/datagram.ts';
import type { BufferCipher } from './datagram-cipher.ts';
import { PortableEngine } from './portable.ts';

/** The portable engine, not yet open, with libsodium for its datagrams. */
export async function sodiumPortableEngine(): Promise<PortableEngine> {
  return new PortableEngine(datagramCipher(await loadBufferAead(LONGEST_DATAGRAM)));
}

/** ChaCha20-Poly1305 of a datagram: nonce = 4 zero bytes | counter u64 LE. */
function datagramCipher(aead: BufferAead): BufferCipher {
  const nonce = new Uint8Array(AEAD_NONCE_BYTES);
  const setNonce = (counter: number): void => {
    writeU32(counter % 2 ** 32, nonce, 4);
    writeU32(Math.floor(counter / 2 ** 32), nonce, 8);
  };
  return {
    seal: (key, counter, bytes, at, length) => {
      setNonce(counter);
      aead.seal(key, nonce, bytes, at, length);
    },
    open: (key, counter, sealed, at, length, out, outAt) => {
      setNonce(counter);
      return aead.open(key, nonce, sealed, at, length, out, outAt);
    },
  };
}
