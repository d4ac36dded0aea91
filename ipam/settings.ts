import type { Cidr } from '../core/address.ts';
import { formatCidr, networkOf, parseCidr } from '../core/address.ts';
import { AddressRange, MIN_SUBNET_BITS, rangeProblem, spanSize } from './range.ts';

export const DEFAULT_RANGE = '10.32.0.0/12';

export interface IpamSettings {
  readonly range: AddressRange;
  readonly defaultSubnet: Cidr;
}

/** Reads `--ipalloc-range` and `--ipalloc-default-subnet` (the range itself unless given). A failure is a sentence. */
export function parseIpamSettings(
  rangeText: string,
  subnetText: string | undefined,
): IpamSettings | { readonly error: string } {
  const cidr = parseCidr(rangeText);
  if (cidr === undefined)
    return { error: `the address range "${rangeText}" is not of the form ${DEFAULT_RANGE}` };
  const problem = rangeProblem(cidr);
  if (problem !== undefined) return { error: problem };
  const range = new AddressRange(cidr);
  if (subnetText === undefined) return { range, defaultSubnet: range.network };
  const subnet = parseCidr(subnetText);
  if (subnet === undefined) {
    return { error: `the default subnet "${subnetText}" is not of the form ${DEFAULT_RANGE}` };
  }
  const wrong = subnetProblem(subnet, range);
  return wrong === undefined ? { range, defaultSubnet: subnet } : { error: wrong };
}

/** Why no address can be handed out of `subnet`; undefined if one can. */
export function subnetProblem(subnet: Cidr, range: AddressRange): string | undefined {
  const text = formatCidr(subnet);
  if (networkOf(subnet).value !== subnet.ip.value) {
    const meant = formatCidr({ ip: networkOf(subnet), prefix: subnet.prefix });
    return `${text} is not a network address: did you mean ${meant}?`;
  }
  const span = range.spanOf(subnet);
  if (span === undefined) return `the subnet ${text} does not lie within the address range ${range.text}`;
  if (spanSize([span]) < 2 ** MIN_SUBNET_BITS) {
    return `the subnet ${text} is too small: it needs at least 4 addresses (/30 or /126)`;
  }
  return undefined;
}
