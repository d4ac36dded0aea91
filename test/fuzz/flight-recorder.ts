/** Of one target; twice the longest input at least, and in memory only as far as it is written. */
const REGION_BYTES = 1 << 20;
/** Int32: how many inputs or resets were begun; position of the target at work. */
const HEADER_BYTES = 8;

/**
 * What a fuzzer is about to feed, in memory that another thread reads when the fuzzer never comes back. Each target has
 * a region: the bytes used (u32), then its inputs since it was new, each after its length (u32).
 */
export class FlightRecorder {
  readonly shared: SharedArrayBuffer;
  readonly #header: Int32Array;
  readonly #view: DataView;
  readonly #bytes: Uint8Array;

  constructor(shared: SharedArrayBuffer) {
    this.shared = shared;
    this.#header = new Int32Array(shared, 0, 2);
    this.#view = new DataView(shared);
    this.#bytes = new Uint8Array(shared);
  }

  static forTargets(count: number): FlightRecorder {
    return new FlightRecorder(new SharedArrayBuffer(HEADER_BYTES + count * REGION_BYTES));
  }

  /** Grows while the fuzzer gets on; 0 before its first input. */
  get begun(): number {
    return Atomics.load(this.#header, 0);
  }

  /** Position of the target that was begun last. */
  get target(): number {
    return this.#header[1]!;
  }

  /** The target at `position` is about to run, or to be reset. */
  begin(position: number): void {
    this.#header[1] = position;
    Atomics.add(this.#header, 0, 1);
  }

  /** The target is new: what it was fed no longer matters. */
  forget(position: number): void {
    this.#view.setUint32(regionOf(position), 0, true);
  }

  /** Where a target is fed more than its region holds, the earliest inputs are lost. */
  add(position: number, input: Uint8Array): void {
    const region = regionOf(position);
    let used = this.#view.getUint32(region, true);
    if (4 + used + 4 + input.length > REGION_BYTES) used = 0;
    this.#view.setUint32(region + 4 + used, input.length, true);
    this.#bytes.set(input, region + 8 + used);
    this.#view.setUint32(region, used + 4 + input.length, true);
  }

  inputsOf(position: number): Uint8Array[] {
    const inputs: Uint8Array[] = [];
    const start = regionOf(position) + 4;
    const end = start + this.#view.getUint32(start - 4, true);
    for (let at = start; at < end; at += 4 + inputs.at(-1)!.length) {
      inputs.push(this.#bytes.slice(at + 4, at + 4 + this.#view.getUint32(at, true)));
    }
    return inputs;
  }
}

function regionOf(position: number): number {
  return HEADER_BYTES + position * REGION_BYTES;
}
