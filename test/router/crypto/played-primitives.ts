import type { CryptoJob, CryptoResult } from '../../../gossip/secure-channel.ts';
import { runCpaceJob } from '../../../router/crypto/cpace.ts';
import type { Primitives } from '../../../router/crypto/primitives.ts';
import { loadSodium } from '../../../router/crypto/sodium.ts';

/** All cryptography of a node where its crypto thread is played. */
export interface PlayedPrimitives extends Primitives {
  /** Does a job of the crypto thread at once. */
  runJob(job: CryptoJob): CryptoResult;
}

export async function loadPlayedSodium(): Promise<PlayedPrimitives> {
  return { ...(await loadSodium()), runJob: runCpaceJob };
}
