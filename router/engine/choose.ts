import { NativeEngine } from './native.ts';
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
  const engine = kind === 'native' ? new NativeEngine() : await portableEngine();
  await engine.open(options);
  return { engine, kind };
}

/** Loaded where it is asked for only: libsodium alone takes a few MB in each thread. */
async function portableEngine(): Promise<Engine> {
  const { sodiumPortableEngine } = await import('./portable-sodium.ts');
  return sodiumPortableEngine();
}
