import { foldChecksum, onesSum } from './checksum.ts';
import {
  ETHERNET_HEADER_BYTES,
  TYPE_IPV4,
  TYPE_IPV6,
  frameDestination,
  frameHeaderBytes,
  isFrame,
  payloadType,
} from './ethernet.ts';
import {
  IPV4_HEADER_BYTES,
  IPV6_HEADER_BYTES,
  IPV6_LEAST_MTU,
  PROTOCOL_ICMP,
  PROTOCOL_ICMPV6,
  ipv4Df,
  ipv4Upper,
  ipv6Upper,
  isIpv4,
  isIpv4Host,
  isIpv6,
  isIpv6Host,
} from './ip.ts';
import { MAC_BYTES, isGroup } from './mac.ts';

/**
 * The answer to a packet that does not fit and may not be cut: a whole Ethernet frame back to its sender.
 *
 *     Ethernet (MACs swapped, tags kept) | IP (addresses swapped) | type u8 | code u8 | checksum u16 | MTU u32 | quote
 *
 * ICMPv4 type 3 code 4 has the MTU in the low half of its word (RFC 792, RFC 1191); ICMPv6 type 2 code 0 (RFC 4443).
 * The answer comes from the address that the packet was sent to: the overlay's bridge need not have one.
 */
const ICMP_HEADER_BYTES = 8;
/** The whole ICMPv4 answer stays within what every host takes (RFC 1812, section 4.3.2.3). */
const IPV4_ANSWER_BYTES = 576;
const HOP_LIMIT = 64;
/** Internetwork control, as routers mark what they originate. */
const TRAFFIC_CLASS = 0xc0;

const ICMPV4_UNREACHABLE = 3;
const ICMPV4_FRAGMENTATION_NEEDED = 4;
const ICMPV6_TOO_BIG = 2;
/** Unreachable, source quench, redirect, time exceeded, parameter problem. */
const ICMPV4_ERRORS: ReadonlySet<number> = new Set([3, 4, 5, 11, 12]);
const ICMPV6_FIRST_QUERY = 128;
const ICMPV6_REDIRECT = 137;

/** The longest answer: IPv6's least MTU after an Ethernet header with two tags. */
export const LONGEST_ANSWER = 22 + IPV6_LEAST_MTU;

/**
 * Whether the sender of a frame that does not fit `mtu` (largest IP packet, bytes) is to be told so, and the MTU to
 * tell; 0 = carry it in pieces instead: it may be cut, is not IP, or is of a sort that is never answered. `segment`:
 * length of the largest frame that a super-frame will be cut into.
 */
export function mtuToAnswer(
  data: Uint8Array,
  at: number,
  length: number,
  mtu: number,
  segment = length,
): number {
  if (!isFrame(length) || isGroup(frameDestination(data, at))) return 0;
  const header = frameHeaderBytes(data, at, length);
  const type = payloadType(data, at, header);
  if (type === TYPE_IPV4) return mustTellIpv4(data, at + header, length - header) ? mtu : 0;
  // No IPv6 sender goes below 1,280 bytes: up to there the link has to carry what comes.
  if (type !== TYPE_IPV6 || segment - header <= IPV6_LEAST_MTU) return 0;
  return mustTellIpv6(data, at + header, length - header) ? Math.max(mtu, IPV6_LEAST_MTU) : 0;
}

/**
 * Writes the answer to a frame for which {@link mtuToAnswer} gave `mtu`; `out` has {@link LONGEST_ANSWER} bytes from
 * `to` on. Returns its length.
 */
export function writeTooBig(
  data: Uint8Array,
  at: number,
  length: number,
  mtu: number,
  out: Uint8Array,
  to: number,
): number {
  const header = frameHeaderBytes(data, at, length);
  writeEthernet(data, at, header, out, to);
  const ip = at + header;
  const write = payloadType(data, at, header) === TYPE_IPV4 ? writeIpv4 : writeIpv6;
  return header + write(data, ip, length - header, mtu, out, to + header);
}

function mustTellIpv4(data: Uint8Array, at: number, length: number): boolean {
  if (!isIpv4(data, at, length) || !ipv4Df(data, at)) return false;
  if (!isIpv4Host(data, at + 12) || !isIpv4Host(data, at + 16)) return false;
  const upper = ipv4Upper(data, at, length);
  if (upper === undefined) return false;
  return upper.protocol !== PROTOCOL_ICMP || !ICMPV4_ERRORS.has(data[upper.at]!);
}

function mustTellIpv6(data: Uint8Array, at: number, length: number): boolean {
  if (!isIpv6(data, at, length)) return false;
  if (!isIpv6Host(data, at + 8) || !isIpv6Host(data, at + 24)) return false;
  const upper = ipv6Upper(data, at, length);
  if (upper === undefined) return false;
  if (upper.protocol !== PROTOCOL_ICMPV6) return true;
  const type = data[upper.at]!;
  return type >= ICMPV6_FIRST_QUERY && type !== ICMPV6_REDIRECT;
}

function writeEthernet(data: Uint8Array, at: number, header: number, out: Uint8Array, to: number): void {
  out.set(data.subarray(at + MAC_BYTES, at + 2 * MAC_BYTES), to);
  out.set(data.subarray(at, at + MAC_BYTES), to + MAC_BYTES);
  out.set(data.subarray(at + ETHERNET_HEADER_BYTES - 2, at + header), to + ETHERNET_HEADER_BYTES - 2);
}

function writeIpv4(
  data: Uint8Array,
  at: number,
  length: number,
  mtu: number,
  out: Uint8Array,
  to: number,
): number {
  const quote = Math.min(length, IPV4_ANSWER_BYTES - IPV4_HEADER_BYTES - ICMP_HEADER_BYTES);
  const total = IPV4_HEADER_BYTES + ICMP_HEADER_BYTES + quote;
  out.fill(0, to, to + IPV4_HEADER_BYTES);
  out[to] = 0x45;
  out[to + 1] = TRAFFIC_CLASS;
  writeU16Be(total, out, to + 2);
  out[to + 6] = 0x40;
  out[to + 8] = HOP_LIMIT;
  out[to + 9] = PROTOCOL_ICMP;
  out.set(data.subarray(at + 16, at + 20), to + 12);
  out.set(data.subarray(at + 12, at + 16), to + 16);
  writeU16Be(foldChecksum(onesSum(out, to, IPV4_HEADER_BYTES)), out, to + 10);
  const icmp = to + IPV4_HEADER_BYTES;
  writeIcmp(ICMPV4_UNREACHABLE, ICMPV4_FRAGMENTATION_NEEDED, mtu, out, icmp);
  out.set(data.subarray(at, at + quote), icmp + ICMP_HEADER_BYTES);
  writeU16Be(foldChecksum(onesSum(out, icmp, ICMP_HEADER_BYTES + quote)), out, icmp + 2);
  return total;
}

function writeIpv6(
  data: Uint8Array,
  at: number,
  length: number,
  mtu: number,
  out: Uint8Array,
  to: number,
): number {
  const quote = Math.min(length, IPV6_LEAST_MTU - IPV6_HEADER_BYTES - ICMP_HEADER_BYTES);
  const payload = ICMP_HEADER_BYTES + quote;
  out.fill(0, to, to + IPV6_HEADER_BYTES);
  out[to] = 0x60 | (TRAFFIC_CLASS >> 4);
  writeU16Be(payload, out, to + 4);
  out[to + 6] = PROTOCOL_ICMPV6;
  out[to + 7] = HOP_LIMIT;
  out.set(data.subarray(at + 24, at + 40), to + 8);
  out.set(data.subarray(at + 8, at + 24), to + 24);
  const icmp = to + IPV6_HEADER_BYTES;
  writeIcmp(ICMPV6_TOO_BIG, 0, mtu, out, icmp);
  out.set(data.subarray(at, at + quote), icmp + ICMP_HEADER_BYTES);
  // The pseudo-header: both addresses, payload length, next header.
  const pseudo = onesSum(out, to + 8, 32, payload + PROTOCOL_ICMPV6);
  writeU16Be(foldChecksum(onesSum(out, icmp, payload, pseudo)), out, icmp + 2);
  return IPV6_HEADER_BYTES + payload;
}

/** The checksum stays zero, to be computed over the rest. */
function writeIcmp(type: number, code: number, mtu: number, out: Uint8Array, to: number): void {
  out[to] = type;
  out[to + 1] = code;
  writeU16Be(0, out, to + 2);
  writeU16Be(0, out, to + 4);
  writeU16Be(mtu, out, to + 6);
}

function writeU16Be(value: number, out: Uint8Array, at: number): void {
  out[at] = value >>> 8;
  out[at + 1] = value;
}
