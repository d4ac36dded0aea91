import { parentPort } from 'node:worker_threads';
import type { CryptoJob, CryptoResult } from '../../gossip/secure-channel.ts';
import { loadSodium } from '../crypto/sodium.ts';

/** The crypto thread: public-key work that would otherwise hold up the control plane for milliseconds. */
export interface CryptoThreadJob {
  readonly task: number;
  readonly job: CryptoJob;
}

export interface CryptoThreadResult {
  readonly task: number;
  readonly result: CryptoResult;
}

const primitives = await loadSodium();

parentPort!.on('message', ({ task, job }: CryptoThreadJob) => {
  const done: CryptoThreadResult = { task, result: primitives.runJob(job) };
  parentPort!.postMessage(done);
});
