import { equalIp, formatCidr, lastOf, networkOf, parseCidr } from '../../core/address.ts';
import type { Cidr } from '../../core/address.ts';
import { HostError } from './host-error.ts';

/** What an ADDR argument asks for: this very address, or any free one of a subnet (undefined = the default subnet). */
export type AddressArgument =
  { readonly kind: 'claim'; readonly cidr: Cidr } | { readonly kind: 'allocate'; readonly subnet?: Cidr };

/** `ip:CIDR`, `net:CIDR`, `net:default` or a bare CIDR, which means `ip:CIDR`. Throws {@link HostError}. */
export function parseAddressArgument(text: string): AddressArgument {
  if (text === 'net:default') return { kind: 'allocate' };
  if (text.startsWith('net:')) return { kind: 'allocate', subnet: parseSubnet(text, text.slice(4)) };
  return { kind: 'claim', cidr: parseHostAddress(text, text.startsWith('ip:') ? text.slice(3) : text) };
}

/** Whether `cidr` is what the argument names: the address itself, or one of that subnet. */
export function argumentNames(argument: AddressArgument, cidr: Cidr, defaultSubnet: Cidr): boolean {
  if (argument.kind === 'claim') return equalIp(argument.cidr.ip, cidr.ip);
  const subnet = argument.subnet ?? defaultSubnet;
  return cidr.prefix === subnet.prefix && equalIp(networkOf(cidr), networkOf(subnet));
}

function parseSubnet(argument: string, text: string): Cidr {
  const cidr = parseCidr(text);
  if (cidr === undefined) {
    throw new HostError(`"${argument}" is not a subnet: write net:A.B.C.D/N or net:default`);
  }
  if (!equalIp(networkOf(cidr), cidr.ip)) {
    const network = formatCidr({ ip: networkOf(cidr), prefix: cidr.prefix });
    throw new HostError(`"${argument}" has host bits set: the subnet is net:${network}`);
  }
  return cidr;
}

function parseHostAddress(argument: string, text: string): Cidr {
  const cidr = parseCidr(text);
  if (cidr === undefined) {
    throw new HostError(`"${argument}" is not an address: write ip:A.B.C.D/N, net:A.B.C.D/N or net:default`);
  }
  const problem = reservedUse(cidr);
  if (problem !== undefined)
    throw new HostError(`"${argument}" cannot be given to an interface: it is ${problem}`);
  return cidr;
}

/** In a /31, a /127 and single addresses every address is a host's (RFC 3021, RFC 6164). */
function reservedUse(cidr: Cidr): string | undefined {
  const { family, value } = cidr.ip;
  const bits = family === 4 ? 32 : 128;
  if (value === 0n) return 'the unspecified address';
  const first = value >> BigInt(bits - 8);
  if (first === 0n || (family === 4 && first === 127n)) return 'a loopback or reserved address';
  if (isMulticast(cidr)) return 'a multicast or reserved address';
  if (cidr.prefix === 0) return 'without a subnet (prefix 0)';
  if (cidr.prefix >= bits - 1) return undefined;
  if (equalIp(cidr.ip, networkOf(cidr))) return "its subnet's own address";
  return family === 4 && equalIp(cidr.ip, lastOf(cidr)) ? "its subnet's broadcast address" : undefined;
}

function isMulticast({ ip }: Cidr): boolean {
  return ip.family === 4 ? ip.value >> 28n >= 14n : ip.value >> 120n === 0xffn;
}
