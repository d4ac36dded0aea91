import type { PeerName } from '../core/peer-name.ts';
import type { AddressRange, Span } from './range.ts';
import { clipSpans } from './range.ts';
import type { Ring } from './ring.ts';

/** The things that the ipam channel carries. Each has a key, one writer (or a pointwise merge), and an order. */
export type Entry = RingEntry | HintEntry | VoterEntry | MemberEntry;

/** A part of, or the whole, ring of one cluster. */
export interface RingEntry {
  readonly type: 'ring';
  /** 32 hexadecimal digits. */
  readonly clusterId: string;
  readonly range: AddressRange;
  readonly ring: Ring;
}

/** How many free addresses a peer had a moment ago. Only a hint: it orders donors. */
export interface HintEntry {
  readonly type: 'hint';
  readonly name: PeerName;
  readonly version: number;
  readonly free: number;
}

/** Orders proposals: by round, then by proposer. */
export interface Ballot {
  readonly round: number;
  readonly proposer: PeerName;
}

export interface Owner {
  readonly owner: PeerName;
  readonly generation: string;
}

/** What an election decides. */
export interface Outcome {
  readonly clusterId: string;
  /** Ascending by name. */
  readonly owners: readonly Owner[];
}

/**
 * All that one peer has promised and accepted in the election of the first ring (Lamport, "Paxos Made Simple"),
 * written by that peer alone and durable before anyone else sees it.
 */
export interface VoterEntry {
  readonly type: 'voter';
  /** The range that it votes about, as text. */
  readonly range: string;
  readonly name: PeerName;
  readonly generation: string;
  readonly version: number;
  /** How many voters it was told to expect; 0 = an observer. */
  readonly voters: number;
  /** Somebody there waits for an address. */
  readonly wanted: boolean;
  readonly promised: Ballot | undefined;
  readonly accepted: { readonly ballot: Ballot; readonly outcome: Outcome } | undefined;
}

/** What a peer that belongs to a cluster says of itself; it alone writes it. It outlives the peer as long as it owns space. */
export interface MemberEntry {
  readonly type: 'member';
  readonly name: PeerName;
  readonly generation: string;
  /** Counts the starts of this state directory. */
  readonly life: number;
  /** 16 hexadecimal digits of one start: two runs of one life show that a directory was copied or rolled back. */
  readonly run: string;
  /** Counts the changes within a life. */
  readonly version: number;
  readonly nickname: string;
  readonly clusterId: string;
  /** Addresses that it has handed out and does not own, as offsets; sorted and disjoint. */
  readonly conflicts: readonly Span[];
}

/** What a member of this cluster says, without conflicts that lie beyond the range: none of its writers has such. */
export function withinRange(entry: Entry, clusterId: string | undefined, { size }: AddressRange): Entry {
  if (entry.type !== 'member' || entry.clusterId !== clusterId) return entry;
  if ((entry.conflicts.at(-1)?.end ?? 0) <= size) return entry;
  return { ...entry, conflicts: clipSpans(entry.conflicts, { start: 0, end: size }) };
}

/** What stands for the run once two were seen. */
export const TWO_RUNS = 'ffffffffffffffff';

/**
 * What is known of one generation of a peer after both were said; `a` itself if `b` adds nothing. The later life stays,
 * of one life the higher version. That two runs share a life is kept, whichever of them said more: its writer has to
 * learn of it. So this is a least upper bound, and the order in which entries arrive does not matter.
 */
export function joinMembers(a: MemberEntry, b: MemberEntry): MemberEntry {
  if (a.life !== b.life) return a.life > b.life ? a : b;
  const later = a.version > b.version || (a.version === b.version && a.run >= b.run) ? a : b;
  const run = a.run === b.run ? a.run : TWO_RUNS;
  return later.run === run ? later : { ...later, run };
}

export function compareBallots(a: Ballot, b: Ballot): number {
  return a.round - b.round || (a.proposer < b.proposer ? -1 : a.proposer > b.proposer ? 1 : 0);
}
