import { asInteger, asList, SchemaViolation } from './closed-schema.ts';
import type { Span } from './range.ts';
import { MAX_RANGE_BITS } from './range.ts';

/** More than one host hands out in separate pieces; what is beyond becomes one span with all that lies between. */
export const MAX_SPANS = 2_048;

/** [gap since the end before, length, gap, length, ...]: small numbers, however large the range. */
export function packSpans(spans: readonly Span[]): number[] {
  const out: number[] = [];
  let previous = 0;
  for (const { start, end } of boundedSpans(spans)) {
    out.push(start - previous, end - start);
    previous = end;
  }
  return out;
}

/** Throws {@link SchemaViolation}. */
export function readSpans(value: unknown, what: string): Span[] {
  const numbers = asList(value, what);
  if (numbers.length % 2 !== 0 || numbers.length > 2 * MAX_SPANS) {
    throw new SchemaViolation(`${what} of a wrong number`);
  }
  const spans: Span[] = [];
  let previous = 0;
  for (let at = 0; at < numbers.length; at += 2) {
    const start = previous + asInteger(numbers[at], at === 0 ? 0 : 1, 2 ** MAX_RANGE_BITS, what);
    const end = start + asInteger(numbers[at + 1], 1, 2 ** MAX_RANGE_BITS, what);
    if (end > 2 ** MAX_RANGE_BITS) throw new SchemaViolation(`${what} beyond every range`);
    spans.push({ start, end });
    previous = end;
  }
  return spans;
}

/** At most {@link MAX_SPANS} spans that cover at least `spans`: to withhold too much harms nobody. */
export function boundedSpans(spans: readonly Span[]): readonly Span[] {
  if (spans.length <= MAX_SPANS) return spans;
  const kept = spans.slice(0, MAX_SPANS - 1);
  return [...kept, { start: spans[MAX_SPANS - 1]!.start, end: spans.at(-1)!.end }];
}
