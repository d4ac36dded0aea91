import { encodeEntries } from './delta-codec.ts';
import type { Entry, MemberEntry, RingEntry } from './entries.ts';
import { MAX_PARTS } from './messages.ts';
import type { RingReply } from './messages.ts';
import { sha512 } from '../core/sha512.ts';

/** So many fit a unicast of 64 KiB with the largest numbers and an owner each, at up to 54 bytes altogether. */
export const SEGMENTS_PER_PART = 1_000;
/** A member with as many conflicts as it may name takes up to 37 KiB. */
const MEMBERS_PER_PART = 1;

/**
 * The answer to the ring-request `id`, in as many messages as it takes, from part `first` on and round: a stream that
 * is full takes only some of them, and a later request asks for the rest. Without a ring it is one, which says so.
 * `conflicted` = the members that use addresses of others, which must not be given out.
 */
export function ringReplies(
  id: string,
  first: number,
  entry: RingEntry | undefined,
  conflicted: readonly MemberEntry[],
): RingReply[] {
  const pieces: Entry[][] = [
    ...(entry === undefined ? [] : splitRing(entry).map((piece) => [piece])),
    ...chunks(conflicted, MEMBERS_PER_PART),
  ].slice(0, MAX_PARTS);
  const parts = Math.max(pieces.length, 1);
  const answer = fingerprint(pieces.flat());
  return Array.from({ length: parts }, (_, i) => {
    const part = (first + i) % parts;
    return { type: 'ring-reply', id, answer, part, parts, entries: pieces[part] ?? [] };
  });
}

/** In pieces that fit a message each. */
export function splitRing(entry: RingEntry): RingEntry[] {
  return chunks(entry.ring, SEGMENTS_PER_PART).map((ring) => ({ ...entry, ring }));
}

/** Equal rings have equal ones, so parts of several answers go together as long as the ring stays as it is. */
export function fingerprint(entries: readonly Entry[]): number {
  const hash = sha512(encodeEntries(entries));
  return new DataView(hash.buffer, hash.byteOffset).getUint32(0);
}

function chunks<T>(items: readonly T[], size: number): T[][] {
  const out: T[][] = [];
  for (let at = 0; at < items.length; at += size) out.push(items.slice(at, at + size));
  return out;
}
