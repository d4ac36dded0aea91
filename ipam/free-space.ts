import type { Span } from './range.ts';
import { clipSpans, lastAlignedBlock, spanSize, usableOf } from './range.ts';

/** The lowest address of `own`, not below `from`, that `subnet` may hand out and that is not taken; undefined if none is. */
export function lowestFree(
  own: readonly Span[],
  subnet: Span,
  taken: (offset: number) => boolean,
  from = subnet.start,
): number | undefined {
  const { start, end } = usableOf(subnet);
  for (const span of clipSpans(own, { start: Math.max(start, from), end })) {
    for (let offset = span.start; offset < span.end; offset++) if (!taken(offset)) return offset;
  }
  return undefined;
}

/**
 * What a donor gives of its `free` spans to a peer that wants addresses of `subnet`: the largest aligned block,
 * the last of its size, of at most half of what is free there but at least one address. Never only the first or
 * last address of the subnet, which would not help. Undefined = nothing to give.
 */
export function donationPiece(free: readonly Span[], subnet: Span): Span | undefined {
  const there = clipSpans(free, subnet);
  const half = Math.floor(spanSize(there) / 2);
  for (let size = largestPowerOfTwo(half); size >= 2; size /= 2) {
    const block = lastBlock(there, size);
    if (block !== undefined) return block;
  }
  return lastBlock(clipSpans(free, usableOf(subnet)), 1);
}

function lastBlock(spans: readonly Span[], size: number): Span | undefined {
  for (const span of spans.toReversed()) {
    const block = lastAlignedBlock(span, size);
    if (block !== undefined) return block;
  }
  return undefined;
}

/** The largest power of two that is not above `n`; 0 for n below 1. */
function largestPowerOfTwo(n: number): number {
  return n < 1 ? 0 : 2 ** Math.floor(Math.log2(n));
}
