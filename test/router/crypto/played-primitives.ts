import type { CryptoJob, CryptoResult } from '../../../gossip/secure-channel.ts';
import { runCpaceJob } from '../../../router/crypto/cpace.ts';
import type { Primitives } from '../../../router/crypto/primitives.ts';
import { loadSodium } from '../../../router/crypto/sodium.ts';

/** All cryptography of a node, that of the password exchange too. */
export interface PlayedPrimitives extends Primitives {
  /** Does a job at once. */
  runJob(job: CryptoJob): CryptoResult;
}

export const playedSodium: PlayedPrimitives = { ...(await loadSodium()), runJob: runCpaceJob };
