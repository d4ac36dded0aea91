/** Bounds per peer. A super-frame counts as one frame, so the bytes are bounded too. */
export const MOST_FRAMES = 64;
const MOST_BYTES = 256 * 1024;

export interface QueuedFrame {
  readonly bytes: Uint8Array;
  /** 0 or FLAG_CHECKSUM_PARTIAL. */
  readonly flags: number;
}

/** Frames that wait for a session, oldest first. */
export class FrameQueue {
  #frames: QueuedFrame[] = [];
  #bytes = 0;
  #dropped = 0;

  get length(): number {
    return this.#frames.length;
  }

  /** Copies the frame; what is too much goes, oldest first. */
  push(frame: Uint8Array, flags: number): void {
    this.#frames.push({ bytes: frame.slice(), flags });
    this.#bytes += frame.length;
    while (this.#frames.length > MOST_FRAMES || this.#bytes > MOST_BYTES) {
      this.#bytes -= this.#frames.shift()!.bytes.length;
      this.#dropped++;
    }
  }

  /** All that wait; the queue is empty then. */
  take(): QueuedFrame[] {
    const frames = this.#frames;
    this.#frames = [];
    this.#bytes = 0;
    return frames;
  }

  clear(): void {
    this.#dropped += this.#frames.length;
    this.take();
  }

  /** Frames dropped since the last call. */
  takeDropped(): number {
    const dropped = this.#dropped;
    this.#dropped = 0;
    return dropped;
  }
}
