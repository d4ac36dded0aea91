import { equalBytes } from '../core/bytes.ts';
import { compareNames, type PeerName } from '../core/peer-name.ts';
import { earlier, SECOND, type Millis } from '../core/time.ts';
import { BucketDigest } from '../core/bucket-digest.ts';
import type { Channel, ChannelDigest } from './channel.ts';
import { bodyHash, decodeDelta, encodeBody, MAX_NAMES, type EncodedEntry } from './topology-codec.ts';
import { MAX_DELTA } from './messages.ts';
import {
  decodeAnnouncement,
  decodeRequest,
  encodeAnnouncement,
  encodeRequest,
  mayBeOf,
  type AnnouncedEntry,
} from './topology-announcement.ts';
import { encodeDelta } from './topology-delta.ts';
import {
  compareStamps,
  MAX_INCARNATION,
  MAX_NEIGHBOURS,
  MAX_VERSION,
  type EntryStamp,
  type TopologyEntry,
} from './topology-entry.ts';
import { WantedEntries } from './wanted-entries.ts';

/** How long an entry that the graph no longer reaches is kept. */
export const COLLECT_AFTER: Millis = 30 * SECOND;
/** More peers than this are refused: a member that invents peers must not exhaust memory. */
const MAX_PEERS = 8_192;
/** Nor may there be more neighbours in all, but by entries with no more than the latter, or with fewer than before. */
const MAX_EDGES = 1_048_576;
const FEW_EDGES = MAX_EDGES / MAX_PEERS;
/** A foreign process under our name that overtakes us this often within the window is alive. */
const DUPLICATE_OVERTAKES = 2;
export const DUPLICATE_WINDOW: Millis = 60 * SECOND;

/** More entries than this are announced, and sent to who asks for them: most neighbours have most of them already. */
const MAX_UNASKED = 4;

/** What this peer may change in its own entry; the stamp follows by itself. */
export type SelfChange = Partial<Omit<TopologyEntry, 'name' | 'uid' | 'incarnation' | 'version' | 'key'>>;

/** News since the last {@link Topology.takeNews}. */
export interface TopologyNews {
  /** New, restarted or otherwise changed peers, ascending; never this one. */
  readonly changed: readonly TopologyEntry[];
  /** The last entries of peers that were collected, ascending. */
  readonly gone: readonly TopologyEntry[];
  /** A live process elsewhere uses our name. */
  readonly duplicate: boolean;
}

/** Whose entries to pass on: `from` is the neighbour that brought them, undefined for our own and for rediscovered ones. */
export interface FreshNames {
  readonly from: string | undefined;
  /** Ascending. */
  readonly names: readonly PeerName[];
}

/**
 * The topology CRDT: one entry per peer, the highest (incarnation, version) wins. Which peers are reachable is told to
 * it after each computation of routes; the digest and what is passed on cover reachable entries only, so that an entry
 * that was collected does not come back from a peer that collects it a little later.
 */
export class Topology implements Channel<readonly PeerName[]> {
  readonly #entries = new Map<PeerName, EncodedEntry>();
  /** Neighbours that they list, in all. */
  #edges = 0;
  /** Whether the map's order is that of the names: a new name ends it. */
  #inOrder = true;
  readonly #self: PeerName;
  /** Reachable peers with their stamps. */
  readonly #digest = new BucketDigest();
  /** In order of time. */
  readonly #unreachableSince = new Map<PeerName, Millis>();
  /** Entries not yet passed on, with the neighbour that they came from. */
  readonly #fresh = new Map<PeerName, string | undefined>();
  /** What each neighbour sent or announced that is no older than ours, since all that waited for it went out. */
  readonly #had = new Map<string, Map<PeerName, EncodedEntry>>();
  readonly #wanted = new WantedEntries();
  #announcements = 0;
  readonly #changed = new Set<PeerName>();
  readonly #gone: TopologyEntry[] = [];
  #overtakes: Millis[] = [];
  #duplicate = false;
  #revision = 0;

  constructor(self: TopologyEntry) {
    this.#self = self.name;
    this.#store({ entry: self, body: encodeBody(self) });
    this.#digest.set(self.name, stampText(self));
    this.#fresh.set(self.name, undefined);
  }

  /** Rises whenever an entry is new, changed or collected. */
  get revision(): number {
    return this.#revision;
  }

  /** Known peers, this one included. */
  get size(): number {
    return this.#entries.size;
  }

  entry(name: PeerName): TopologyEntry | undefined {
    return this.#entries.get(name)?.entry;
  }

  /** Known peers, this one included, ascending by name. */
  entries(): Iterable<EncodedEntry> {
    if (!this.#inOrder) {
      const sorted = [...this.#entries].sort(([a], [b]) => compareNames(a, b));
      this.#entries.clear();
      for (const [name, encoded] of sorted) this.#entries.set(name, encoded);
      this.#inOrder = true;
    }
    return this.#entries.values();
  }

  isReachable(name: PeerName): boolean {
    return this.#digest.has(name);
  }

  /** Merges what a neighbour sent. Nothing is returned: what was new waits for {@link takeFresh}. */
  merge(delta: Uint8Array, now: Millis, from: string): undefined {
    const newer: EncodedEntry[] = [];
    for (const row of decodeDelta(delta)) {
      const known = this.#entries.get(row.name);
      const order = known === undefined ? 1 : compareStamps(row, known.entry);
      const encoded = order > 0 ? row.decode(known) : undefined;
      if (encoded !== undefined) newer.push(encoded);
      else if (order > 0) this.#wanted.unusable(row.name);
      else this.#wanted.came(row.name, row);
      if (order === 0) this.#noteHad(from, known!);
    }
    for (const encoded of newer) {
      if (encoded.entry.name === this.#self) {
        this.#wanted.came(this.#self, encoded.entry);
        this.#overtake(encoded.entry, now);
      } else if (this.#isNewer(encoded.entry)) this.#accept(encoded, now, from);
    }
  }

  /**
   * Changes our own entry. Returns whether anything differs, which then has a new version. Throws MalformedDelta if
   * the entry breaks the bounds of the schema: others would close the connection. Changes nothing where no stamp is
   * left, which only happens when somebody forges ours; the duplicate is reported.
   */
  updateSelf(change: SelfChange): boolean {
    const before = this.#entries.get(this.#self)!;
    const entry = { ...before.entry, ...change };
    const { neighbours, ...rest } = change;
    const mayDiffer = (Object.keys(rest) as (keyof typeof rest)[]).some(
      (key) => rest[key] !== before.entry[key],
    );
    const body = mayDiffer ? encodeBody(entry) : before.body;
    const isSameBody = body === before.body || equalBytes(body, before.body);
    if (isSameBody && sameNeighbours(entry, before.entry)) return false;
    const stamp = stampPast(before.entry);
    if (stamp === undefined) {
      this.#duplicate = true;
      return false;
    }
    const encoded = { entry: { ...entry, ...stamp }, body };
    if (!isSameBody || neighbours!.length > MAX_NEIGHBOURS) assertAcceptable(encoded);
    this.#storeSelf(encoded);
    return true;
  }

  /** Takes over which peers the graph reaches now (this one included). */
  onReachable(names: readonly PeerName[], now: Millis): void {
    const reachable = new Set(names);
    for (const [name, { entry }] of this.#entries) {
      if (reachable.has(name)) this.#onReached(entry);
      else if (!this.#unreachableSince.has(name)) {
        this.#unreachableSince.set(name, now);
        this.#digest.delete(name);
      }
    }
  }

  /** What is to be passed on, grouped by where it came from. Entries that are not reachable yet stay behind. */
  takeFresh(): FreshNames[] {
    if (this.#fresh.size === 0) return [];
    const groups = new Map<string | undefined, PeerName[]>();
    for (const name of [...this.#fresh.keys()].sort(compareNames)) {
      if (!this.#digest.has(name)) continue;
      const from = this.#fresh.get(name);
      const group = groups.get(from) ?? [];
      group.push(name);
      groups.set(from, group);
      this.#fresh.delete(name);
    }
    return Array.from(groups, ([from, names]) => ({ from, names }));
  }

  takeNews(): TopologyNews {
    const changed = [...this.#changed].sort(compareNames).map((name) => this.#entries.get(name)!.entry);
    const gone = this.#gone.splice(0).sort((a, b) => compareNames(a.name, b.name));
    const duplicate = this.#duplicate;
    this.#changed.clear();
    this.#duplicate = false;
    return { changed, gone, duplicate };
  }

  nextTimeout(): Millis | undefined {
    const askAgainAt = this.#wanted.nextTimeout();
    for (const since of this.#unreachableSince.values()) return earlier(since + COLLECT_AFTER, askAgainAt);
    return askAgainAt;
  }

  /** Collects entries that have been unreachable for long enough. */
  onTimeout(now: Millis): void {
    for (const [name, since] of this.#unreachableSince) {
      if (now < since + COLLECT_AFTER) break;
      this.#collect(name);
    }
  }

  digest(): ChannelDigest {
    return this.#digest.digest();
  }

  entriesOf(buckets: number): readonly PeerName[] | undefined {
    const names = this.#digest.keysIn(buckets) as PeerName[];
    return names.length === 0 ? undefined : names;
  }

  join(news: readonly (readonly PeerName[])[]): readonly PeerName[] {
    return [...new Set(news.flat())].sort(compareNames);
  }

  /** The entries as they are now, without those that have become unreachable while they waited. */
  encode(names: readonly PeerName[]): Uint8Array | undefined {
    const reachable = names.filter((name) => this.#digest.has(name));
    return reachable.length === 0 ? undefined : this.#encode(reachable);
  }

  announcement(names: readonly PeerName[]): Uint8Array | undefined {
    if (names.length <= MAX_UNASKED) return undefined;
    const reachable = names.filter((name) => this.#digest.has(name));
    if (reachable.length <= MAX_UNASKED) return undefined;
    const entries = reachable.map((name) => this.#entries.get(name)!.entry);
    return encodeAnnouncement(entries, this.#announcements++);
  }

  lacked(announcement: Uint8Array, now: Millis, from: string): Uint8Array | undefined {
    const names = decodeAnnouncement(announcement)
      .filter((announced) => this.#isWanted(announced, now, from))
      .map(({ name }) => name);
    return names.length === 0 ? undefined : this.#request(names);
  }

  answer(request: Uint8Array): readonly Uint8Array[] {
    const asked = decodeRequest(request).filter(({ name }) => this.#digest.has(name));
    const bodyless = new Set<PeerName>();
    for (const { name, bodyHash: hash } of asked) {
      if (hash !== undefined && equalBytes(hash, bodyHash(this.#entries.get(name)!.body))) bodyless.add(name);
    }
    const names = [...new Set(asked.map(({ name }) => name))].sort(compareNames);
    return names.length === 0 ? [] : this.#deltas(names, bodyless);
  }

  overdue(now: Millis): ReadonlyMap<string, Uint8Array> {
    return new Map(Array.from(this.#wanted.overdue(now), ([to, names]) => [to, this.#request(names)]));
  }

  lost(neighbour: string): void {
    this.#wanted.lost(neighbour);
  }

  lackedBy(to: string, names: readonly PeerName[]): readonly PeerName[] {
    const had = this.#had.get(to);
    if (had === undefined) return names;
    const rest = names.filter((name) => had.get(name) !== this.#entries.get(name));
    return rest.length === names.length ? names : rest;
  }

  passedOn(to: string): void {
    this.#had.delete(to);
  }

  #encode(names: readonly PeerName[], bodyless?: ReadonlySet<PeerName>): Uint8Array {
    const entries = names.map((name) => this.#entries.get(name)!);
    return encodeDelta(entries, bodyless);
  }

  /** In as many as keep to the bounds of the table of names and of a message, whatever writes our entries. */
  #deltas(names: readonly PeerName[], bodyless: ReadonlySet<PeerName>): readonly Uint8Array[] {
    const mentioned = names.reduce((sum, name) => sum + 1 + this.entry(name)!.neighbours.length, 0);
    const delta = mentioned <= MAX_NAMES ? this.#encode(names, bodyless) : undefined;
    if (delta !== undefined && delta.length <= MAX_DELTA) return [delta];
    if (names.length === 1) return [];
    const half = names.length >> 1;
    return [names.slice(0, half), names.slice(half)].flatMap((part) => this.#deltas(part, bodyless));
  }

  #request(names: readonly PeerName[]): Uint8Array {
    return encodeRequest(
      names.map((name) => {
        const known = this.#entries.get(name);
        return { name, bodyHash: known && bodyHash(known.body) };
      }),
    );
  }

  #isNewer(stamp: EntryStamp & { readonly name: PeerName }): boolean {
    const known = this.#entries.get(stamp.name);
    return known === undefined || compareStamps(stamp, known.entry) > 0;
  }

  #isWanted(announced: AnnouncedEntry, now: Millis, from: string): boolean {
    const known = this.#entries.get(announced.name);
    if (known === undefined) {
      const isRoom = this.#entries.size < MAX_PEERS;
      return isRoom && this.#wanted.announced(announced.name, announced, from, now);
    }
    const { entry } = known;
    const order = announced.incarnation - entry.incarnation || announced.version - entry.version;
    if (order === 0 && mayBeOf(announced, entry.uid)) this.#noteHad(from, known);
    else if (order >= 0) return this.#wanted.announced(announced.name, announced, from, now);
    return false;
  }

  #accept(encoded: EncodedEntry, now: Millis, from: string): void {
    const { entry } = encoded;
    const { name } = entry;
    const holders = this.#wanted.came(name, entry);
    if (!this.#hasRoom(entry)) return;
    this.#store(encoded);
    for (const holder of [from, ...holders]) this.#noteHad(holder, encoded);
    this.#changed.add(name);
    this.#fresh.set(name, from);
    if (this.#digest.has(name)) this.#digest.set(name, stampText(entry));
    else this.#noteUnreachable(name, now);
  }

  #hasRoom({ name, neighbours }: TopologyEntry): boolean {
    const known = this.#entries.get(name)?.entry;
    if (known === undefined && this.#entries.size >= MAX_PEERS) return false;
    const more = neighbours.length - (known?.neighbours.length ?? 0);
    return neighbours.length <= FEW_EDGES || more <= 0 || this.#edges + more <= MAX_EDGES;
  }

  #noteUnreachable(name: PeerName, now: Millis): void {
    this.#unreachableSince.delete(name);
    this.#unreachableSince.set(name, now);
  }

  #noteHad(from: string, encoded: EncodedEntry): void {
    let had = this.#had.get(from);
    if (had === undefined) this.#had.set(from, (had = new Map<PeerName, EncodedEntry>()));
    had.set(encoded.entry.name, encoded);
  }

  /** Someone tells of us what we did not say: an earlier run, or another process under our name. */
  #overtake(foreign: TopologyEntry, now: Millis): void {
    const self = this.#entries.get(this.#self)!;
    const isOurs = foreign.uid === self.entry.uid;
    const past = isOurs ? stampPast(foreign) : stampPastAll(foreign);
    if (past === undefined || (!isOurs && this.#isLiveDuplicate(now))) {
      this.#duplicate = true;
      return;
    }
    this.#storeSelf({ entry: { ...self.entry, ...past }, body: self.body });
  }

  #isLiveDuplicate(now: Millis): boolean {
    this.#overtakes = this.#overtakes.filter((at) => now - at < DUPLICATE_WINDOW);
    if (this.#overtakes.length >= DUPLICATE_OVERTAKES - 1) return true;
    this.#overtakes.push(now);
    return false;
  }

  #storeSelf(encoded: EncodedEntry): void {
    this.#store(encoded);
    this.#digest.set(this.#self, stampText(encoded.entry));
    this.#fresh.set(this.#self, undefined);
  }

  #store(encoded: EncodedEntry): void {
    const { name, neighbours } = encoded.entry;
    const known = this.#entries.get(name);
    this.#edges += neighbours.length - (known?.entry.neighbours.length ?? 0);
    this.#inOrder &&= known !== undefined;
    this.#entries.set(name, encoded);
    this.#revision++;
  }

  #onReached(entry: TopologyEntry): void {
    if (!this.#unreachableSince.delete(entry.name) && this.#digest.has(entry.name)) return;
    this.#digest.set(entry.name, stampText(entry));
    // Others may have collected it meanwhile.
    if (!this.#fresh.has(entry.name)) this.#fresh.set(entry.name, undefined);
  }

  #collect(name: PeerName): void {
    const encoded = this.#entries.get(name);
    this.#unreachableSince.delete(name);
    this.#fresh.delete(name);
    this.#changed.delete(name);
    this.#entries.delete(name);
    for (const had of this.#had.values()) had.delete(name);
    this.#revision++;
    if (encoded === undefined) return;
    this.#edges -= encoded.entry.neighbours.length;
    this.#gone.push(encoded.entry);
  }
}

/** Throws MalformedDelta if others would refuse the entry. */
function assertAcceptable(encoded: EncodedEntry): void {
  for (const row of decodeDelta(encodeDelta([encoded]))) row.decode();
}

/** The next stamp after `stamp`, or undefined if there is none: only a forged one comes near the end. */
function stampPast(stamp: EntryStamp): Pick<EntryStamp, 'incarnation' | 'version'> | undefined {
  if (stamp.version < MAX_VERSION) return { incarnation: stamp.incarnation, version: stamp.version + 1 };
  return stamp.incarnation < MAX_INCARNATION ? { incarnation: stamp.incarnation + 1, version: 1 } : undefined;
}

/** A stamp after all that the process of `stamp` has said: several of its entries may still be under way. */
function stampPastAll({ incarnation }: EntryStamp): Pick<EntryStamp, 'incarnation' | 'version'> | undefined {
  return incarnation < MAX_INCARNATION ? { incarnation: incarnation + 1, version: 1 } : undefined;
}

/** Equal for equal entries only. */
function stampText({ incarnation, version, uid }: EntryStamp): string {
  return `${incarnation},${version},${uid}`;
}

function sameNeighbours(a: TopologyEntry, b: TopologyEntry): boolean {
  return (
    a.neighbours.length === b.neighbours.length &&
    a.neighbours.every((one, i) => {
      const other = b.neighbours[i]!;
      return one.name === other.name && one.established === other.established && one.direct === other.direct;
    })
  );
}
