import type { SetDigest } from '../core/bucket-digest.ts';

/**
 * What one gossip channel (topology, ipam, ...) does with its state. State merges are commutative and idempotent. `News`
 * is how it names what waits to be passed on: nobody else looks inside, and it is encoded when it leaves.
 */
export interface Channel<News = unknown> {
  /**
   * Merges a delta from `from`, the name of a neighbour.
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
  /**
   * What a neighbour is told in place of `news`, where that is much shorter: it asks for what it lacks. Undefined: the
   * delta is to be sent.
   */
  announcement?(news: News): Uint8Array | undefined;
  /** What to ask `from` for of what it announced; undefined if nothing. Throws {@link MalformedDelta}. */
  lacked?(announcement: Uint8Array, now: number, from: string): Uint8Array | undefined;
  /** Deltas with what a neighbour asked for, one message each. Throws {@link MalformedDelta}. */
  answer?(request: Uint8Array): readonly Uint8Array[];
  /** What to ask other neighbours for, by their names, as those asked before did not answer. */
  overdue?(now: number): ReadonlyMap<string, Uint8Array>;
  /** Nothing more comes from `neighbour`. */
  lost?(neighbour: string): void;
  /** `news` without what neighbour `to` has by what came from it since {@link passedOn}; itself if it has nothing of it. */
  lackedBy?(to: string, news: News): News;
  /** All that waited for neighbour `to` has been sent, or is not to be. */
  passedOn?(to: string): void;
}

export type ChannelDigest = SetDigest;

/** A delta that breaks the channel's schema. The connection that brought it is closed and the reason counted. */
export class MalformedDelta extends Error {
  override name = 'MalformedDelta';
}
