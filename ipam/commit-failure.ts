import type { Millis } from '../core/time.ts';
import type { CommitQueue } from './commit-queue.ts';
import type { Deferred, IpamEffect } from './effects.ts';
import type { Holdings } from './holdings.ts';

/**
 * What to do with the outputs of a transaction that failed: whoever asked for something is refused and does not have
 * it, messages are lost as on the way, and what others may see only once it is durable waits for the next transaction.
 */
export function refuseOutputs(
  outputs: readonly Deferred[],
  error: string,
  holdings: Holdings,
  queue: CommitQueue<Deferred>,
  now: Millis,
): IpamEffect[] {
  const refusals: IpamEffect[] = [];
  for (const output of outputs) {
    if (output.type === 'show' || output.effect.type === 'announce') queue.defer(output);
    else if (output.effect.type === 'reply') {
      if (output.granted !== undefined) holdings.release(output.granted.id, output.granted.address, now);
      const { request } = output.effect;
      refusals.push({ type: 'reply', request, result: { type: 'failed', error: `not recorded: ${error}` } });
    }
  }
  return refusals;
}
