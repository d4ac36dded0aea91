import { equalIp } from '../../core/address.ts';
import type { Cidr } from '../../core/address.ts';
import type { AddressArgument } from './address-argument.ts';
import { AddressRefused, messageOf } from './host-error.ts';
import type { AddressPort } from './host-port.ts';

/**
 * Gets from IPAM what the arguments ask for, beyond what is held already. All or nothing: when one fails, those
 * before it are released and the failure is thrown.
 */
export async function acquire(
  port: AddressPort,
  id: string,
  wanted: readonly AddressArgument[],
  held: readonly Cidr[],
  signal: AbortSignal | undefined,
): Promise<Cidr[]> {
  const fresh: Cidr[] = [];
  try {
    await acquireInto(fresh, port, id, wanted, held, signal);
    return fresh;
  } catch (error) {
    for (const cidr of fresh) await port.release(id, cidr);
    throw error;
  }
}

/** As {@link acquire}, but what was got before a failure is in `fresh`, and for the caller to release. */
export async function acquireInto(
  fresh: Cidr[],
  port: AddressPort,
  id: string,
  wanted: readonly AddressArgument[],
  held: readonly Cidr[],
  signal: AbortSignal | undefined,
): Promise<void> {
  for (const argument of wanted) {
    if (argument.kind === 'claim' && includesIp([...held, ...fresh], argument.cidr)) continue;
    const cidr = await acquireOne(port, id, argument, signal);
    if (!includesIp([...held, ...fresh], cidr)) fresh.push(cidr);
  }
}

export function includesIp(list: readonly Cidr[], cidr: Cidr): boolean {
  return list.some((other) => equalIp(other.ip, cidr.ip));
}

async function acquireOne(
  port: AddressPort,
  id: string,
  argument: AddressArgument,
  signal: AbortSignal | undefined,
): Promise<Cidr> {
  try {
    if (argument.kind === 'allocate') return await port.allocate(id, argument.subnet, signal);
    await port.claim(id, argument.cidr, signal);
    return argument.cidr;
  } catch (error) {
    throw new AddressRefused(messageOf(error), { cause: error });
  }
}
