import { getSystemErrorName } from 'node:util';
import { ipToBytes, type Endpoint } from '../../core/address.ts';
import { loadAddon, type Addon, type EngineHandle } from './addon.ts';
import {
  ENDPOINT_BYTES,
  EVENT_RECEIVED,
  EVENT_ROAMED,
  EVENT_SEND_FAILED,
  EVENT_SENT,
  EVENT_TOO_BIG,
  EVENT_WORDS,
  SLOT_BYTES,
  endpointFromBytes,
  endpointToBytes,
  engineArrays,
  engineDrops,
  type EngineArrays,
} from './native-layout.ts';
import { bindFailure, tapFailure } from './open-failure.ts';
import type {
  Engine,
  EngineChange,
  EngineEvent,
  EngineOptions,
  FrameBatch,
  HandedFrame,
  MessageBatch,
  SendPlan,
  WorkerShare,
  WritePlan,
} from './port.ts';

type SessionChange = Extract<EngineChange, { session: number }>;

const EVERY_ADDRESS = new Uint8Array(0);

/**
 * The fast engine: system calls, sealing and opening in C, whole batches at a time. This side hands over plans and
 * reads batches from memory that both share.
 */
export class NativeEngine implements Engine {
  readonly #addon: Addon;
  readonly #handle: EngineHandle;
  readonly #arrays: EngineArrays;
  readonly #frames: FrameBatch;
  readonly #messages: MessageBatch;

  /** `addon`: this package's own, except in tests. Throws an EngineError if it is missing. */
  constructor(addon: Addon = loadAddon()) {
    this.#addon = addon;
    this.#arrays = engineArrays();
    this.#handle = this.#addon.engineCreate(this.#arrays);
    this.#frames = frameBatch(this.#arrays);
    this.#messages = messageBatch(this.#arrays);
  }

  async open(options: EngineOptions): Promise<void> {
    try {
      this.#open(options);
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  close(): Promise<void> {
    this.#addon.engineClose(this.#handle);
    return Promise.resolve();
  }

  configure(changes: readonly EngineChange[]): void {
    for (const change of changes) {
      if ('session' in change) this.#configureSession(change);
      else this.#configureTables(change);
    }
  }

  readFrames(): FrameBatch {
    this.#frames.count = this.#addon.engineReadFrames(this.#handle);
    return this.#frames;
  }

  adoptFrames(frames: readonly HandedFrame[]): FrameBatch {
    const batch = this.#frames;
    batch.count = 0;
    let used = 0;
    for (const { bytes, segment, flags } of frames) {
      const i = batch.count;
      if (i === batch.offset.length || used + bytes.length > batch.data.length) break;
      batch.data.set(bytes, used);
      batch.offset[i] = used;
      batch.length[i] = bytes.length;
      batch.segment[i] = segment;
      batch.flags[i] = flags;
      used += bytes.length;
      batch.count++;
    }
    this.#addon.engineAdoptFrames(this.#handle, batch.count);
    return batch;
  }

  receive(): MessageBatch {
    this.#messages.count = this.#addon.engineReceive(this.#handle);
    return this.#messages;
  }

  send(plan: SendPlan): void {
    this.#addon.engineSend(
      this.#handle,
      plan.count,
      plan.source,
      plan.item,
      plan.offset,
      plan.length,
      plan.prefixes,
      plan.prefixLength,
      plan.session,
      plan.path,
      plan.plain,
      plan.repeat,
      plan.scratch,
    );
  }

  writeFrames(plan: WritePlan): void {
    this.#addon.engineWriteFrames(
      this.#handle,
      plan.count,
      plan.source,
      plan.item,
      plan.offset,
      plan.length,
      plan.flags,
      plan.repeat,
      plan.scratch,
    );
  }

  drainEvents(): EngineEvent[] {
    const events: EngineEvent[] = [];
    const count = this.#addon.engineDrain(this.#handle);
    for (let i = 0; i < count; i++) events.push(this.#event(i));
    this.#takeDrops(events);
    const broken = this.#addon.engineBroken(this.#handle);
    if (broken !== 0) {
      events.push({ type: 'failed', error: broken === 1 ? 'the UDP socket is gone' : 'the TAP is gone' });
    }
    return events;
  }

  #open({ address, port, tap, share, onReady }: EngineOptions): void {
    const { worker, workers } = share ?? { worker: 0, workers: 1 };
    const bytes = address === undefined ? EVERY_ADDRESS : ipToBytes(address);
    try {
      this.#addon.engineBind(this.#handle, bytes, port, worker, workers, onReady);
    } catch (error) {
      throw bindFailure(error, address, port);
    }
    if (tap === undefined) return;
    try {
      this.#addon.engineAttach(this.#handle, tap, true, onReady);
    } catch (error) {
      throw tapFailure(error, tap);
    }
    if (share !== undefined && share.worker === 0 && workers > 1) this.#steer(share);
  }

  /** Without it flows are spread all the same, but by the kernel's own rule. */
  #steer({ onUnsteered }: WorkerShare): void {
    try {
      this.#addon.engineSteer(this.#handle);
    } catch (error) {
      onUnsteered(error instanceof Error ? error.message : String(error));
    }
  }

  #configureSession(change: SessionChange): void {
    const { session } = change;
    switch (change.type) {
      case 'session':
        return this.#addSession(session, change.cookies?.send, change.cookies?.receive);
      case 'session-removed':
        return this.#addon.engineRemoveSession(this.#handle, session);
      case 'key':
        return this.#addon.engineAddKey(this.#handle, session, change.phase, change.send, change.receive);
      case 'send-phase':
        return this.#addon.engineSetSendPhase(this.#handle, session, change.phase);
      case 'key-removed':
        return this.#addon.engineRemoveKey(this.#handle, session, change.phase);
      case 'receive-index':
        return this.#addon.engineAddIndex(this.#handle, change.index, session, change.tag, change.roams);
      case 'direct-address':
        return this.#setDirect(session, change.endpoint);
    }
  }

  #configureTables(change: Exclude<EngineChange, SessionChange>): void {
    switch (change.type) {
      case 'receive-index-removed':
        return this.#addon.engineRemoveIndex(this.#handle, change.index);
      case 'path':
        return this.#addon.engineSetPath(
          this.#handle,
          change.path,
          endpointToBytes(change.to),
          change.sendIndex,
        );
      case 'path-removed':
        return this.#addon.engineRemovePath(this.#handle, change.path);
      case 'label':
        return this.#addon.engineSetLabel(
          this.#handle,
          change.index,
          change.from,
          change.to,
          change.nextIndex,
        );
      case 'label-removed':
        return this.#addon.engineRemoveLabel(this.#handle, change.index);
      case 'decisions-void':
        return this.#addon.engineForget(this.#handle);
    }
  }

  #addSession(session: number, send?: Uint8Array, receive?: Uint8Array): void {
    this.#addon.engineAddSession(this.#handle, session, send, receive);
  }

  #setDirect(session: number, endpoint: Endpoint | undefined): void {
    const bytes = endpoint === undefined ? undefined : endpointToBytes(endpoint);
    this.#addon.engineSetDirect(this.#handle, session, bytes);
  }

  #event(i: number): EngineEvent {
    const { events, eventSources } = this.#arrays;
    const at = i * EVENT_WORDS;
    const number = events[at + 1]!;
    const first = events[at + 2]!;
    const second = events[at + 3]!;
    switch (events[at]) {
      case EVENT_ROAMED:
        return {
          type: 'roamed',
          session: number,
          from: endpointFromBytes(eventSources, i * ENDPOINT_BYTES),
        };
      case EVENT_TOO_BIG:
        return { type: 'too-big', path: number, size: first };
      case EVENT_SEND_FAILED:
        return this.#sendFailed(number, first, second, events[at + 4]!);
      case EVENT_SENT:
        return { type: 'sent', session: number, datagrams: first, bytes: second };
      case EVENT_RECEIVED:
        return { type: 'received', session: number, datagrams: first, bytes: second };
      default:
        return { type: 'label-used', index: number, datagrams: first, bytes: second };
    }
  }

  #sendFailed(path: number, error: number, frames: number, messages: number): EngineEvent {
    return { type: 'send-failed', path, errno: getSystemErrorName(-error), frames, messages };
  }

  #takeDrops(events: EngineEvent[]): void {
    const { drops } = this.#arrays;
    for (let i = 0; i < drops.length; i++) {
      const count = drops[i]!;
      if (count > 0) events.push({ type: 'dropped', reason: engineDrops[i]!, count });
      drops[i] = 0;
    }
  }
}

function frameBatch(arrays: EngineArrays): FrameBatch {
  return {
    count: 0,
    data: arrays.frameData,
    offset: arrays.frameOffset,
    length: arrays.frameLength,
    segment: arrays.frameSegment,
    flags: arrays.frameFlags,
  };
}

function messageBatch(arrays: EngineArrays): MessageBatch {
  return {
    count: 0,
    data: arrays.messageData,
    offset: arrays.messageOffset,
    length: arrays.messageLength,
    kind: arrays.messageKind,
    flags: arrays.messageFlags,
    session: arrays.messageSession,
    tag: arrays.messageTag,
    phase: arrays.messagePhase,
    plain: arrays.messagePlain,
    wireLength: arrays.messageWireLength,
    source: (i) => {
      const slot = Math.floor(arrays.messageOffset[i]! / SLOT_BYTES);
      return endpointFromBytes(arrays.slotSources, slot * ENDPOINT_BYTES);
    },
  };
}
