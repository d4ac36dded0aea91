import { sha512 } from '@noble/hashes/sha2.js';
import { concatBytes, utf8 } from '../core/bytes.ts';
import type { PeerName } from '../core/peer-name.ts';
import type { Millis } from '../core/time.ts';
import { MINUTE } from '../core/time.ts';
import type { ChannelDigest } from '../gossip/channel.ts';
import type { Entry, HintEntry, RingEntry, VoterEntry } from './entries.ts';
import type { Ring } from './ring.ts';
import { MAX_SEGMENTS, mergeRings, newsIn } from './ring.ts';

const BUCKETS = 16;
const HASH_BYTES = 8;

/** Rings of other clusters that are kept in order to pass them on. The lowest ids stay, so all peers keep the same. */
const MAX_RINGS = 8;
const MAX_HINTS = 10_000;
const MAX_VOTERS = 10_000;

/** Hints and votes of a peer are kept for this long after it was last known. */
const ABSENCE: Millis = 1 * MINUTE;

/**
 * What this node lets others see of the ipam channel, and what it has seen of others: every ring, hint and vote,
 * merged. Nothing of this node's own gets in before it is durable.
 */
export class SharedState {
  readonly #rings = new Map<string, RingEntry>();
  readonly #hints = new Map<PeerName, HintEntry>();
  readonly #voters = new Map<string, VoterEntry>();
  /** The ring that is never dropped for want of room. */
  #home: string | undefined;
  #digest: ChannelDigest | undefined;
  readonly #absentSince = new Map<PeerName, Millis>();

  /** Merges `entries` and returns what was new in them. */
  merge(entries: readonly Entry[]): Entry[] {
    const news = entries.flatMap((entry) => this.#mergeEntry(entry));
    if (news.length > 0) this.#digest = undefined;
    return news;
  }

  /** Marks the ring of the cluster that this node belongs to. */
  setHome(clusterId: string, range: string): void {
    this.#home = ringKey(clusterId, range);
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
  voters(): VoterEntry[] {
    return sorted(this.#voters).map(([, entry]) => entry);
  }

  /** Votes are of no use once there is a ring. */
  forgetVoters(): void {
    if (this.#voters.size > 0) this.#digest = undefined;
    this.#voters.clear();
  }

  /**
   * Drops hints and votes of peers that are not in `known` and have not been for a while: they may arrive before the
   * topology tells of their writer.
   */
  retainPeers(known: ReadonlySet<PeerName>, now: Millis): void {
    const names = new Set([...this.#hints.keys(), ...this.voters().map(({ name }) => name)]);
    for (const name of names) {
      const since = known.has(name) ? undefined : (this.#absentSince.get(name) ?? now);
      if (since === undefined) this.#absentSince.delete(name);
      else if (now < since + ABSENCE) this.#absentSince.set(name, since);
      else this.#forgetPeer(name);
    }
  }

  digest(): ChannelDigest {
    this.#digest ??= this.#computeDigest();
    return this.#digest;
  }

  all(): Entry[] {
    return [...this.rings(), ...sorted(this.#hints).map(([, entry]) => entry), ...this.voters()];
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
    return out;
  }

  #mergeEntry(entry: Entry): Entry[] {
    switch (entry.type) {
      case 'ring':
        return this.#mergeRing(entry);
      case 'hint':
        return mergeVersioned(this.#hints, entry.name, entry, MAX_HINTS);
      case 'voter':
        return mergeVersioned(this.#voters, voterKey(entry), entry, MAX_VOTERS);
    }
  }

  #mergeRing(entry: RingEntry): Entry[] {
    const key = ringKey(entry.clusterId, entry.range.text);
    const before = this.#rings.get(key)?.ring ?? [];
    const news = newsIn(before, entry.ring);
    if (news.length === 0) return [];
    const ring = mergeRings(before, news);
    if (ring.length > MAX_SEGMENTS) return [];
    this.#rings.set(key, { ...entry, ring });
    if (this.#rings.size > MAX_RINGS) {
      const highest = [...this.#rings.keys()].sort().findLast((candidate) => candidate !== this.#home);
      if (highest !== undefined) this.#rings.delete(highest);
      if (highest === key) return [];
    }
    return [{ ...entry, ring: news }];
  }

  #forgetPeer(name: PeerName): void {
    this.#absentSince.delete(name);
    this.#hints.delete(name);
    for (const [key, voter] of [...this.#voters]) if (voter.name === name) this.#voters.delete(key);
    this.#digest = undefined;
  }

  #computeDigest(): ChannelDigest {
    const pairs: [string, string][] = [];
    for (const entry of this.#rings.values()) {
      for (const s of entry.ring) {
        pairs.push([
          segmentKey(entry, s.start),
          `${s.end},${s.epoch},${s.version},${s.owner},${s.generation}`,
        ]);
      }
    }
    for (const [name, hint] of this.#hints) pairs.push([hintKey(name), `${hint.version}`]);
    for (const [key, voter] of this.#voters) pairs.push([key, `${voter.version}`]);
    return digestOf(pairs.sort(([a], [b]) => (a < b ? -1 : 1)));
  }
}

function mergeVersioned<Key, E extends HintEntry | VoterEntry>(
  into: Map<Key, E>,
  key: Key,
  entry: E,
  limit: number,
): Entry[] {
  const before = into.get(key);
  if (before === undefined ? into.size >= limit : before.version >= entry.version) return [];
  into.set(key, entry);
  return [entry];
}

/** Bucket = first 4 bits of SHA-512(key); hash = first 8 bytes of SHA-512 over the bucket's (key, version) pairs. */
function digestOf(pairs: readonly (readonly [string, string])[]): ChannelDigest {
  const texts = Array<string>(BUCKETS).fill('');
  for (const [key, version] of pairs) texts[bucketOf(key)]! += `${key}=${version}\n`;
  const buckets = concatBytes(...texts.map((text) => sha512(utf8(text)).subarray(0, HASH_BYTES)));
  return { root: sha512(buckets).slice(0, HASH_BYTES), buckets };
}

function bucketOf(key: string): number {
  return sha512(utf8(key))[0]! >>> 4;
}

function ringKey(clusterId: string, range: string): string {
  return `${clusterId} ${range}`;
}

function segmentKey(entry: RingEntry, start: number): string {
  return `ring ${ringKey(entry.clusterId, entry.range.text)} ${start}`;
}

function hintKey(name: PeerName): string {
  return `hint ${name}`;
}

function voterKey(entry: VoterEntry): string {
  return `voter ${entry.name} ${entry.generation} ${entry.range}`;
}

function sorted<Key extends string, Value>(map: ReadonlyMap<Key, Value>): [Key, Value][] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1));
}
