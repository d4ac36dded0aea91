/** Above this an emptied queue gives its memory back. */
const KEPT_BYTES = 65_536;
const FIRST_BYTES = 256;

/** Bytes of a stream in order of arrival, taken off in pieces of any size. */
export class ByteQueue {
  #buffer = new Uint8Array(0);
  #start = 0;
  #end = 0;

  get length(): number {
    return this.#end - this.#start;
  }

  /** Copies `bytes` to the end. */
  push(bytes: Uint8Array): void {
    if (this.#end + bytes.length > this.#buffer.length) this.#makeRoom(bytes.length);
    this.#buffer.set(bytes, this.#end);
    this.#end += bytes.length;
  }

  /** A copy of the first `count` bytes, which are removed. There must be as many. */
  take(count: number): Uint8Array {
    const taken = this.peek(count).slice();
    this.skip(count);
    return taken;
  }

  /** The first `count` bytes, valid until the next change. There must be as many. */
  peek(count: number): Uint8Array {
    if (count > this.length) throw new RangeError('The queue holds fewer bytes.');
    return this.#buffer.subarray(this.#start, this.#start + count);
  }

  skip(count: number): void {
    if (count > this.length) throw new RangeError('The queue holds fewer bytes.');
    this.#start += count;
    if (this.#start < this.#end) return;
    this.#start = this.#end = 0;
    if (this.#buffer.length > KEPT_BYTES) this.#buffer = new Uint8Array(0);
  }

  clear(): void {
    this.#buffer = new Uint8Array(0);
    this.#start = this.#end = 0;
  }

  /** Doubling keeps the cost per byte constant; room that was taken off in front is used again. */
  #makeRoom(more: number): void {
    const needed = this.length + more;
    let capacity = Math.max(this.#buffer.length, FIRST_BYTES);
    if (needed > capacity / 2) while (capacity < needed * 2) capacity *= 2;
    const grown = new Uint8Array(capacity);
    grown.set(this.#buffer.subarray(this.#start, this.#end));
    this.#end = this.length;
    this.#start = 0;
    this.#buffer = grown;
  }
}
