import type { Cidr, IpAddress } from '../core/address.ts';
import type { PeerName } from '../core/peer-name.ts';
import type { Millis } from '../core/time.ts';
import type { Allocation } from './allocations.ts';
import { Allocations } from './allocations.ts';
import type { CommitQueue } from './commit-queue.ts';
import { encodeEntries } from './delta-codec.ts';
import type { Deferred } from './effects.ts';
import type { Owner, RingEntry } from './entries.ts';
import { donationPiece, lowestFree } from './free-space.ts';
import type { AddressRange, Span } from './range.ts';
import { clipSpans, spanSize, withoutAddresses } from './range.ts';
import type { Ring, RingValue } from './ring.ts';
import {
  adoptUngenerated,
  handOver,
  mergeRings,
  newsIn,
  NO_GENERATION,
  spansWhere,
  valueAt,
} from './ring.ts';
import { RING_KEY } from './stored-state.ts';

/**
 * What this peer decides upon: the ring of its cluster with its own writes of this moment, and what it has handed
 * out. Every change is queued for the store; own writes on the ring are shown to others once they are durable.
 */
export class Holdings {
  readonly range: AddressRange;
  readonly allocations: Allocations;
  readonly self: Owner;
  readonly #queue: CommitQueue<Deferred>;
  #clusterId: string | undefined;
  #ring: Ring = [];
  #ownSpans: readonly Span[] = [];

  constructor(
    range: AddressRange,
    self: Owner,
    allocations: readonly Allocation[],
    queue: CommitQueue<Deferred>,
  ) {
    this.range = range;
    this.allocations = new Allocations(range, allocations);
    this.self = self;
    this.#queue = queue;
  }

  /** Undefined while there is no ring. */
  get clusterId(): string | undefined {
    return this.#clusterId;
  }

  get ring(): Ring {
    return this.#ring;
  }

  /** Joins a cluster, for good. */
  enter(clusterId: string): void {
    this.#clusterId = clusterId;
  }

  /** Merges what others, or this peer before, wrote. Returns whether it brought anything new. */
  merge(delta: Ring): boolean {
    const news = newsIn(this.#ring, delta);
    if (news.length === 0) return false;
    this.#ring = mergeRings(this.#ring, news);
    this.#ownSpans = spansWhere(this.#ring, (value) => this.#isMine(value));
    this.#queue.write(RING_KEY, () => encodeEntries([this.#entry(this.#ring)]));
    return true;
  }

  /** Hands the lowest free address of `subnet` to `id`; one that rests only if no other is left. */
  take(id: string, subnet: Cidr, now: Millis): Cidr | undefined {
    const span = this.range.spanOf(subnet);
    if (span === undefined) return undefined;
    const held = (offset: number): boolean => this.allocations.holderOf(offset) !== undefined;
    const rested = (offset: number): boolean => held(offset) || this.allocations.isResting(offset, now);
    const offset = lowestFree(this.#ownSpans, span, rested) ?? lowestFree(this.#ownSpans, span, held);
    if (offset === undefined) return undefined;
    const cidr = { ip: this.range.ipAt(offset), prefix: subnet.prefix };
    this.mark(id, cidr);
    return cidr;
  }

  /** Records that `id` holds this address, which is this peer's own or outside the range. */
  mark(id: string, cidr: Cidr): void {
    if (this.range.offsetOf(cidr.ip) !== undefined) this.#adoptSpace();
    const change = this.allocations.add(id, cidr);
    this.#queue.write(change.key, () => change.value);
  }

  release(id: string, address: IpAddress | undefined, now: Millis): boolean {
    const change = this.allocations.remove(id, address, now);
    if (change !== undefined) this.#queue.write(change.key, () => change.value);
    return change !== undefined;
  }

  owns(offset: number): boolean {
    const value = valueAt(this.#ring, offset);
    return value !== undefined && this.#isMine(value);
  }

  ownerOf(offset: number): RingValue | undefined {
    return valueAt(this.#ring, offset);
  }

  /** What this peer may give of `span`: a free piece that does not rest, else one that does. */
  pieceFor(span: Span, now: Millis): Span | undefined {
    return donationPiece(this.#free(true, now), span) ?? donationPiece(this.#free(false, now), span);
  }

  /** Writes the grant of `piece` to `to`: durable before it is shown. Returns the part of the ring that says so. */
  donate(piece: Span, to: Owner): RingEntry {
    this.#adoptSpace();
    return this.#write(handOver(this.#ring, piece, to));
  }

  /** Free addresses of this peer. */
  freeCount(now: Millis): number {
    return spanSize(this.#free(false, now));
  }

  /** Per owner that has some of `within`: how many addresses. Generations other than `generationOf` says are left out. */
  sizesWithin(within: Span, generationOf: (name: PeerName) => string | undefined): Map<PeerName, number> {
    const sizes = new Map<PeerName, number>();
    for (const segment of this.#ring) {
      const current =
        segment.generation === NO_GENERATION || segment.generation === generationOf(segment.owner);
      const size = spanSize(clipSpans([segment], within));
      if (current && size > 0) sizes.set(segment.owner, (sizes.get(segment.owner) ?? 0) + size);
    }
    return sizes;
  }

  /** Addresses of others that none of `reachable`, names with their generations, serves. */
  unservedSize(reachable: ReadonlyMap<PeerName, string>): number {
    const unserved = this.#ring.filter((segment) => {
      if (this.#isMine(segment)) return false;
      const current = reachable.get(segment.owner);
      return (
        current === undefined || (segment.generation !== NO_GENERATION && segment.generation !== current)
      );
    });
    return spanSize(unserved);
  }

  /** Addresses handed out here that the ring says are not this peer's. Empty while there is no ring. */
  lost(): IpAddress[] {
    if (this.#clusterId === undefined) return [];
    return this.allocations.unavailable(false, 0).flatMap((offset) => {
      return this.owns(offset) ? [] : [this.range.ipAt(offset)];
    });
  }

  #free(sparing: boolean, now: Millis): Span[] {
    return withoutAddresses(this.#ownSpans, this.allocations.unavailable(sparing, now));
  }

  #isMine(value: RingValue): boolean {
    if (value.owner !== this.self.owner) return false;
    return value.generation === this.self.generation || value.generation === NO_GENERATION;
  }

  /** The first write of a peer puts its generation to what it was given by name. */
  #adoptSpace(): void {
    const delta = adoptUngenerated(this.#ring, this.self.owner, this.self.generation);
    if (delta.length > 0) this.#write(delta);
  }

  #write(delta: Ring): RingEntry {
    this.merge(delta);
    const entry = this.#entry(delta);
    this.#queue.defer({ type: 'show', entry });
    return entry;
  }

  #entry(ring: Ring): RingEntry {
    return { type: 'ring', clusterId: this.#clusterId!, range: this.range, ring };
  }
}
