import type { Endpoint } from '../../core/address.ts';
import type { Millis } from '../../core/time.ts';
import { COUNTER_LIMIT, DATAGRAM_OVERHEAD } from '../wire/datagram.ts';
import { INNER_HEADER_BYTES } from '../wire/inner.ts';
import { bufferCipher, type DatagramCipher } from './datagram-cipher.ts';
import { DatagramReceiver } from './datagram-receiver.ts';
import { DatagramSender } from './datagram-sender.ts';
import { DropOldest } from './drop-oldest.ts';
import { frameFault } from './frame-fault.ts';
import { MemoryFrames, MemoryMessages } from './memory-batches.ts';
import { MemoryEvents } from './memory-events.ts';
import { MemoryRepeats } from './memory-repeats.ts';
import { MemoryState, type ReceiveIndex } from './memory-state.ts';
import {
  SOURCE_RECEIVED,
  SOURCE_TAP,
  type Engine,
  type EngineChange,
  type EngineDrop,
  type EngineEvent,
  type EngineOptions,
  type FrameBatch,
  type HandedFrame,
  type MessageBatch,
  type SendPlan,
  type WritePlan,
} from './port.ts';

const BATCH = 64;
const QUEUE_LIMIT = 1_024;

export interface MemoryEngineOptions {
  readonly cipher: DatagramCipher;
  /**
   * Gives a datagram to the network, which owns it then and does not deliver it before this returns.
   * Returns the errno name if it cannot leave; EMSGSIZE becomes `too-big`. `path` is the one that `to` belongs to.
   */
  readonly transmit: (to: Endpoint, datagram: Uint8Array, path: number) => string | undefined;
  /** A frame was written to the TAP; the copy is the callee's. */
  readonly onHostReceives: (frame: Uint8Array, flags: number) => void;
  /** Datagrams that one key may seal. */
  readonly counterLimit?: number;
  /** The clock that decisions to repeat run out by; without one nothing is repeated. */
  readonly clock?: () => Millis;
}

/**
 * The engine port without system calls, for tests and simulations: the network and the host are callbacks, and
 * {@link deliver} and {@link hostSends} are their other direction. It keeps every rule of the wire, cuts no
 * super-frames (the host sends none), and reads no clock but the one that it is given.
 */
export class MemoryEngine implements Engine {
  readonly #options: MemoryEngineOptions;
  readonly #state = new MemoryState();
  readonly #events = new MemoryEvents();
  readonly #frames = new MemoryFrames(BATCH);
  readonly #messages = new MemoryMessages(BATCH);
  readonly #receiver: DatagramReceiver;
  readonly #sender: DatagramSender;
  readonly #repeats = new MemoryRepeats();
  readonly #fromHost = new DropOldest<Uint8Array, number>(QUEUE_LIMIT);
  readonly #fromNetwork = new DropOldest<Uint8Array, Endpoint>(QUEUE_LIMIT);
  #onReady: (() => void) | undefined;
  #hasTap = false;

  constructor(options: MemoryEngineOptions) {
    this.#options = options;
    const cipher = bufferCipher(options.cipher);
    this.#sender = new DatagramSender(this.#state, cipher, options.counterLimit ?? COUNTER_LIMIT, {
      reserve: (bytes) => new Uint8Array(bytes),
      transmit: (path, to, datagram, ofLink) => this.#transmit(path, to, datagram, ofLink),
    });
    this.#receiver = new DatagramReceiver(
      this.#state,
      this.#events,
      cipher,
      this.#messages,
      (path, to, nextIndex, datagram) => void this.#sender.relay(path, to, nextIndex, datagram),
      (entry, phase, at, bytes) => this.#repeatWrite(entry, phase, at, bytes),
    );
  }

  open(options: EngineOptions): Promise<void> {
    this.#onReady = options.onReady;
    this.#hasTap = options.tap !== undefined;
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.#onReady = undefined;
    this.#state.clear();
    this.#fromHost.clear();
    this.#fromNetwork.clear();
    return Promise.resolve();
  }

  configure(changes: readonly EngineChange[]): void {
    this.#repeats.forgetAll();
    for (const change of changes) this.#state.apply(change);
  }

  /** The network: a datagram arrives. It must not be changed afterwards. */
  deliver(from: Endpoint, datagram: Uint8Array): void {
    if (this.#onReady === undefined) return;
    if (this.#fromNetwork.push(datagram, from)) this.#events.dropped('receive-queue-full');
    this.#onReady();
  }

  /** The host: a frame for the TAP's reader. It must not be changed afterwards. */
  hostSends(frame: Uint8Array, flags = 0): void {
    if (this.#onReady === undefined || !this.#hasTap) return;
    if (this.#fromHost.push(frame, flags)) this.#events.dropped('tap-queue-full');
    this.#onReady();
  }

  readFrames(): FrameBatch {
    this.#frames.clear();
    for (; this.#frames.count < BATCH && this.#fromHost.length > 0; this.#fromHost.shift()) {
      const frame = this.#fromHost.first!;
      const fault = frameFault(frame.length);
      if (fault !== undefined) this.#events.dropped(fault);
      else this.#takeFrame(frame, this.#fromHost.second!);
    }
    return this.#frames;
  }

  adoptFrames(frames: readonly HandedFrame[]): FrameBatch {
    this.#frames.clear();
    for (const { bytes, flags } of frames.slice(0, BATCH)) this.#frames.add(bytes, flags);
    return this.#frames;
  }

  receive(): MessageBatch {
    this.#messages.clear();
    for (; this.#messages.count < BATCH && this.#fromNetwork.length > 0; this.#fromNetwork.shift()) {
      const drop = this.#receiver.take(this.#fromNetwork.first!, this.#fromNetwork.second!);
      if (drop !== undefined) this.#events.dropped(drop);
    }
    return this.#messages;
  }

  send(plan: SendPlan): void {
    for (let i = 0; i < plan.count; i++) {
      const data = this.#sourceData(plan.source[i]!, plan.scratch);
      const drop = this.#sender.send(plan, i, data, plan.offset[i]!, plan.length[i]!);
      if (drop !== undefined) this.#events.dropped(drop);
      else if (this.#now !== undefined) this.#repeats.rememberSend(plan, i, this.#frames, this.#now);
    }
  }

  writeFrames(plan: WritePlan): void {
    for (let i = 0; i < plan.count; i++) {
      const drop = this.#writeEntry(plan, i);
      if (drop !== undefined) this.#events.dropped(drop);
      else if (this.#now !== undefined) this.#repeats.rememberWrite(plan, i, this.#messages, this.#now);
    }
  }

  drainEvents(): EngineEvent[] {
    return this.#events.drain();
  }

  get #now(): Millis | undefined {
    return this.#options.clock?.();
  }

  /** Sends a frame as one before it, or leaves it to the switch. None overtakes one that is in the batch already. */
  #takeFrame(frame: Uint8Array, flags: number): void {
    if (this.#frames.count > 0 || !this.#repeatSend(frame, flags)) this.#frames.add(frame, flags);
  }

  #repeatSend(frame: Uint8Array, flags: number): boolean {
    const now = this.#now;
    const plan = now === undefined ? undefined : this.#repeats.sendOf(frame, flags, now);
    if (plan === undefined) return false;
    const drop = this.#sender.send(plan, 0, frame, 0, frame.length);
    if (drop !== undefined) this.#events.dropped(drop);
    else this.#events.sent(plan.session[0]!, frame.length + INNER_HEADER_BYTES + DATAGRAM_OVERHEAD);
    return true;
  }

  #repeatWrite(entry: ReceiveIndex, phase: number, at: number, bytes: number): boolean {
    const now = this.#now;
    if (now === undefined || !this.#hasTap) return false;
    const written = this.#repeats.writeOf(this.#messages.data, at, bytes, entry, phase, now);
    if (written === undefined) return false;
    this.#events.received(entry.session, bytes + DATAGRAM_OVERHEAD);
    this.#options.onHostReceives(written.frame, written.flags);
    return true;
  }

  #transmit(path: number, to: Endpoint, datagram: Uint8Array, ofLink: boolean): void {
    const errno = this.#options.transmit(to, datagram, path);
    if (errno === 'EMSGSIZE') this.#events.tooBig(path, datagram.length);
    else if (errno !== undefined) this.#events.sendFailed(path, errno, ofLink);
  }

  #writeEntry(plan: WritePlan, i: number): EngineDrop | undefined {
    if (!this.#hasTap) return 'tap-queue-full';
    const data = this.#sourceData(plan.source[i]!, plan.scratch);
    const offset = plan.offset[i]!;
    const length = plan.length[i]!;
    const fault = offset + length > data.length ? 'frame-malformed' : frameFault(length);
    if (fault === undefined)
      this.#options.onHostReceives(data.slice(offset, offset + length), plan.flags[i]!);
    return fault;
  }

  #sourceData(source: number, scratch: Uint8Array): Uint8Array {
    if (source === SOURCE_TAP) return this.#frames.data;
    return source === SOURCE_RECEIVED ? this.#messages.data : scratch;
  }
}
