import type { SetDigest } from '../core/bucket-digest.ts';

/**
 * What one gossip channel (topology, ipam, ...) does with its state. State merges are commutative and idempotent. `News`
 * is how it names what waits to be passed on: nobody else looks inside, and it is encoded when it leaves.
 */
export interface Channel<News = unknown> {
  /**
   * Merges a delta from `from` (a neighbour, as text for reports only).
   * Returns what was new, to be passed on, or undefined if nothing was.
   * Throws {@link MalformedDelta} on bytes that are not of its schema; nothing is merged then.
   */
  merge(delta: Uint8Array, now: number, from: string): News | undefined;
  /** Digest of the whole state: one 64-bit root (8 bytes) and one 8-byte hash for each of 16 buckets. */
  digest(): ChannelDigest;
  /** The entries of the buckets whose bit is set in `buckets`, to be encoded; undefined if they are empty. */
  entriesOf(buckets: number): News | undefined;
  /** News that have the effect of all of these, for what is pending towards a neighbour. */
  join(news: readonly News[]): News;
  /** The delta that carries `news`; undefined if they have become void. */
  encode(news: News): Uint8Array | undefined;
  /** False: so much that it has to be parted before it is encoded. */
  fits?(news: News): boolean;
  /** News that together have the effect of these, where their delta is too long for one message; none = they are one. */
  split?(news: News): readonly News[];
}

export type ChannelDigest = SetDigest;

/** A delta that breaks the channel's schema. The connection that brought it is closed and the reason counted. */
export class MalformedDelta extends Error {
  override name = 'MalformedDelta';
}
