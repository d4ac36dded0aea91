import type { CryptoJob, CryptoResult } from '../../gossip/secure-channel.ts';

/** Overwrites what a job and its result hold of secrets; neither is of use afterwards. */
export function wipeCpace({ job, result }: { job?: CryptoJob; result?: CryptoResult }): void {
  if (job?.type === 'cpace-finish') job.scalar.fill(0);
  else for (const secret of [job?.password, job?.seed]) secret?.fill(0);
  if (result?.type === 'cpace-started') result.scalar.fill(0);
  else if (result !== undefined && result.type !== 'refused') result.isk.fill(0);
}
