import type { Endpoint } from '../../core/address.ts';
import { DATAGRAM_OVERHEAD } from '../wire/datagram.ts';
import { INNER_HEADER_BYTES } from '../wire/inner.ts';
import type { FrameBatch, MessageBatch } from './port.ts';

const FIRST_BYTES = 4_096;

/** A batch of frames whose buffer grows to what is put in. */
export class MemoryFrames implements FrameBatch {
  count = 0;
  data: Uint8Array = new Uint8Array(0);
  readonly offset: Uint32Array;
  readonly length: Uint32Array;
  readonly segment: Uint32Array;
  readonly flags: Uint8Array;
  #used = 0;

  constructor(capacity: number) {
    this.offset = new Uint32Array(capacity);
    this.length = new Uint32Array(capacity);
    this.segment = new Uint32Array(capacity);
    this.flags = new Uint8Array(capacity);
  }

  clear(): void {
    this.count = 0;
    this.#used = 0;
  }

  add(frame: Uint8Array, flags: number): void {
    const i = this.count++;
    this.data = withRoom(this.data, this.#used, frame.length);
    this.data.set(frame, this.#used);
    this.offset[i] = this.#used;
    this.length[i] = frame.length;
    this.segment[i] = frame.length;
    this.flags[i] = flags;
    this.#used += frame.length;
  }
}

/** A batch of inner messages whose buffer grows to what is put in. */
export class MemoryMessages implements MessageBatch {
  count = 0;
  data: Uint8Array = new Uint8Array(0);
  readonly offset: Uint32Array;
  readonly length: Uint32Array;
  readonly kind: Uint8Array;
  readonly flags: Uint8Array;
  readonly session: Uint32Array;
  readonly tag: Uint32Array;
  readonly phase: Uint8Array;
  readonly plain: Uint8Array;
  readonly wireLength: Uint32Array;
  readonly #sources: Endpoint[] = [];
  #used = 0;

  constructor(capacity: number) {
    this.offset = new Uint32Array(capacity);
    this.length = new Uint32Array(capacity);
    this.kind = new Uint8Array(capacity);
    this.flags = new Uint8Array(capacity);
    this.session = new Uint32Array(capacity);
    this.tag = new Uint32Array(capacity);
    this.phase = new Uint8Array(capacity);
    this.plain = new Uint8Array(capacity);
    this.wireLength = new Uint32Array(capacity);
  }

  source(i: number): Endpoint {
    return this.#sources[i]!;
  }

  clear(): void {
    this.count = 0;
    this.#used = 0;
  }

  /** Where in `data` the next plaintext of `bytes` bytes belongs: kind and flags, then the payload. */
  reserve(bytes: number): number {
    this.data = withRoom(this.data, this.#used, bytes);
    return this.#used;
  }

  /** Adds the plaintext of a datagram of `wireLength` bytes that lies where {@link reserve} said. */
  add(session: number, tag: number, phase: number, plain: boolean, wireLength: number, from: Endpoint): void {
    const i = this.count++;
    const at = this.#used;
    const bytes = wireLength - DATAGRAM_OVERHEAD;
    this.offset[i] = at + INNER_HEADER_BYTES;
    this.length[i] = bytes - INNER_HEADER_BYTES;
    this.kind[i] = this.data[at]!;
    this.flags[i] = this.data[at + 1]!;
    this.session[i] = session;
    this.tag[i] = tag;
    this.phase[i] = phase;
    this.plain[i] = plain ? 1 : 0;
    this.wireLength[i] = wireLength;
    this.#sources[i] = from;
    this.#used += bytes;
  }
}

/** `data`, or a longer copy, with room for `more` bytes after the first `used`. */
function withRoom(data: Uint8Array, used: number, more: number): Uint8Array {
  if (used + more <= data.length) return data;
  const longer = new Uint8Array(Math.max(used + more, 2 * data.length, FIRST_BYTES));
  longer.set(data.subarray(0, used));
  return longer;
}
