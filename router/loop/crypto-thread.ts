import { parentPort } from 'node:worker_threads';
import type { CryptoJob, CryptoResult } from '../../gossip/secure-channel.ts';
import { runCpaceJob } from '../crypto/cpace.ts';
import { wipeCpace } from '../crypto/cpace-secrets.ts';

/** The crypto thread: public-key work that would otherwise hold up the control plane for milliseconds. */
export interface CryptoThreadJob {
  readonly task: number;
  readonly job: CryptoJob;
}

export interface CryptoThreadResult {
  readonly task: number;
  readonly result: CryptoResult;
}

parentPort!.on('message', ({ task, job }: CryptoThreadJob) => {
  const result = runCpaceJob(job);
  const done: CryptoThreadResult = { task, result };
  parentPort!.postMessage(done);
  // Posting copies, and the job is a copy: what this thread has of them ends here.
  wipeCpace({ job, result });
});
