import { parentPort } from 'node:worker_threads';
import type { CryptoJob, CryptoResult } from '../../gossip/secure-channel.ts';
import { runCpaceJob } from '../crypto/cpace.ts';

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
  const done: CryptoThreadResult = { task, result: runCpaceJob(job) };
  wipe(job);
  parentPort!.postMessage(done);
});

/** The job is this thread's own copy: password, scalar and seed end here. */
function wipe(job: CryptoJob): void {
  if (job.type === 'cpace-finish') job.scalar.fill(0);
  else {
    job.password.fill(0);
    job.seed.fill(0);
  }
}
