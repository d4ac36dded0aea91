import type { PeerName } from '../../core/peer-name.ts';
import { SECOND, type Millis } from '../../core/time.ts';

/** Bounds per peer: frames, and the bytes in them. */
export const MOST_FRAMES = 64;
const MOST_BYTES = 256 * 1024;
/**
 * An offer and a second one find an answer in this time. Whoever sent a frame has given it up by then or sent it anew;
 * a broadcast that came later could reach a peer a second time, by way of its next run.
 */
export const HELD_FOR: Millis = 5 * SECOND;

interface HeldFrame {
  readonly message: Uint8Array;
  readonly since: Millis;
}

/** Frames that wait for a session with one peer, oldest first: whole inner messages, ready to be sent. */
export class FrameQueue {
  #frames: HeldFrame[] = [];
  #bytes = 0;

  get length(): number {
    return this.#frames.length;
  }

  /** Keeps `message`, which is the queue's from now on. Returns how many went because they are too many or too old. */
  push(message: Uint8Array, now: Millis): number {
    this.#frames.push({ message, since: now });
    this.#bytes += message.length;
    let dropped = this.expire(now);
    while (this.#frames.length > MOST_FRAMES || this.#bytes > MOST_BYTES) {
      this.#dropOldest();
      dropped++;
    }
    return dropped;
  }

  /** Drops what has waited for too long; returns how many. */
  expire(now: Millis): number {
    let dropped = 0;
    for (; this.#frames.length > 0 && now - this.#frames[0]!.since > HELD_FOR; dropped++) this.#dropOldest();
    return dropped;
  }

  /** All that wait; the queue is empty then. */
  take(): Uint8Array[] {
    const messages = this.#frames.map(({ message }) => message);
    this.#frames = [];
    this.#bytes = 0;
    return messages;
  }

  #dropOldest(): void {
    this.#bytes -= this.#frames.shift()!.message.length;
  }
}

/** The queues of all peers; a peer has one only while something waits for it. */
export class FrameQueues {
  readonly #queues = new Map<PeerName, FrameQueue>();

  /** Copies the message. Returns how many were dropped for it. */
  push(peer: PeerName, message: Uint8Array, now: Millis): number {
    let queue = this.#queues.get(peer);
    if (queue === undefined) {
      queue = new FrameQueue();
      this.#queues.set(peer, queue);
    }
    return queue.push(message.slice(), now);
  }

  /** See {@link FrameQueue.expire}. */
  expire(peer: PeerName, now: Millis): number {
    return this.#queues.get(peer)?.expire(now) ?? 0;
  }

  take(peer: PeerName): Uint8Array[] {
    const messages = this.#queues.get(peer)?.take() ?? [];
    this.#queues.delete(peer);
    return messages;
  }
}
