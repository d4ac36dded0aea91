import type { Endpoint } from '../../core/address.ts';
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

/** What is known of an opened datagram apart from its plaintext. */
export interface MessageOrigin {
  readonly session: number;
  readonly tag: number;
  readonly phase: number;
  readonly plain: boolean;
  readonly wireLength: number;
  readonly from: Endpoint;
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

  /** `plaintext` holds kind and flags at least. */
  add(plaintext: Uint8Array, origin: MessageOrigin): void {
    const i = this.count++;
    this.data = withRoom(this.data, this.#used, plaintext.length);
    this.data.set(plaintext, this.#used);
    this.offset[i] = this.#used + 2;
    this.length[i] = plaintext.length - 2;
    this.kind[i] = plaintext[0]!;
    this.flags[i] = plaintext[1]!;
    this.session[i] = origin.session;
    this.tag[i] = origin.tag;
    this.phase[i] = origin.phase;
    this.plain[i] = origin.plain ? 1 : 0;
    this.wireLength[i] = origin.wireLength;
    this.#sources[i] = origin.from;
    this.#used += plaintext.length;
  }
}

/** `data`, or a longer copy, with room for `more` bytes after the first `used`. */
function withRoom(data: Uint8Array, used: number, more: number): Uint8Array {
  if (used + more <= data.length) return data;
  const longer = new Uint8Array(Math.max(used + more, 2 * data.length, FIRST_BYTES));
  longer.set(data.subarray(0, used));
  return longer;
}
