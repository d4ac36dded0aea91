import { BucketDigest, bucketOf } from '../core/bucket-digest.ts';
import type { PeerName } from '../core/peer-name.ts';
import type { Millis } from '../core/time.ts';
import { MINUTE } from '../core/time.ts';
import type { ChannelDigest } from '../gossip/channel.ts';
import type { Entry, HintEntry, MemberEntry, RingEntry, VoterEntry } from './entries.ts';
import { joinMembers } from './entries.ts';
import { hintKey, memberKey, ownerKey, ringKey, voterKey } from './entry-keys.ts';
import { ABSENT_USER } from './foreign-users.ts';
import type { Ring } from './ring.ts';
import { MAX_SEGMENTS, mergeRings, newsIn } from './ring.ts';

/** Rings of other clusters that are kept in order to pass them on. The lowest ids stay, so all peers keep the same. */
const MAX_RINGS = 8;
const MAX_HINTS = 10_000;
const MAX_VOTERS = 10_000;
const MAX_MEMBERS = 10_000;

/** What a peer said is kept for this long after it was last known. */
const ABSENCE: Millis = 1 * MINUTE;

/**
 * What this node lets others see of the ipam channel, and what it has seen of others: every ring, hint and vote,
 * merged. Nothing of this node's own gets in before it is durable.
 */
export class SharedState {
  readonly #rings = new Map<string, RingEntry>();
  readonly #hints = new Map<PeerName, HintEntry>();
  readonly #voters = new Map<string, VoterEntry>();
  readonly #members = new Map<string, MemberEntry>();
  /** Keys of those that have conflicts. */
  readonly #conflicted = new Set<string>();
  /** Voters in order; undefined after a change. */
  #sortedVoters: readonly VoterEntry[] | undefined;
  /** The ring that is never dropped for want of room. */
  #home: string | undefined;
  readonly #digest = new BucketDigest();
  /** What the digest holds of each ring: keys of segments, and their values as text. */
  readonly #digested = new Map<string, Map<string, string>>();
  /** Rings that the digest is behind on. */
  readonly #changedRings = new Set<string>();
  /** By name, or by the key of a member. */
  readonly #absentSince = new Map<string, Millis>();
  #refused = 0;

  /** Merges `entries` and returns what was new in them. */
  merge(entries: readonly Entry[]): Entry[] {
    return entries.flatMap((entry) => this.#mergeEntry(entry));
  }

  /** How many parts of rings were not merged, as the whole would have more than {@link MAX_SEGMENTS} pieces. */
  get refused(): number {
    return this.#refused;
  }

  /** Marks the ring of the cluster that this node belongs to. */
  setHome(clusterId: string, range: string): void {
    this.#home = ringKey(clusterId, range);
  }

  /** The cluster is of no interest any more; whoever still has the ring brings it back. */
  forgetRing(clusterId: string, range: string): void {
    const key = ringKey(clusterId, range);
    if (this.#home === key) this.#home = undefined;
    this.#dropRing(key);
  }

  ring(clusterId: string, range: string): Ring {
    return this.#rings.get(ringKey(clusterId, range))?.ring ?? [];
  }

  /** Ascending by cluster id. */
  rings(): RingEntry[] {
    return sorted(this.#rings).map(([, entry]) => entry);
  }

  hint(name: PeerName): HintEntry | undefined {
    return this.#hints.get(name);
  }

  /** Ascending by name, then generation. */
  voters(): readonly VoterEntry[] {
    this.#sortedVoters ??= sorted(this.#voters).map(([, entry]) => entry);
    return this.#sortedVoters;
  }

  /** In no particular order. */
  members(): IterableIterator<MemberEntry> {
    return this.#members.values();
  }

  /** Members with conflicts, in no particular order: usually none. */
  conflicted(): MemberEntry[] {
    return [...this.#conflicted].map((key) => this.#members.get(key)!);
  }

  /** Votes are of no use once there is a ring. */
  forgetVoters(): void {
    for (const key of this.#voters.keys()) this.#digest.delete(key);
    this.#voters.clear();
    this.#sortedVoters = undefined;
  }

  /**
   * Drops hints and votes of peers that are not in `known` (names with their generations) and have not been for a
   * while: they may arrive before the topology tells of their writer. Returns the members that were dropped: those that
   * are not known in that generation, own nothing of any ring, and have no conflicts that others have to heed.
   */
  retainPeers(known: ReadonlyMap<PeerName, string>, now: Millis): MemberEntry[] {
    this.#retainNames(known, now);
    return this.#retainMembers(known, now);
  }

  #retainNames(known: ReadonlyMap<PeerName, string>, now: Millis): void {
    const names = new Set([...this.#hints.keys(), ...this.voters().map(({ name }) => name)]);
    for (const name of names) {
      const since = known.has(name) ? undefined : (this.#absentSince.get(name) ?? now);
      if (since === undefined) this.#absentSince.delete(name);
      else if (now < since + ABSENCE) this.#absentSince.set(name, since);
      else this.#forgetPeer(name);
    }
  }

  #retainMembers(known: ReadonlyMap<PeerName, string>, now: Millis): MemberEntry[] {
    const dropped: MemberEntry[] = [];
    let owners: ReadonlySet<string> | undefined;
    for (const [key, entry] of this.#members) {
      if (known.get(entry.name) === entry.generation) {
        this.#absentSince.delete(key);
        continue;
      }
      owners ??= this.#owners();
      const since = this.#absentSince.get(key) ?? now;
      this.#absentSince.set(key, since);
      const kept = entry.conflicts.length > 0 ? ABSENT_USER : ABSENCE;
      if (owners.has(key) || now < since + kept) continue;
      this.#absentSince.delete(key);
      this.#members.delete(key);
      this.#conflicted.delete(key);
      this.#digest.delete(key);
      dropped.push(entry);
    }
    return dropped;
  }

  /** Keys of the members that own something. */
  #owners(): Set<string> {
    const keys = new Set<string>();
    for (const { ring } of this.#rings.values()) for (const segment of ring) keys.add(ownerKey(segment));
    return keys;
  }

  digest(): ChannelDigest {
    for (const key of this.#changedRings) this.#digestRing(key);
    this.#changedRings.clear();
    return this.#digest.digest();
  }

  /** The entries of the buckets whose bit is set in `buckets`. */
  entriesOf(buckets: number): Entry[] {
    const wanted = (key: string): boolean => (buckets & (1 << bucketOf(key))) !== 0;
    const out: Entry[] = [];
    for (const entry of this.rings()) {
      const ring = entry.ring.filter((segment) => wanted(segmentKey(entry, segment.start)));
      if (ring.length > 0) out.push({ ...entry, ring });
    }
    for (const [name, entry] of sorted(this.#hints)) if (wanted(hintKey(name))) out.push(entry);
    for (const [key, entry] of sorted(this.#voters)) if (wanted(key)) out.push(entry);
    for (const [key, entry] of sorted(this.#members)) if (wanted(key)) out.push(entry);
    return out;
  }

  #mergeEntry(entry: Entry): Entry[] {
    switch (entry.type) {
      case 'ring':
        return this.#mergeRing(entry);
      case 'hint':
        return this.#mergeVersioned(this.#hints, entry.name, entry, MAX_HINTS, hintKey(entry.name));
      case 'voter': {
        const key = voterKey(entry);
        return this.#mergeVersioned(this.#voters, key, entry, MAX_VOTERS, key);
      }
      case 'member':
        return this.#mergeMember(entry);
    }
  }

  #mergeVersioned<Key, E extends HintEntry | VoterEntry>(
    into: Map<Key, E>,
    at: Key,
    entry: E,
    limit: number,
    key: string,
  ): Entry[] {
    const before = into.get(at);
    if (before === undefined ? into.size >= limit : before.version >= entry.version) return [];
    into.set(at, entry);
    this.#sortedVoters = undefined;
    this.#digest.set(key, `${entry.version}`);
    return [entry];
  }

  #mergeMember(said: MemberEntry): Entry[] {
    const key = memberKey(said);
    const before = this.#members.get(key);
    if (before === undefined && this.#members.size >= MAX_MEMBERS) return [];
    const entry = before === undefined ? said : joinMembers(before, said);
    if (entry === before) return [];
    // What it says only now is heeded as long as that of one who has just left.
    this.#absentSince.delete(key);
    this.#members.set(key, entry);
    if (entry.conflicts.length === 0) this.#conflicted.delete(key);
    else this.#conflicted.add(key);
    this.#digest.set(key, `${entry.life},${entry.version},${entry.run}`);
    return [entry];
  }

  #mergeRing(entry: RingEntry): Entry[] {
    const key = ringKey(entry.clusterId, entry.range.text);
    const before = this.#rings.get(key)?.ring ?? [];
    const news = newsIn(before, entry.ring);
    if (news.length === 0) return [];
    const ring = mergeRings(before, news);
    if (ring.length > MAX_SEGMENTS) {
      this.#refused++;
      return [];
    }
    this.#rings.set(key, { ...entry, ring });
    this.#changedRings.add(key);
    if (this.#rings.size > MAX_RINGS) {
      const highest = [...this.#rings.keys()].sort().findLast((candidate) => candidate !== this.#home);
      if (highest !== undefined) this.#dropRing(highest);
      if (highest === key) return [];
    }
    return [{ ...entry, ring: news }];
  }

  #dropRing(key: string): void {
    this.#rings.delete(key);
    this.#changedRings.add(key);
  }

  #forgetPeer(name: PeerName): void {
    this.#absentSince.delete(name);
    if (this.#hints.delete(name)) this.#digest.delete(hintKey(name));
    for (const [key, voter] of [...this.#voters]) {
      if (voter.name !== name) continue;
      this.#voters.delete(key);
      this.#sortedVoters = undefined;
      this.#digest.delete(key);
    }
  }

  /** Most of a ring stays as it is when a part of it changes. */
  #digestRing(key: string): void {
    const before = this.#digested.get(key) ?? new Map<string, string>();
    const after = digestedPairs(this.#rings.get(key));
    for (const segment of before.keys()) if (!after.has(segment)) this.#digest.delete(segment);
    for (const [segment, value] of after) {
      if (before.get(segment) !== value) this.#digest.set(segment, value);
    }
    if (after.size === 0) this.#digested.delete(key);
    else this.#digested.set(key, after);
  }
}

function digestedPairs(entry: RingEntry | undefined): Map<string, string> {
  const pairs = new Map<string, string>();
  for (const s of entry?.ring ?? []) {
    pairs.set(segmentKey(entry!, s.start), `${s.end},${s.epoch},${s.version},${s.owner},${s.generation}`);
  }
  return pairs;
}

function segmentKey(entry: RingEntry, start: number): string {
  return `ring ${ringKey(entry.clusterId, entry.range.text)} ${start}`;
}

function sorted<Key extends string, Value>(map: ReadonlyMap<Key, Value>): [Key, Value][] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1));
}
