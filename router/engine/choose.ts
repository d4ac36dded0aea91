import { AEAD_NONCE_BYTES, type BufferAead } from '../crypto/primitives.ts';
import { loadBufferAead } from '../crypto/sodium.ts';
import { LONGEST_DATAGRAM, writeU32 } from '../wire/datagram.ts';
import type { BufferCipher } from './datagram-cipher.ts';
import { NativeEngine } from './native.ts';
import { PortableEngine } from './portable.ts';
import type { Engine, EngineOptions } from './port.ts';

export type EngineKind = 'native' | 'portable';
/** `auto` is the native one: there is no silent fall-back to the slow one. */
export type EngineChoice = 'auto' | EngineKind;

/** Opens the chosen engine. Rejects with an {@link EngineError} for the operator. */
export async function openEngine(
  choice: EngineChoice,
  options: EngineOptions,
): Promise<{ engine: Engine; kind: EngineKind }> {
  const kind = choice === 'auto' ? 'native' : choice;
  const engine =
    kind === 'native'
      ? new NativeEngine()
      : new PortableEngine(datagramCipher(await loadBufferAead(LONGEST_DATAGRAM)));
  await engine.open(options);
  return { engine, kind };
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
