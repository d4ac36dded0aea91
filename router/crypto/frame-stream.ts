import type { ChannelFailure } from '../../gossip/secure-channel.ts';
import type { ByteQueue } from './byte-queue.ts';
import { STREAM_HEADER_BYTES, STREAM_OVERHEAD } from './primitives.ts';
import type { Primitives, StreamOpener, StreamSealer } from './primitives.ts';

/**
 * Messages on an open control connection: length u32 LE | that many bytes. With a password each direction begins with
 * the 24-byte header of its secret stream, and the bytes of a frame are sealed; without, they are the message itself.
 */

const MAX_MESSAGE_BYTES = 1_048_576;
/** Where no password is set nothing was proved, and until hello nobody gets more room than in a handshake. */
const FIRST_CLEAR_MESSAGE_BYTES = 4_096;

const LENGTH_BYTES = 4;

export interface FrameKeys {
  readonly send: Uint8Array;
  readonly receive: Uint8Array;
}

export type FrameRead =
  | { readonly type: 'message'; readonly bytes: Uint8Array }
  /** More bytes are needed. */
  | { readonly type: 'incomplete' }
  | { readonly type: 'failed'; readonly reason: ChannelFailure; readonly detail: string };

const incomplete: FrameRead = { type: 'incomplete' };

/** Cuts messages into frames and back. */
export interface FrameStream {
  /** What must be sent before the first frame. */
  readonly opening: Uint8Array;
  /** The frame of one message of at most 1 MiB; a longer one is a bug and throws. */
  encode(message: Uint8Array): Uint8Array;
  /** Takes one whole frame off the queue, if there is one. */
  read(queue: ByteQueue): FrameRead;
  wipe(): void;
}

/** Frames for a mesh without a password. */
export class ClearFrames implements FrameStream {
  readonly opening = new Uint8Array(0);
  #limit = FIRST_CLEAR_MESSAGE_BYTES;

  encode(message: Uint8Array): Uint8Array {
    checkLength(message);
    return frame(message);
  }

  read(queue: ByteQueue): FrameRead {
    const body = readFrame(queue, this.#limit, 0);
    if (!(body instanceof Uint8Array)) return body;
    this.#limit = MAX_MESSAGE_BYTES;
    const bytes = body.slice();
    queue.skip(body.length);
    return { type: 'message', bytes };
  }

  wipe(): void {
    // There is no secret.
  }
}

/** Frames under one secret stream per direction. */
export class SealedFrames implements FrameStream {
  readonly opening: Uint8Array;
  readonly #primitives: Primitives;
  readonly #receiveKey: Uint8Array;
  readonly #sealer: StreamSealer;
  #opener: StreamOpener | undefined;

  /** `header`: 24 random bytes. Takes over the keys and wipes them once they have served. */
  constructor(primitives: Primitives, keys: FrameKeys, header: Uint8Array) {
    this.#primitives = primitives;
    this.opening = header;
    this.#receiveKey = keys.receive;
    this.#sealer = primitives.sealStream(keys.send, header);
    primitives.wipe(keys.send);
  }

  encode(message: Uint8Array): Uint8Array {
    checkLength(message);
    return frame(this.#sealer.seal(message));
  }

  read(queue: ByteQueue): FrameRead {
    if (this.#opener === undefined) {
      if (queue.length < STREAM_HEADER_BYTES) return incomplete;
      this.#opener = this.#primitives.openStream(this.#receiveKey, queue.take(STREAM_HEADER_BYTES));
      this.#primitives.wipe(this.#receiveKey);
    }
    const body = readFrame(queue, MAX_MESSAGE_BYTES, STREAM_OVERHEAD);
    if (!(body instanceof Uint8Array)) return body;
    const message = this.#opener.open(body);
    queue.skip(body.length);
    return message === undefined ? forged() : { type: 'message', bytes: message };
  }

  wipe(): void {
    this.#primitives.wipe(this.#receiveKey);
    this.#sealer.wipe();
    this.#opener?.wipe();
  }
}

/** Before sealing, which moves the stream on. */
function checkLength(message: Uint8Array): void {
  if (message.length > MAX_MESSAGE_BYTES) throw new RangeError('A message is at most 1 MiB.');
}

function frame(body: Uint8Array): Uint8Array {
  const out = new Uint8Array(LENGTH_BYTES + body.length);
  for (let i = 0; i < LENGTH_BYTES; i++) out[i] = body.length >>> (8 * i);
  out.set(body, LENGTH_BYTES);
  return out;
}

/**
 * The body, which is still to be skipped and valid until then. The length is judged as soon as it is there, so that an
 * absurd one reserves nothing. `limit`: of a message, bytes.
 */
function readFrame(queue: ByteQueue, limit: number, overhead: number): Uint8Array | FrameRead {
  if (queue.length < LENGTH_BYTES) return incomplete;
  const prefix = queue.peek(LENGTH_BYTES);
  const length = (prefix[0]! | (prefix[1]! << 8) | (prefix[2]! << 16) | (prefix[3]! << 24)) >>> 0;
  if (length > limit + overhead) {
    return { type: 'failed', reason: 'frame-too-long', detail: `ADDRESS sent a message of ${length} bytes` };
  }
  if (length < overhead) return forged();
  if (queue.length < LENGTH_BYTES + length) return incomplete;
  queue.skip(LENGTH_BYTES);
  return queue.peek(length);
}

function forged(): FrameRead {
  return { type: 'failed', reason: 'frame-forged', detail: 'a message from ADDRESS was forged or damaged' };
}
