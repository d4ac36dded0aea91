import type { Cidr, Family, IpAddress } from '../core/address.ts';
import { addressBits, cidrContains, formatCidr, networkOf } from '../core/address.ts';

/** A half-open run of addresses, as offsets from the first address of a range. Never empty. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** Offsets are exact integers of a double: a range holds at most 2^52 addresses (an IPv6 /76). */
const MAX_RANGE_BITS = 52;

/** A /30: two addresses that can be handed out. */
export const MIN_SUBNET_BITS = 2;

/** The addresses that peers share, and the translation between them and offsets. */
export class AddressRange {
  readonly network: Cidr;
  readonly family: Family;
  /** Number of addresses. */
  readonly size: number;
  /** Canonical text: "10.32.0.0/12". Equal for equal ranges. */
  readonly text: string;

  /** `cidr` has been checked by {@link rangeProblem}; host bits are dropped. */
  constructor(cidr: Cidr) {
    this.network = { ip: networkOf(cidr), prefix: cidr.prefix };
    this.family = cidr.ip.family;
    this.size = 2 ** (addressBits(cidr.ip.family) - cidr.prefix);
    this.text = formatCidr(this.network);
  }

  /** Undefined for an address outside the range. */
  offsetOf(ip: IpAddress): number | undefined {
    return cidrContains(this.network, ip) ? Number(ip.value - this.network.ip.value) : undefined;
  }

  /** `offset` in [0, size). */
  ipAt(offset: number): IpAddress {
    return { family: this.family, value: this.network.ip.value + BigInt(offset) };
  }

  /** The addresses of `subnet`; undefined unless all of them lie in the range. */
  spanOf(subnet: Cidr): Span | undefined {
    const start = this.offsetOf(networkOf(subnet));
    if (start === undefined || subnet.prefix < this.network.prefix) return undefined;
    return { start, end: start + 2 ** (addressBits(this.family) - subnet.prefix) };
  }
}

/** Why `range` cannot be shared; undefined if it can. */
export function rangeProblem(range: Cidr): string | undefined {
  const bits = addressBits(range.ip.family) - range.prefix;
  if (bits < MIN_SUBNET_BITS) {
    return `${formatCidr(range)} is too small: an address range needs at least 4 addresses (/30 or /126)`;
  }
  if (bits > MAX_RANGE_BITS) {
    return `${formatCidr(range)} is too large: an address range holds at most 2^${MAX_RANGE_BITS} addresses (/76)`;
  }
  if (networkOf(range).value !== range.ip.value) {
    const meant = formatCidr({ ip: networkOf(range), prefix: range.prefix });
    return `${formatCidr(range)} is not a network address: did you mean ${meant}?`;
  }
  return undefined;
}

/** What may be handed out of a subnet of at least four addresses: all but the first and the last. */
export function usableOf(subnet: Span): Span {
  return { start: subnet.start + 1, end: subnet.end - 1 };
}

export function spanSize(spans: readonly Span[]): number {
  return spans.reduce((sum, span) => sum + span.end - span.start, 0);
}

/** The parts of sorted, disjoint `spans` that lie in `within`. */
export function clipSpans(spans: readonly Span[], within: Span): Span[] {
  const out: Span[] = [];
  for (const span of spans) {
    const start = Math.max(span.start, within.start);
    const end = Math.min(span.end, within.end);
    if (start < end) out.push({ start, end });
  }
  return out;
}

/** Sorted, disjoint `spans` without the single addresses in `holes` (ascending). */
export function withoutAddresses(spans: readonly Span[], holes: readonly number[]): Span[] {
  const out: Span[] = [];
  let next = 0;
  for (const span of spans) {
    let start = span.start;
    while (next < holes.length && holes[next]! < start) next++;
    while (next < holes.length && holes[next]! < span.end) {
      const hole = holes[next++]!;
      if (hole > start) out.push({ start, end: hole });
      start = hole + 1;
    }
    if (start < span.end) out.push({ start, end: span.end });
  }
  return out;
}

/** The block of `size` (a power of two) addresses, aligned to its size, that ends last in `span`. */
export function lastAlignedBlock(span: Span, size: number): Span | undefined {
  const end = Math.floor(span.end / size) * size;
  return end - size >= span.start ? { start: end - size, end } : undefined;
}
