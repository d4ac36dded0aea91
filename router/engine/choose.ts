import { AEAD_NONCE_BYTES, type Primitives } from '../crypto/primitives.ts';
import { loadSodium } from '../crypto/sodium.ts';
import { writeU32 } from '../wire/datagram.ts';
import type { DatagramCipher } from './memory.ts';
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
    kind === 'native' ? new NativeEngine() : new PortableEngine(datagramCipher(await loadSodium()));
  await engine.open(options);
  return { engine, kind };
}

const NO_ASSOCIATED_DATA = new Uint8Array(0);

/** ChaCha20-Poly1305 of a datagram: nonce = 4 zero bytes | counter u64 LE. */
function datagramCipher(primitives: Primitives): DatagramCipher {
  const nonce = new Uint8Array(AEAD_NONCE_BYTES);
  const nonceOf = (counter: number): Uint8Array => {
    writeU32(counter % 2 ** 32, nonce, 4);
    writeU32(Math.floor(counter / 2 ** 32), nonce, 8);
    return nonce;
  };
  return {
    seal: (key, counter, plaintext) =>
      primitives.aeadSeal(key, nonceOf(counter), NO_ASSOCIATED_DATA, plaintext),
    open: (key, counter, sealed) => primitives.aeadOpen(key, nonceOf(counter), NO_ASSOCIATED_DATA, sealed),
  };
}
