import type { Millis } from '../core/time.ts';
import type { HandedFrame } from './engine/port.ts';
import type { FrameRef } from './switch/frame-ref.ts';
import type { Mac } from './wire/mac.ts';

/** Frames that were handed over and not dealt with yet. */
const MOST_UNDER_WAY = 256;
/** Frames that wait to be handed over; the oldest go first. */
const MOST_WAITING = 256;
/** Of all of them together, super-frames included; the oldest that wait go first. */
const MOST_BYTES = 4 * 1_024 * 1_024;
/** A flow whose way is known by now keeps to the detour while frames are on it, but for no longer than this. */
const PATIENCE: Millis = 100;
/** More MACs than there are frames on the detour; the oldest go first. */
const MOST_FOLLOWED = 1_024;

/**
 * Frames on their way to worker 0, which decides on what a lane's worker cannot: broadcasts, unknown MACs, peers without
 * a direct path. Bounded both ways, and in order: while frames to a MAC are on the detour, those behind them follow.
 */
export class LaneDetour {
  readonly #hand: (frames: readonly HandedFrame[]) => void;
  readonly #waiting: HandedFrame[] = [];
  #underWay = 0;
  /** Of all frames here and under way. */
  #bytes = 0;
  #dropped = 0;
  /** MACs to which frames are on the detour, and until when those behind them must follow: the first to end first. */
  readonly #followed = new Map<Mac, Millis>();

  constructor(hand: (frames: readonly HandedFrame[]) => void) {
    this.#hand = hand;
  }

  /** Whether a frame to `mac` would overtake one that is on the detour. */
  holds(mac: Mac, now: Millis): boolean {
    if (this.#followed.size === 0) return false;
    return now < (this.#followed.get(mac) ?? 0);
  }

  /** Takes a copy, unless what is under way leaves no room for its bytes. */
  take(frame: FrameRef, now: Millis): void {
    const { data, offset, length, segment, flags, destinationMac } = frame;
    while (this.#waiting.length > 0 && this.#bytes + length > MOST_BYTES) this.#dropOldest(1);
    if (this.#bytes + length > MOST_BYTES) {
      this.#dropped++;
      return;
    }
    this.#bytes += length;
    this.#waiting.push({ bytes: data.slice(offset, offset + length), segment, flags });
    this.#follow(destinationMac, now);
  }

  /** After each batch. */
  flush(): void {
    if (this.#waiting.length === 0) return;
    this.#handOver();
    this.#dropOldest(this.#waiting.length - MOST_WAITING);
  }

  /** Worker 0 has dealt with `count` frames of so many bytes together. */
  onTaken(count: number, bytes: number): void {
    this.#underWay -= count;
    this.#bytes -= bytes;
    this.#handOver();
    if (this.#underWay === 0) this.#followed.clear();
  }

  /** Frames that were dropped since the last call. */
  takeDropped(): number {
    const dropped = this.#dropped;
    this.#dropped = 0;
    return dropped;
  }

  /** The first frame to a MAC begins its time; the first one after that begins another. */
  #follow(mac: Mac, now: Millis): void {
    for (const [oldest, until] of this.#followed) {
      if (until > now && (this.#followed.size < MOST_FOLLOWED || this.#followed.has(mac))) break;
      this.#followed.delete(oldest);
    }
    if (!this.#followed.has(mac)) this.#followed.set(mac, now + PATIENCE);
  }

  #dropOldest(count: number): void {
    if (count <= 0) return;
    const oldest = this.#waiting.splice(0, count);
    for (const { bytes } of oldest) this.#bytes -= bytes.length;
    this.#dropped += oldest.length;
  }

  #handOver(): void {
    const frames = this.#waiting.splice(0, MOST_UNDER_WAY - this.#underWay);
    this.#underWay += frames.length;
    if (frames.length > 0) this.#hand(frames);
  }
}
