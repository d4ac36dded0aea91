import type { Endpoint } from '../../core/address.ts';
import { COUNTER_LIMIT } from '../wire/datagram.ts';
import { loadAddon, type Addon } from './addon.ts';
import type { BufferCipher } from './datagram-cipher.ts';
import { DatagramReceiver } from './datagram-receiver.ts';
import { DatagramSender } from './datagram-sender.ts';
import { MemoryFrames, MemoryMessages } from './memory-batches.ts';
import { MemoryEvents } from './memory-events.ts';
import { MemoryState } from './memory-state.ts';
import { PortableSocket } from './portable-socket.ts';
import { PortableTap } from './portable-tap.ts';
import {
  SOURCE_RECEIVED,
  SOURCE_TAP,
  type Engine,
  type EngineChange,
  type EngineDrop,
  type EngineEvent,
  type EngineOptions,
  type FrameBatch,
  type MessageBatch,
  type SendPlan,
  type WritePlan,
} from './port.ts';

const MESSAGE_BATCH = 64;
const NO_FRAMES = new MemoryFrames(0);

/**
 * The slow engine, for comparison and debugging: the rules of the wire in TypeScript, a UDP socket of Node, libsodium,
 * and a TAP. Without path MTU discovery: what exceeds the MTU of the first hop, the kernel fragments.
 */
export class PortableEngine implements Engine {
  readonly #state = new MemoryState();
  readonly #events = new MemoryEvents();
  readonly #messages = new MemoryMessages(MESSAGE_BATCH);
  readonly #receiver: DatagramReceiver;
  readonly #sender: DatagramSender;
  readonly #addon: () => Addon;
  #socket: PortableSocket | undefined;
  #tap: PortableTap | undefined;
  #onReady: (() => void) | undefined;
  #wakeUp: NodeJS.Immediate | undefined;
  #failure: string | undefined;

  /** `counterLimit`: datagrams that one key may seal. The limit and the addon are others in tests only. */
  constructor(cipher: BufferCipher, counterLimit = COUNTER_LIMIT, addon: () => Addon = loadAddon) {
    this.#addon = addon;
    this.#sender = new DatagramSender(this.#state, cipher, counterLimit, {
      reserve: (bytes) => this.#socket?.reserve(bytes),
      transmit: (path, to, datagram, ofLink) => this.#socket?.transmit(path, to, datagram, ofLink),
    });
    const relay = (path: number, to: Endpoint, nextIndex: number, datagram: Uint8Array): void =>
      this.#count(this.#sender.relay(path, to, nextIndex, datagram));
    this.#receiver = new DatagramReceiver(this.#state, this.#events, cipher, this.#messages, relay);
  }

  async open({ address, port, tap, onReady }: EngineOptions): Promise<void> {
    this.#onReady = onReady;
    try {
      this.#socket = await PortableSocket.bind(address, port, this.#events, {
        onActivity: () => this.#scheduleWakeUp(),
        onFailure: (error) => this.#fail(error),
      });
      if (tap !== undefined) {
        this.#tap = new PortableTap(this.#addon(), tap, this.#events, () => this.#onReady?.());
      }
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#onReady = undefined;
    clearImmediate(this.#wakeUp);
    this.#wakeUp = undefined;
    this.#tap?.close();
    this.#tap = undefined;
    const socket = this.#socket;
    this.#socket = undefined;
    this.#state.clear();
    await socket?.close();
  }

  configure(changes: readonly EngineChange[]): void {
    for (const change of changes) this.#state.apply(change);
  }

  readFrames(): FrameBatch {
    const frames = this.#tap?.read() ?? NO_FRAMES;
    this.#noteTap();
    return frames;
  }

  /** It works alone, so nobody has frames for it: a bug of the caller. */
  adoptFrames(): FrameBatch {
    throw new Error('The portable engine shares with no other worker.');
  }

  receive(): MessageBatch {
    this.#messages.clear();
    const arrived = this.#socket?.arrived;
    if (arrived === undefined) return this.#messages;
    for (; this.#messages.count < MESSAGE_BATCH && arrived.length > 0; arrived.shift()) {
      this.#count(this.#receiver.take(arrived.first!, arrived.second!));
    }
    return this.#messages;
  }

  send(plan: SendPlan): void {
    if (this.#socket === undefined) return;
    for (let i = 0; i < plan.count; i++) {
      this.#count(this.#isSuperFrame(plan, i) ? this.#sendSegments(plan, i) : this.#sendEntry(plan, i));
    }
  }

  writeFrames(plan: WritePlan): void {
    if (this.#tap === undefined) return this.#events.dropped('tap-queue-full', plan.count);
    this.#tap.write(plan, this.#messages.data);
    this.#noteTap();
  }

  drainEvents(): EngineEvent[] {
    const events = this.#events.drain();
    if (this.#failure !== undefined) events.push({ type: 'failed', error: this.#failure });
    this.#failure = undefined;
    return events;
  }

  #sendEntry(plan: SendPlan, i: number): EngineDrop | undefined {
    return this.#sender.send(plan, i, this.#sourceData(plan, i), plan.offset[i]!, plan.length[i]!);
  }

  /** Only a frame of the TAP that is planned whole can be cut. */
  #isSuperFrame(plan: SendPlan, i: number): boolean {
    const frames = this.#tap?.frames;
    const item = plan.item[i]!;
    if (frames === undefined || plan.source[i] !== SOURCE_TAP || item >= frames.count) return false;
    const isWhole = plan.offset[i] === frames.offset[item] && plan.length[i] === frames.length[item];
    return isWhole && frames.segment[item]! < plan.length[i]!;
  }

  /** Every segment is a message of its own with the prefix of the frame. */
  #sendSegments(plan: SendPlan, i: number): EngineDrop | undefined {
    const { segments, segmentLength } = this.#tap!;
    const count = this.#tap!.cut(plan.item[i]!);
    if (count < 0) return 'frame-malformed';
    for (let k = 0, at = 0; k < count; at += segmentLength[k++]!) {
      const drop = this.#sender.send(plan, i, segments, at, segmentLength[k]!);
      // What stops one segment stops the others.
      if (drop !== undefined) return drop;
    }
    return undefined;
  }

  #sourceData(plan: SendPlan, i: number): Uint8Array {
    if (plan.source[i] === SOURCE_TAP) return this.#tap?.frames.data ?? NO_FRAMES.data;
    return plan.source[i] === SOURCE_RECEIVED ? this.#messages.data : plan.scratch;
  }

  #count(drop: EngineDrop | undefined): void {
    if (drop !== undefined) this.#events.dropped(drop);
  }

  #noteTap(): void {
    if (this.#tap?.isGone !== true) return;
    this.#tap.close();
    this.#tap = undefined;
    this.#fail('the TAP is gone');
  }

  #fail(error: string): void {
    this.#failure = error;
    this.#scheduleWakeUp();
  }

  /** Once per turn of the event loop, whatever came in it; again while some of it is left. */
  #scheduleWakeUp(): void {
    if (this.#onReady === undefined || this.#wakeUp !== undefined) return;
    this.#wakeUp = setImmediate(() => {
      this.#wakeUp = undefined;
      this.#onReady?.();
      if ((this.#socket?.arrived.length ?? 0) > 0) this.#scheduleWakeUp();
    });
  }
}
