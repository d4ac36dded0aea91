import type { Cidr, IpAddress } from '../core/address.ts';
import type { PeerName } from '../core/peer-name.ts';
import type { Millis } from '../core/time.ts';
import type { Allocation } from './allocations.ts';
import { Allocations } from './allocations.ts';
import type { CommitQueue } from './commit-queue.ts';
import { encodeEntries } from './delta-codec.ts';
import type { Deferred } from './effects.ts';
import type { Owner, RingEntry } from './entries.ts';
import { FreeAddresses } from './free-addresses.ts';
import { donationPiece } from './free-space.ts';
import type { AddressRange, Span } from './range.ts';
import { sameSpans, spansHave, spanSize, withoutAddresses, withoutSpans } from './range.ts';
import type { Ring, RingValue } from './ring.ts';
import {
  adoptUngenerated,
  handOver,
  handOverAll,
  isComplete,
  mergeRings,
  newsIn,
  NO_GENERATION,
  overlapping,
  spansWhere,
  takeOver,
  valueAt,
} from './ring.ts';
import { RING_KEY } from './stored-state.ts';

interface Standing {
  /** Every address has an owner. */
  readonly isComplete: boolean;
  /** This peer's name owns something under another generation. */
  readonly hasFormerSelf: boolean;
  /** It owns something by its name alone. */
  readonly isUngenerated: boolean;
}

/**
 * What this peer decides upon: the ring of its cluster with its own writes of this moment, and what it has handed
 * out. Every change is queued for the store; own writes on the ring are shown to others once they are durable.
 */
export class Holdings {
  readonly range: AddressRange;
  readonly allocations: Allocations;
  readonly #queue: CommitQueue<Deferred>;
  #self: Owner;
  #clusterId: string | undefined;
  #ring: Ring = [];
  #ownSpans: readonly Span[] = [];
  /** Own addresses that must not be given out: in quarantine, or in use by another peer. */
  #blocked: readonly Span[] = [];
  /** Which of the own spans without them are free. */
  readonly #free: FreeAddresses;
  #revision = 0;
  #standing: Standing | undefined;
  /** Handed out here and not owned; undefined after a change. */
  #lost: readonly number[] | undefined;

  constructor(
    range: AddressRange,
    self: Owner,
    allocations: readonly Allocation[],
    queue: CommitQueue<Deferred>,
  ) {
    this.range = range;
    this.allocations = new Allocations(range, allocations);
    this.#free = new FreeAddresses(this.allocations);
    this.#self = self;
    this.#queue = queue;
  }

  get self(): Owner {
    return this.#self;
  }

  /** Undefined while there is no ring. */
  get clusterId(): string | undefined {
    return this.#clusterId;
  }

  get ring(): Ring {
    return this.#ring;
  }

  /** Sorted and disjoint. */
  get ownSpans(): readonly Span[] {
    return this.#ownSpans;
  }

  /** Another one whenever a request that could not be met before might be: what is own, blocked or handed out changed. */
  get revision(): number {
    return this.#revision;
  }

  /** What the ring is like at the moment. */
  get standing(): Standing {
    this.#standing ??= {
      isComplete: isComplete(this.#ring, this.range.size),
      hasFormerSelf: this.#ring.some((value) => value.owner === this.#self.owner && !this.isMine(value)),
      isUngenerated: adoptUngenerated(this.#ring, this.#self.owner, this.#self.generation).length > 0,
    };
    return this.#standing;
  }

  /** Joins a cluster. */
  enter(clusterId: string): void {
    this.#clusterId = clusterId;
    this.#lost = undefined;
    this.#revision++;
  }

  /** Leaves the cluster, if any, and its ring; whoever comes back does so as `generation`. */
  leave(generation: string): void {
    this.#clusterId = undefined;
    this.#lost = undefined;
    this.#ring = [];
    this.#queue.write(RING_KEY, () => undefined);
    this.become(generation);
  }

  /** Goes on under another generation: what the one before owns is no longer this peer's. */
  become(generation: string): void {
    this.#self = { ...this.#self, generation };
    this.#onRing();
  }

  /** Merges what others, or this peer before, wrote. Returns whether it brought anything new. */
  merge(delta: Ring): boolean {
    const news = newsIn(this.#ring, delta);
    if (news.length === 0) return false;
    this.#ring = mergeRings(this.#ring, news);
    this.#onRing();
    this.#queue.write(RING_KEY, () => encodeEntries([this.#entry(this.#ring)]));
    return true;
  }

  /** Hands the lowest free address of `subnet` to `id`; one that rests only if no other is left. */
  take(id: string, subnet: Cidr, now: Millis): Cidr | undefined {
    const span = this.range.spanOf(subnet);
    if (span === undefined) return undefined;
    const offset = this.#free.lowest(span, now);
    if (offset === undefined) return undefined;
    const cidr = { ip: this.range.ipAt(offset), prefix: subnet.prefix };
    this.mark(id, cidr);
    return cidr;
  }

  /** Records that `id` holds this address, which is this peer's own or outside the range. */
  mark(id: string, cidr: Cidr): void {
    const offset = this.range.offsetOf(cidr.ip);
    if (offset !== undefined) {
      this.#adoptSpace();
      if (this.allocations.holderOf(offset) === undefined) this.#free.onTaken(offset);
      if (!this.owns(offset)) this.#lost = undefined;
    }
    const change = this.allocations.add(id, cidr);
    this.#revision++;
    this.#queue.write(change.key, () => change.value);
  }

  release(id: string, address: IpAddress | undefined, now: Millis): boolean {
    const change = this.allocations.remove(id, address, now);
    if (change === undefined) return false;
    for (const offset of change.released) this.#free.onReleased(offset);
    if (this.#lost?.length !== 0) this.#lost = undefined;
    this.#revision++;
    this.#queue.write(change.key, () => change.value);
    return true;
  }

  owns(offset: number): boolean {
    const value = valueAt(this.#ring, offset);
    return value !== undefined && this.isMine(value);
  }

  /** Sets which addresses must not be given out although they are this peer's; sorted and disjoint. */
  block(spans: readonly Span[]): void {
    if (spans === this.#blocked) return;
    this.#blocked = spans;
    this.#onUsable();
  }

  isBlocked(offset: number): boolean {
    return spansHave(this.#blocked, offset);
  }

  ownerOf(offset: number): RingValue | undefined {
    return valueAt(this.#ring, offset);
  }

  /** What this peer may give of `span`: a free piece that does not rest, else one that does. */
  pieceFor(span: Span, now: Millis): Span | undefined {
    return (
      donationPiece(this.#freeSpans(true, now), span) ?? donationPiece(this.#freeSpans(false, now), span)
    );
  }

  /** Writes the grant of `pieces` to `to`: durable before it is shown. Returns the part of the ring that says so. */
  donate(pieces: readonly Span[], to: Owner): RingEntry {
    this.#adoptSpace();
    let after = this.#ring;
    for (const piece of pieces) after = mergeRings(after, handOver(after, piece, to));
    return this.#write(newsIn(this.#ring, after));
  }

  /** Takes over what `accept` says, and returns what that writes: a part of the ring, which may be empty. */
  takeOver(accept: (value: RingValue) => boolean): Ring {
    const delta = takeOver(this.#ring, accept, this.#self);
    if (delta.length > 0) this.#write(delta);
    return delta;
  }

  /** Hands all that this peer owns to `to`, and returns what that writes. */
  bequeath(to: Owner): Ring {
    const delta = handOverAll(this.#ring, (value) => this.isMine(value), to);
    if (delta.length > 0) this.#write(delta);
    return delta;
  }

  /** Free addresses of this peer. */
  get freeCount(): number {
    return this.#free.count;
  }

  /** Per owner that has some of `within`: what of it, in order. Generations other than `generationOf` says are left out. */
  ownersWithin(within: Span, generationOf: (name: PeerName) => string | undefined): Map<PeerName, Span[]> {
    const owners = new Map<PeerName, Span[]>();
    for (const { start, end, owner, generation } of overlapping(this.#ring, within)) {
      if (generation !== NO_GENERATION && generation !== generationOf(owner)) continue;
      const span = { start: Math.max(start, within.start), end: Math.min(end, within.end) };
      const before = owners.get(owner);
      if (before === undefined) owners.set(owner, [span]);
      else before.push(span);
    }
    return owners;
  }

  /** Addresses of others that none of `reachable`, names with their generations, serves. */
  unservedSize(reachable: ReadonlyMap<PeerName, string>): number {
    const unserved = this.#ring.filter((segment) => {
      if (this.isMine(segment)) return false;
      const current = reachable.get(segment.owner);
      return (
        current === undefined || (segment.generation !== NO_GENERATION && segment.generation !== current)
      );
    });
    return spanSize(unserved);
  }

  /**
   * Addresses handed out here that the ring says are not this peer's, ascending; empty while there is no ring. It
   * follows from the present state alone: a crash cannot swallow it, and it clears itself.
   */
  lost(): readonly number[] {
    this.#lost ??= this.#clusterId === undefined ? [] : this.allocations.outside(this.#ownSpans);
    return this.#lost;
  }

  #onRing(): void {
    this.#standing = undefined;
    const own = spansWhere(this.#ring, (value) => this.isMine(value));
    // Most changes are about what others own.
    if (sameSpans(own, this.#ownSpans)) return;
    this.#ownSpans = own;
    this.#lost = undefined;
    this.#onUsable();
  }

  #onUsable(): void {
    this.#free.use(withoutSpans(this.#ownSpans, this.#blocked));
    this.#revision++;
  }

  #freeSpans(sparing: boolean, now: Millis): Span[] {
    return withoutAddresses(this.#free.usable, this.allocations.unavailable(sparing, now));
  }

  isMine(value: RingValue): boolean {
    if (value.owner !== this.#self.owner) return false;
    return value.generation === this.#self.generation || value.generation === NO_GENERATION;
  }

  /** The first write of a peer puts its generation to what it was given by name. */
  #adoptSpace(): void {
    if (!this.standing.isUngenerated) return;
    this.#write(adoptUngenerated(this.#ring, this.#self.owner, this.#self.generation));
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
