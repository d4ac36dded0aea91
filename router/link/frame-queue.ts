import type { PeerName } from '../../core/peer-name.ts';

/** Bounds per peer: frames, and the bytes in them. */
export const MOST_FRAMES = 64;
const MOST_BYTES = 256 * 1024;

/** Frames that wait for a session with one peer, oldest first: whole inner messages, ready to be sent. */
export class FrameQueue {
  #messages: Uint8Array[] = [];
  #bytes = 0;

  get length(): number {
    return this.#messages.length;
  }

  /** Keeps `message`, which is the queue's from now on. Returns how many went, oldest first, because it is too much. */
  push(message: Uint8Array): number {
    this.#messages.push(message);
    this.#bytes += message.length;
    let dropped = 0;
    while (this.#messages.length > MOST_FRAMES || this.#bytes > MOST_BYTES) {
      this.#bytes -= this.#messages.shift()!.length;
      dropped++;
    }
    return dropped;
  }

  /** All that wait; the queue is empty then. */
  take(): Uint8Array[] {
    const messages = this.#messages;
    this.#messages = [];
    this.#bytes = 0;
    return messages;
  }
}

/** The queues of all peers; a peer has one only while something waits for it. */
export class FrameQueues {
  readonly #queues = new Map<PeerName, FrameQueue>();

  /** Copies the message. Returns how many were dropped for it. */
  push(peer: PeerName, message: Uint8Array): number {
    let queue = this.#queues.get(peer);
    if (queue === undefined) {
      queue = new FrameQueue();
      this.#queues.set(peer, queue);
    }
    return queue.push(message.slice());
  }

  take(peer: PeerName): Uint8Array[] {
    const messages = this.#queues.get(peer)?.take() ?? [];
    this.#queues.delete(peer);
    return messages;
  }
}
