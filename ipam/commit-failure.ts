import { equalIp } from '../core/address.ts';
import type { Millis } from '../core/time.ts';
import type { CommitQueue } from './commit-queue.ts';
import type { AddressRequest, Deferred, Granted, IpamEffect } from './effects.ts';
import type { Holdings } from './holdings.ts';

/**
 * What to do with the outputs of a transaction that failed: whoever asked for something is refused and does not have
 * it, and so is whoever was to hear that the id has it; messages are lost as on the way, and what others may see only
 * once it is durable waits for the next transaction.
 */
export function refuseOutputs(
  outputs: readonly Deferred[],
  error: string,
  holdings: Holdings,
  queue: CommitQueue<Deferred>,
  now: Millis,
): IpamEffect[] {
  const kept: Deferred[] = [];
  const refused: Deferred[] = [];
  const released: Granted[] = [];
  for (const output of outputs) {
    if (output.type === 'show' || output.effect.type === 'announce') kept.push(output);
    else if (output.effect.type === 'reply') {
      refused.push(output);
      const granted = output.asked?.granted;
      if (granted !== undefined && holdings.release(granted.id, granted.address, now)) released.push(granted);
    }
  }
  queue.deferAgain(kept);
  // A repeat that came during the transaction found the address held, and waits for the next one.
  refused.push(...queue.withdraw((output) => released.some((one) => tellsOf(output, one))));
  return refused.flatMap((output) => refusal(output, error));
}

/** Is it a reply that says that `id` has this address? */
export function tellsOf(output: Deferred, { id, address }: Granted): boolean {
  if (output.type === 'show' || output.effect.type !== 'reply') return false;
  const { result } = output.effect;
  const held =
    result.type === 'allocations'
      ? result.allocations.find((one) => one.id === id)?.addresses
      : result.type === 'addresses' && isAbout(output.asked?.operation, id)
        ? result.addresses
        : undefined;
  return held?.some(({ ip }) => equalIp(ip, address)) ?? false;
}

function isAbout(operation: AddressRequest | undefined, id: string): boolean {
  return operation !== undefined && 'id' in operation && operation.id === id;
}

function refusal(output: Deferred, error: string): IpamEffect[] {
  if (output.type === 'show' || output.effect.type !== 'reply') return [];
  const { request } = output.effect;
  return [{ type: 'reply', request, result: { type: 'failed', error: `not recorded: ${error}` } }];
}
