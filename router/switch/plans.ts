import { SendPlan, WritePlan, type Engine } from '../engine/port.ts';

const ENTRIES = 256;
/** One message of the largest size and some more. */
const SCRATCH_BYTES = 128 * 1024;

/**
 * The two plans that are being filled, and the scratch bytes in use. A full plan is executed at once, so filling
 * never fails; {@link flush} executes the rest and must come before the engine's buffers are read anew.
 */
export class Plans {
  readonly send: SendPlan;
  readonly write: WritePlan;
  readonly #engine: Pick<Engine, 'send' | 'writeFrames'>;
  #sendScratchUsed = 0;
  #writeScratchUsed = 0;

  constructor(engine: Pick<Engine, 'send' | 'writeFrames'>, entries = ENTRIES, scratchBytes = SCRATCH_BYTES) {
    this.#engine = engine;
    this.send = new SendPlan(entries, scratchBytes);
    this.write = new WritePlan(entries, scratchBytes);
  }

  /** Position of a fresh entry of `send`. */
  addSend(): number {
    if (this.send.count === this.send.capacity) this.#executeSend();
    return this.send.count++;
  }

  /** Position of a fresh entry of `write`. */
  addWrite(): number {
    if (this.write.count === this.write.capacity) this.#executeWrite();
    return this.write.count++;
  }

  /**
   * Offset of `bytes` fresh bytes of `send.scratch`, or -1 if it is smaller than that. They stay as they are until
   * the next call of this method or of {@link flush}, even if entries that refer to them are executed in between.
   */
  reserveSend(bytes: number): number {
    if (bytes > this.send.scratch.length) return -1;
    if (this.#sendScratchUsed + bytes > this.send.scratch.length) {
      this.#executeSend();
      this.#sendScratchUsed = 0;
    }
    const at = this.#sendScratchUsed;
    this.#sendScratchUsed += bytes;
    return at;
  }

  /** As {@link reserveSend}, of `write.scratch`. */
  reserveWrite(bytes: number): number {
    if (bytes > this.write.scratch.length) return -1;
    if (this.#writeScratchUsed + bytes > this.write.scratch.length) {
      this.#executeWrite();
      this.#writeScratchUsed = 0;
    }
    const at = this.#writeScratchUsed;
    this.#writeScratchUsed += bytes;
    return at;
  }

  flush(): void {
    this.#executeWrite();
    this.#executeSend();
    this.#writeScratchUsed = 0;
    this.#sendScratchUsed = 0;
  }

  #executeSend(): void {
    if (this.send.count > 0) this.#engine.send(this.send);
    this.send.count = 0;
  }

  #executeWrite(): void {
    if (this.write.count > 0) this.#engine.writeFrames(this.write);
    this.write.count = 0;
  }
}
