import type { Cidr, Family, IpAddress } from '../core/address.ts';
import { addressBits, cidrContains, formatCidr, networkOf, parseCidr } from '../core/address.ts';

/** A half-open run of addresses, as offsets from the first address of a range. Never empty. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** Offsets are exact integers of a double: a range holds at most 2^52 addresses (an IPv6 /76). */
export const MAX_RANGE_BITS = 52;

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

/** What no host may have as its own address (RFC 6890, RFC 4291). */
const RESERVED = [
  ['0.0.0.0/8', '"this network"'],
  ['127.0.0.0/8', 'loopback'],
  ['224.0.0.0/4', 'multicast'],
  ['240.0.0.0/4', 'reserved addresses'],
  ['::/8', 'loopback and reserved addresses'],
  ['fe80::/10', 'link-local addresses'],
  ['ff00::/8', 'multicast'],
].map(([text, use]) => ({ block: parseCidr(text!)!, use: use! }));

function shareAddresses(a: Cidr, b: Cidr): boolean {
  return a.ip.family === b.ip.family && (cidrContains(a, b.ip) || cidrContains(b, a.ip));
}

/** Why `range` cannot be shared; undefined if it can. */
export function rangeProblem(range: Cidr): string | undefined {
  const reserved = RESERVED.find(({ block }) => shareAddresses(block, range));
  if (reserved !== undefined) {
    const block = `${formatCidr(reserved.block)} (${reserved.use})`;
    return `${formatCidr(range)} cannot be shared: it has addresses of ${block}, which no host may have`;
  }
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

/** Spans in any order, which may overlap or touch, as sorted and disjoint ones. */
export function unionSpans(spans: readonly Span[]): Span[] {
  const out: { start: number; end: number }[] = [];
  for (const { start, end } of [...spans].sort((a, b) => a.start - b.start)) {
    const last = out.at(-1);
    if (last !== undefined && start <= last.end) last.end = Math.max(last.end, end);
    else out.push({ start, end });
  }
  return out;
}

/** Single addresses in any order, as sorted and disjoint spans. */
export function spansOf(offsets: Iterable<number>): Span[] {
  return unionSpans(Array.from(offsets, (offset) => ({ start: offset, end: offset + 1 })));
}

/** Sorted, disjoint `spans` without what lies in `holes`, which are so too. */
export function withoutSpans(spans: readonly Span[], holes: readonly Span[]): Span[] {
  const out: Span[] = [];
  let next = 0;
  for (const span of spans) {
    let { start } = span;
    while (next < holes.length && holes[next]!.end <= start) next++;
    for (let at = next; at < holes.length && holes[at]!.start < span.end; at++) {
      const hole = holes[at]!;
      if (hole.start > start) out.push({ start, end: hole.start });
      start = Math.max(start, hole.end);
    }
    if (start < span.end) out.push({ start, end: span.end });
  }
  return out;
}

export function sameSpans(a: readonly Span[], b: readonly Span[]): boolean {
  return a.length === b.length && a.every(({ start, end }, i) => b[i]!.start === start && b[i]!.end === end);
}

/** What two lists of sorted, disjoint spans have in common. */
export function commonSpans(a: readonly Span[], b: readonly Span[]): Span[] {
  return withoutSpans(a, withoutSpans(a, b));
}

export function overlaps(a: readonly Span[], b: readonly Span[]): boolean {
  return commonSpans(a, b).length > 0;
}

/** Does one of the sorted, disjoint `spans` hold `offset`? */
export function spansHave(spans: readonly Span[], offset: number): boolean {
  let low = 0;
  let high = spans.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (spans[middle]!.end <= offset) low = middle + 1;
    else high = middle;
  }
  return low < spans.length && spans[low]!.start <= offset;
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
