import type { PeerName } from '../core/peer-name.ts';
import { compareNames } from '../core/peer-name.ts';
import type { Span } from './range.ts';

/**
 * What the ring says of one address: a function address -> value, merged pointwise by the maximum of
 * (epoch, version, owner, generation). That makes merging commutative, associative and idempotent.
 * Only the owner, meaning this name with this generation, changes a value at its epoch.
 */
export interface RingValue {
  /** Raised by a take-over, which voids whatever the owner before it still writes. */
  readonly epoch: number;
  readonly version: number;
  readonly owner: PeerName;
  /** 16 hexadecimal digits: the life of the owner's state directory. */
  readonly generation: string;
}

/** Addresses that have one value. */
export interface Segment extends Span, RingValue {}

/** Run-length encoded: sorted, disjoint, neighbours with equal values joined. Addresses in none have no owner yet. */
export type Ring = readonly Segment[];

/** What entries carry that were made for a peer by its name alone; it puts its own generation there by its first write. */
export const NO_GENERATION = '0000000000000000';

/** More pieces than any network needs; bounds what a hostile delta costs and keeps a ring within one message. */
export const MAX_SEGMENTS = 65_536;

/** Leave room for every raise that honest peers will ever do. */
export const MAX_VERSION = 2 ** 48;
export const MAX_EPOCH = 2 ** 32;

/** The order that decides which of two values of one address stays. */
export function compareValues(a: RingValue, b: RingValue): number {
  if (a.epoch !== b.epoch) return a.epoch - b.epoch;
  if (a.version !== b.version) return a.version - b.version;
  return compareNames(a.owner, b.owner) || compareNames(a.generation, b.generation);
}

/** The pointwise maximum. */
export function mergeRings(a: Ring, b: Ring): Ring {
  const out: Segment[] = [];
  sweep(a, b, (span, left, right) => {
    if (left === undefined) append(out, span, right);
    else append(out, span, right !== undefined && compareValues(right, left) > 0 ? right : left);
  });
  return out;
}

/** The parts of `delta` that merging it into `ring` would bring in. */
export function newsIn(ring: Ring, delta: Ring): Ring {
  const out: Segment[] = [];
  sweep(ring, delta, (span, left, right) => {
    if (right !== undefined && (left === undefined || compareValues(right, left) > 0))
      append(out, span, right);
  });
  return out;
}

/** A delta that hands `piece` to `to`: each segment of it is split, which raises the version of all its parts. */
export function handOver(ring: Ring, piece: Span, to: Pick<RingValue, 'owner' | 'generation'>): Ring {
  const out: Segment[] = [];
  for (const segment of overlapping(ring, piece)) {
    const kept = { ...segment, version: segment.version + 1 };
    const given = { ...kept, owner: to.owner, generation: to.generation };
    const start = Math.max(segment.start, piece.start);
    const end = Math.min(segment.end, piece.end);
    if (segment.start < start) append(out, { start: segment.start, end: start }, kept);
    append(out, { start, end }, given);
    if (end < segment.end) append(out, { start: end, end: segment.end }, kept);
  }
  return out;
}

/**
 * A delta by which `to` takes over every segment that `accept` says: the epoch rises, which voids whatever its owner
 * still writes. Of two that do so at once the pointwise maximum keeps one, so each address ends with one owner.
 */
export function takeOver(
  ring: Ring,
  accept: (value: RingValue) => boolean,
  { owner, generation }: Pick<RingValue, 'owner' | 'generation'>,
): Ring {
  const taken = ring.filter((segment) => segment.epoch < MAX_EPOCH && accept(segment));
  return canonical(
    taken.map(({ start, end, epoch }) => ({ start, end, epoch: epoch + 1, version: 1, owner, generation })),
  );
}

/** A delta that hands everything that `accept` says to `to`. */
export function handOverAll(
  ring: Ring,
  accept: (value: RingValue) => boolean,
  { owner, generation }: Pick<RingValue, 'owner' | 'generation'>,
): Ring {
  const given = ring.filter((segment) => accept(segment));
  return canonical(given.map((segment) => ({ ...segment, version: segment.version + 1, owner, generation })));
}

/** A delta that puts `generation` to what `owner` was given by its name alone. */
export function adoptUngenerated(ring: Ring, owner: PeerName, generation: string): Ring {
  return ring
    .filter((segment) => segment.owner === owner && segment.generation === NO_GENERATION)
    .map((segment) => ({ ...segment, version: segment.version + 1, generation }));
}

export function valueAt(ring: Ring, offset: number): Segment | undefined {
  const segment = ring[firstEndingAfter(ring, offset)];
  return segment !== undefined && segment.start <= offset ? segment : undefined;
}

/** The segments that have some of `span`. */
export function overlapping(ring: Ring, span: Span): Ring {
  const first = firstEndingAfter(ring, span.start);
  let end = first;
  while (end < ring.length && ring[end]!.start < span.end) end++;
  return ring.slice(first, end);
}

/** The index of the first segment that ends above `offset`. */
function firstEndingAfter(ring: Ring, offset: number): number {
  let low = 0;
  let high = ring.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (ring[middle]!.end <= offset) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The spans whose value satisfies `accept`, neighbours joined. */
export function spansWhere(ring: Ring, accept: (value: RingValue) => boolean): Span[] {
  const out: { start: number; end: number }[] = [];
  for (const segment of ring) {
    if (!accept(segment)) continue;
    const last = out.at(-1);
    if (last !== undefined && last.end === segment.start) last.end = segment.end;
    else out.push({ start: segment.start, end: segment.end });
  }
  return out;
}

/** Shares `size` addresses (a power of two) among `owners` by halving, so that each share is one aligned block. */
export function initialRing(size: number, owners: readonly Pick<RingValue, 'owner' | 'generation'>[]): Ring {
  const out: Segment[] = [];
  const share = (start: number, end: number, first: number, last: number): void => {
    const owner = owners[first];
    if (owner === undefined) return;
    if (last - first === 1 || end - start === 1) {
      append(out, { start, end }, { epoch: 0, version: 1, owner: owner.owner, generation: owner.generation });
      return;
    }
    const middle = first + Math.ceil((last - first) / 2);
    const centre = start + (end - start) / 2;
    share(start, centre, first, middle);
    share(centre, end, middle, last);
  };
  share(0, size, 0, owners.length);
  return out;
}

/** Does every address of a range with `size` addresses have an owner? */
export function isComplete(ring: Ring, size: number): boolean {
  return ring.reduce((sum, segment) => sum + segment.end - segment.start, 0) === size;
}

/** What is wrong with segments that came from outside; undefined if they are a ring of a range with `size` addresses. */
export function ringProblem(segments: readonly Segment[], size: number): string | undefined {
  if (segments.length > MAX_SEGMENTS) return 'too many segments';
  let previous = 0;
  for (const segment of segments) {
    if (segment.start >= segment.end) return 'an empty segment';
    if (segment.start < previous) return 'segments out of order or overlapping';
    if (segment.end > size) return 'a segment outside the range';
    previous = segment.end;
  }
  return undefined;
}

/** Equal neighbours joined, as all operations here leave a ring. */
export function canonical(segments: readonly Segment[]): Ring {
  const out: Segment[] = [];
  for (const segment of segments) append(out, segment, segment);
  return out;
}

function append(out: Segment[], span: Span, value: RingValue | undefined): void {
  if (value === undefined) return;
  const last = out.at(-1);
  if (last !== undefined && last.end === span.start && compareValues(last, value) === 0) {
    out[out.length - 1] = { ...last, end: span.end };
    return;
  }
  const { epoch, version, owner, generation } = value;
  out.push({ start: span.start, end: span.end, epoch, version, owner, generation });
}

/** Visits, in order, the spans over which neither ring changes; either side may have no value there. */
function sweep(
  a: Ring,
  b: Ring,
  visit: (span: Span, left: Segment | undefined, right: Segment | undefined) => void,
): void {
  const left = new Cursor(a);
  const right = new Cursor(b);
  let start = Math.min(left.nextEdge(-1), right.nextEdge(-1));
  while (start < Infinity) {
    const end = Math.min(left.nextEdge(start), right.nextEdge(start));
    const [inLeft, inRight] = [left.at(start), right.at(start)];
    if (inLeft !== undefined || inRight !== undefined) visit({ start, end }, inLeft, inRight);
    start = end;
  }
}

/** Walks along a ring; what it is asked for never goes back. */
class Cursor {
  readonly #ring: Ring;
  #index = 0;

  constructor(ring: Ring) {
    this.#ring = ring;
  }

  /** The first offset above `offset` at which a segment begins or ends; Infinity after the last. */
  nextEdge(offset: number): number {
    const segment = this.#skipTo(offset);
    if (segment === undefined) return Infinity;
    return segment.start > offset ? segment.start : segment.end;
  }

  at(offset: number): Segment | undefined {
    const segment = this.#skipTo(offset);
    return segment !== undefined && segment.start <= offset ? segment : undefined;
  }

  #skipTo(offset: number): Segment | undefined {
    while (this.#index < this.#ring.length && this.#ring[this.#index]!.end <= offset) this.#index++;
    return this.#ring[this.#index];
  }
}
