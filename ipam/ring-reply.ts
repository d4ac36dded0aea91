import type { RingEntry } from './entries.ts';
import type { RingReply } from './messages.ts';

/** So many fit a unicast of 64 KiB with the largest numbers and an owner each, at up to 54 bytes altogether. */
const SEGMENTS_PER_PART = 1_000;

/** The answer to the ring-request `id`, in as many messages as it takes. Without a ring it is one, which says so. */
export function ringReplies(id: string, answer: number, entry: RingEntry | undefined): RingReply[] {
  const rings = entry === undefined ? [] : split(entry);
  const parts = Math.max(rings.length, 1);
  return Array.from({ length: parts }, (_, part) => {
    return { type: 'ring-reply', id, answer, part, parts, rings: rings.slice(part, part + 1) };
  });
}

function split(entry: RingEntry): RingEntry[] {
  const pieces: RingEntry[] = [];
  for (let at = 0; at < entry.ring.length; at += SEGMENTS_PER_PART) {
    pieces.push({ ...entry, ring: entry.ring.slice(at, at + SEGMENTS_PER_PART) });
  }
  return pieces;
}
