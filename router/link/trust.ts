import { cidrContains, type Cidr, type IpAddress } from '../../core/address.ts';

/**
 * Whether an underlay address lies in the trusted subnets of both ends. Each end tests the address of the other, and
 * says so in its acks: together that tests both addresses against both lists, though neither end knows its own.
 */
export function trustedByBoth(ip: IpAddress, ours: readonly Cidr[], theirs: readonly Cidr[]): boolean {
  return ours.some((cidr) => cidrContains(cidr, ip)) && theirs.some((cidr) => cidrContains(cidr, ip));
}
