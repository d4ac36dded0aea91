import type { SetDigest } from '../core/bucket-digest.ts';

/** What one gossip channel (topology, ipam, ...) does with its state. State merges are commutative and idempotent. */
export interface Channel {
  /**
   * Merges a delta from `from` (a neighbour, as text for reports only).
   * Returns what was new, to be passed on, or undefined if nothing was.
   * Throws {@link MalformedDelta} on bytes that are not of its schema; nothing is merged then.
   */
  merge(delta: Uint8Array, now: number, from: string): Uint8Array | undefined;
  /** Digest of the whole state: one 64-bit root (8 bytes) and one 8-byte hash for each of 16 buckets. */
  digest(): ChannelDigest;
  /** The entries of the buckets whose bit is set in `buckets`, as a delta; undefined if they are empty. */
  entriesOf(buckets: number): Uint8Array | undefined;
  /** Joins deltas into one that has the effect of all, for what is pending towards a neighbour. */
  join(deltas: readonly Uint8Array[]): Uint8Array;
}

export type ChannelDigest = SetDigest;

/** A delta that breaks the channel's schema. The connection that brought it is closed and the reason counted. */
export class MalformedDelta extends Error {
  override name = 'MalformedDelta';
}
