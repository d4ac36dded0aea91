import type { IpAddress } from '../core/address.ts';

/** Whom limits count against, as a key of maps: an IPv4 address, or the /64 of an IPv6 one, all of which its holder has. */
export function sourceOf(ip: IpAddress): string {
  return ip.family === 4 ? addressKey(ip) : `6 ${(ip.value >> 64n).toString(16)}/64`;
}

/** The exact address, as a key of maps; never equal to that of a /64. */
export function addressKey(ip: IpAddress): string {
  return `${ip.family} ${ip.value.toString(16)}`;
}
