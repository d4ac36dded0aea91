import { tapDrops, type Addon, type TapHandle } from './addon.ts';
import { MemoryFrames } from './memory-batches.ts';
import type { MemoryEvents } from './memory-events.ts';
import { tapFailure } from './open-failure.ts';
import { LONGEST_FRAME } from './frame-fault.ts';
import { SOURCE_RECEIVED, type FrameBatch, type WritePlan } from './port.ts';

const BATCH_FRAMES = 64;
/**
 * One super-frame, or some tens of small frames. What is read is sent before the event loop fetches datagrams again, and
 * the socket's buffer must hold what arrives meanwhile.
 */
const BATCH_BYTES = LONGEST_FRAME + (32 << 10);
/** Payloads of one byte each are no TCP that anybody sends; a frame of more segments than these is refused. */
const MOST_SEGMENTS = 4_096;
/** The headers of a super-frame are repeated in each of its segments. */
const CUT_BYTES = 512 << 10;

/** The TAP with virtio-net headers, by the addon's pure functions: super-frames come in whole and go out whole. */
export class PortableTap {
  /** The segments of the frame that was cut last, one after another, and their lengths. */
  readonly segments = new Uint8Array(CUT_BYTES);
  readonly segmentLength = new Uint32Array(MOST_SEGMENTS);
  readonly frames: MemoryFrames = new MemoryFrames(BATCH_FRAMES);
  readonly #addon: Addon;
  readonly #handle: TapHandle;
  readonly #log: MemoryEvents;
  readonly #refused = new Uint32Array(tapDrops.length);
  #readable = false;
  #gone = false;

  /** `onReadable` is called while frames wait, or when the TAP is gone. Throws an EngineError for the operator. */
  constructor(addon: Addon, name: string, log: MemoryEvents, onReadable: () => void) {
    this.#addon = addon;
    this.#log = log;
    this.frames.data = new Uint8Array(BATCH_BYTES);
    try {
      this.#handle = this.#addon.tapOpen(name, true, () => {
        this.#readable = true;
        onReadable();
      });
    } catch (error) {
      throw tapFailure(error, name);
    }
  }

  get isGone(): boolean {
    return this.#gone;
  }

  close(): void {
    this.#readable = false;
    this.#addon.tapClose(this.#handle);
  }

  /** One batch per call of `onReadable`, which comes again while more waits. */
  read(): FrameBatch {
    this.frames.clear();
    if (!this.#readable) return this.frames;
    this.#readable = false;
    const { data, offset, length, segment, flags } = this.frames;
    const count = this.#addon.tapRead(this.#handle, data, offset, length, segment, flags, this.#refused);
    this.#countRefused();
    if (count < 0) this.#gone = true;
    else this.frames.count = count;
    return this.frames;
  }

  /** Cuts frame `item` of the last batch into {@link segments}. Returns their number, or -1 if it cannot be cut. */
  cut(item: number): number {
    const { data, offset, length, segment } = this.frames;
    const at = offset[item]!;
    const frame = data.subarray(at, at + length[item]!);
    return this.#addon.cutFrame(frame, segment[item]!, this.segments, this.segmentLength);
  }

  /** Writes a plan whose received frames lie in `received`; neighbours of one source that continue one another are joined. */
  write(plan: WritePlan, received: Uint8Array): void {
    const { count, source } = plan;
    for (let first = 0, end = 1; first < count; first = end, end++) {
      while (end < count && source[end] === source[first]) end++;
      this.#writeRun(plan, source[first] === SOURCE_RECEIVED ? received : plan.scratch, first, end);
    }
  }

  #writeRun({ offset, length, flags }: WritePlan, data: Uint8Array, first: number, end: number): void {
    const handle = this.#handle;
    if (this.#addon.tapWriteFrames(handle, data, first, end, offset, length, flags, this.#refused) !== 0)
      this.#gone = true;
    this.#countRefused();
  }

  #countRefused(): void {
    const refused = this.#refused;
    for (const [i, reason] of tapDrops.entries()) {
      if (refused[i] !== 0) this.#log.dropped(reason, refused[i]);
      refused[i] = 0;
    }
  }
}
