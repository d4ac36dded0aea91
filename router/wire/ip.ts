/**
 * What is read from IP headers (big-endian). `at` is where the header begins, `length` the bytes from there on.
 *
 *     IPv4 (RFC 791)                                        IPv6 (RFC 8200)
 *      0  version 4 | header words 4                         0  version 4 | class, flow
 *      2  total length                                       4  payload length
 *      6  0, DF, MF | fragment offset 13                     6  next header
 *      9  protocol                                           8  source 16
 *     12  source 4                                          24  destination 16
 *     16  destination 4                                     40  extension headers, payload
 */
export const IPV4_HEADER_BYTES = 20;
export const IPV6_HEADER_BYTES = 40;
/** Every IPv6 link carries so much (RFC 8200, section 5). */
export const IPV6_LEAST_MTU = 1_280;

export const PROTOCOL_ICMP = 1;
export const PROTOCOL_ICMPV6 = 58;

const EXTENSION_HOP_BY_HOP = 0;
const EXTENSION_ROUTING = 43;
const EXTENSION_FRAGMENT = 44;
const EXTENSION_DESTINATION = 60;
/** A packet with more is taken as unreadable. */
const MOST_EXTENSIONS = 8;

/** The upper layer of a packet. */
export interface UpperLayer {
  readonly protocol: number;
  /** Of its first byte in the data that was read. */
  readonly at: number;
}

/** A whole IPv4 header; the accessors are safe then. */
export function isIpv4(data: Uint8Array, at: number, length: number): boolean {
  if (length < IPV4_HEADER_BYTES || data[at]! >> 4 !== 4) return false;
  const header = ipv4HeaderBytes(data, at);
  return header >= IPV4_HEADER_BYTES && header <= length;
}

/** A whole fixed IPv6 header; the accessors are safe then. */
export function isIpv6(data: Uint8Array, at: number, length: number): boolean {
  return length >= IPV6_HEADER_BYTES && data[at]! >> 4 === 6;
}

/** "Don't fragment". */
export function ipv4Df(data: Uint8Array, at: number): boolean {
  return (data[at + 6]! & 0x40) !== 0;
}

/**
 * The upper layer of an IPv4 packet, or undefined for a fragment that is not the first one, or if there is nothing
 * after the header.
 */
export function ipv4Upper(data: Uint8Array, at: number, length: number): UpperLayer | undefined {
  const header = ipv4HeaderBytes(data, at);
  const fragmentOffset = ((data[at + 6]! & 0x1f) << 8) | data[at + 7]!;
  if (fragmentOffset !== 0 || header >= length) return undefined;
  return { protocol: data[at + 9]!, at: at + header };
}

/** As {@link ipv4Upper}, after all extension headers. Undefined too if those are cut off or too many. */
export function ipv6Upper(data: Uint8Array, at: number, length: number): UpperLayer | undefined {
  let protocol = data[at + 6]!;
  let next = at + IPV6_HEADER_BYTES;
  const end = at + length;
  for (let i = 0; i <= MOST_EXTENSIONS; i++) {
    if (next >= end) return undefined;
    if (!isExtension(protocol)) return { protocol, at: next };
    if (next + 8 > end) return undefined;
    if (protocol === EXTENSION_FRAGMENT && isLaterFragment(data, next)) return undefined;
    const bytes = protocol === EXTENSION_FRAGMENT ? 8 : 8 * (data[next + 1]! + 1);
    protocol = data[next]!;
    next += bytes;
  }
  return undefined;
}

/** Addresses that a host answers to and from: not zero, multicast, class E or broadcast. */
export function isIpv4Host(data: Uint8Array, at: number): boolean {
  return data[at]! !== 0 && data[at]! < 224;
}

/** Neither unspecified nor multicast. */
export function isIpv6Host(data: Uint8Array, at: number): boolean {
  if (data[at] === 0xff) return false;
  for (let i = at; i < at + 16; i++) if (data[i] !== 0) return true;
  return false;
}

function ipv4HeaderBytes(data: Uint8Array, at: number): number {
  return 4 * (data[at]! & 0x0f);
}

function isExtension(protocol: number): boolean {
  return (
    protocol === EXTENSION_HOP_BY_HOP ||
    protocol === EXTENSION_ROUTING ||
    protocol === EXTENSION_FRAGMENT ||
    protocol === EXTENSION_DESTINATION
  );
}

function isLaterFragment(data: Uint8Array, at: number): boolean {
  return data[at + 2] !== 0 || (data[at + 3]! & 0xf8) !== 0;
}
