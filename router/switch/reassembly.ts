import type { PeerName } from '../../core/peer-name.ts';
import { earlier, type Millis } from '../../core/time.ts';
import {
  FRAGMENT_HEADER_BYTES,
  fragmentId,
  fragmentOffset,
  fragmentTotal,
  isFragment,
} from '../wire/inner.ts';
import { REASSEMBLY_BYTES, REASSEMBLY_MESSAGES, REASSEMBLY_TIME } from './tuning.ts';

/** Of one message: separate stretches, and fragments. Those of a datagram's size never come near. */
const MOST_STRETCHES = 64;
const MOST_PIECES = 128;

export type ReassemblyDrop =
  'fragment-malformed' | 'fragment-mismatched' | 'reassembly-full' | 'reassembly-expired';

/** Puts fragmented inner messages together, per peer bounded in messages, bytes and time: the oldest gives way. */
export class Reassembly {
  /** The messages of each peer by lane and id: the peer's workers number theirs apart from each other. */
  readonly #byPeer = new Map<PeerName, Map<number, PartialMessage>>();
  readonly #onDrop: (reason: ReassemblyDrop) => void;

  constructor(onDrop: (reason: ReassemblyDrop) => void) {
    this.#onDrop = onDrop;
  }

  /**
   * A fragment payload of `length` bytes at `offset`, which came on `lane`. Returns the whole inner message, the caller's
   * own, if this was what it lacked.
   */
  add(
    peer: PeerName,
    lane: number,
    data: Uint8Array,
    offset: number,
    length: number,
    now: Millis,
  ): Uint8Array | undefined {
    if (!isFragment(data, offset, length)) {
      this.#onDrop('fragment-malformed');
      return undefined;
    }
    const messages = this.#messagesOf(peer, now);
    const id = laneId(lane, fragmentId(data, offset));
    const total = fragmentTotal(data, offset);
    const message = messages.get(id) ?? this.#begin(messages, id, total, now);
    const bytes = data.subarray(offset + FRAGMENT_HEADER_BYTES, offset + length);
    if (message.total !== total || !message.add(fragmentOffset(data, offset), bytes)) {
      this.#onDrop('fragment-mismatched');
      messages.delete(id);
      return undefined;
    }
    if (!message.complete) return undefined;
    messages.delete(id);
    return message.join();
  }

  /** When {@link onTimeout} has something to forget. */
  nextTimeout(): Millis | undefined {
    let next: Millis | undefined;
    for (const messages of this.#byPeer.values()) {
      for (const message of messages.values()) {
        next = earlier(next, message.expiresAt);
        break;
      }
    }
    return next;
  }

  onTimeout(now: Millis): void {
    for (const [peer, messages] of this.#byPeer) {
      this.#expire(messages, now);
      if (messages.size === 0) this.#byPeer.delete(peer);
    }
  }

  forgetPeer(peer: PeerName): void {
    this.#byPeer.delete(peer);
  }

  #messagesOf(peer: PeerName, now: Millis): Map<number, PartialMessage> {
    let messages = this.#byPeer.get(peer);
    if (messages === undefined) {
      messages = new Map();
      this.#byPeer.set(peer, messages);
    }
    this.#expire(messages, now);
    return messages;
  }

  #begin(messages: Map<number, PartialMessage>, id: number, total: number, now: Millis): PartialMessage {
    let bytes = total;
    for (const other of messages.values()) bytes += other.total;
    for (const [oldest, other] of messages) {
      if (messages.size < REASSEMBLY_MESSAGES && bytes <= REASSEMBLY_BYTES) break;
      messages.delete(oldest);
      bytes -= other.total;
      this.#onDrop('reassembly-full');
    }
    const message = new PartialMessage(total, now + REASSEMBLY_TIME);
    messages.set(id, message);
    return message;
  }

  /** Messages lie in the order in which they began, so in that in which they expire. */
  #expire(messages: Map<number, PartialMessage>, now: Millis): void {
    for (const [id, message] of messages) {
      if (message.expiresAt > now) return;
      messages.delete(id);
      this.#onDrop('reassembly-expired');
    }
  }
}

/** One number for a lane and a u32. */
function laneId(lane: number, id: number): number {
  return lane * 2 ** 32 + id;
}

/** Its bytes are put together only when all are there: a fragment of one byte costs no more than that. */
class PartialMessage {
  readonly total: number;
  readonly expiresAt: Millis;
  readonly #pieces: { readonly start: number; readonly bytes: Uint8Array }[] = [];
  /** What is there: [start, end) ascending, apart from each other. */
  #stretches: [start: number, end: number][] = [];

  constructor(total: number, expiresAt: Millis) {
    this.total = total;
    this.expiresAt = expiresAt;
  }

  get complete(): boolean {
    const first = this.#stretches[0];
    return first !== undefined && first[0] === 0 && first[1] === this.total;
  }

  /** False if the piece overlaps what is there without repeating it, or there are too many gaps or pieces. */
  add(start: number, piece: Uint8Array): boolean {
    const end = start + piece.length;
    let before = 0;
    for (const [from, to] of this.#stretches) {
      if (from <= start && end <= to) return true;
      if (start < to && from < end) return false;
      if (to <= start) before++;
    }
    this.#pieces.push({ start, bytes: Uint8Array.from(piece) });
    this.#insert(before, start, end);
    return this.#stretches.length <= MOST_STRETCHES && this.#pieces.length <= MOST_PIECES;
  }

  join(): Uint8Array {
    const whole = new Uint8Array(this.total);
    for (const { start, bytes } of this.#pieces) whole.set(bytes, start);
    return whole;
  }

  #insert(at: number, start: number, end: number): void {
    const previous = this.#stretches[at - 1];
    const next = this.#stretches[at];
    const joinsPrevious = previous !== undefined && previous[1] === start;
    const joinsNext = next !== undefined && next[0] === end;
    if (joinsPrevious && joinsNext) {
      previous[1] = next[1];
      this.#stretches.splice(at, 1);
    } else if (joinsPrevious) previous[1] = end;
    else if (joinsNext) next[0] = start;
    else this.#stretches.splice(at, 0, [start, end]);
  }
}
