import { sha512 } from '@noble/hashes/sha2.js';
import { encodeEntries } from './delta-codec.ts';
import type { RingEntry } from './entries.ts';
import type { RingReply } from './messages.ts';

/** So many fit a unicast of 64 KiB with the largest numbers and an owner each, at up to 54 bytes altogether. */
const SEGMENTS_PER_PART = 1_000;

/**
 * The answer to the ring-request `id`, in as many messages as it takes, from part `first` on and round: a stream that
 * is full takes only some of them, and a later request asks for the rest. Without a ring it is one, which says so.
 */
export function ringReplies(id: string, first: number, entry: RingEntry | undefined): RingReply[] {
  const rings = entry === undefined ? [] : split(entry);
  const parts = Math.max(rings.length, 1);
  const answer = fingerprint(rings);
  return Array.from({ length: parts }, (_, i) => {
    const part = (first + i) % parts;
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

/** Equal rings have equal ones, so parts of several answers go together as long as the ring stays as it is. */
function fingerprint(rings: readonly RingEntry[]): number {
  const hash = sha512(encodeEntries(rings));
  return new DataView(hash.buffer, hash.byteOffset).getUint32(0);
}
