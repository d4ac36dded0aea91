import { equalEndpoint, type Endpoint } from '../../core/address.ts';
import { equalBytes } from '../../core/bytes.ts';
import {
  COUNTER_LIMIT,
  DATAGRAM_OVERHEAD,
  HEADER_BYTES,
  LONGEST_DATAGRAM,
  TAG_BYTES,
  TYPE_PLAIN,
  TYPE_SEALED,
  datagramCounter,
  datagramFault,
  datagramIndex,
  datagramPhase,
  datagramType,
  rewriteDatagramIndex,
  writeDatagramHeader,
} from '../wire/datagram.ts';
import { ETHERNET_HEADER_BYTES } from '../wire/ethernet.ts';
import { MemoryFrames, MemoryMessages } from './memory-batches.ts';
import { MemoryEvents } from './memory-events.ts';
import { MemoryState, type EngineSession, type PhaseKeys, type ReceiveIndex } from './memory-state.ts';
import {
  PREFIX_STRIDE,
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
/** A super-frame of 65,535 bytes of IP with an Ethernet header and two VLAN tags. */
const LONGEST_FRAME = 65_557;

/** ChaCha20-Poly1305-IETF with nonce = 4 zero bytes | counter u64 LE, or a fake of it for simulations. */
export interface DatagramCipher {
  /** Ciphertext and 16-byte tag: 16 bytes more than `plaintext`. */
  seal(key: Uint8Array, counter: number, plaintext: Uint8Array): Uint8Array;
  /** Undefined if the tag is invalid. */
  open(key: Uint8Array, counter: number, sealed: Uint8Array): Uint8Array | undefined;
}

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
}

/**
 * The engine port without system calls, for tests and simulations: the network and the host are callbacks, and
 * {@link deliver} and {@link hostSends} are their other direction. It keeps every rule of the wire, cuts no
 * super-frames (the host sends none), and reads no clock.
 */
export class MemoryEngine implements Engine {
  readonly #options: MemoryEngineOptions;
  readonly #counterLimit: number;
  readonly #state = new MemoryState();
  readonly #events = new MemoryEvents();
  readonly #frames = new MemoryFrames(BATCH);
  readonly #messages = new MemoryMessages(BATCH);
  readonly #fromHost = new DropOldest<{ frame: Uint8Array; flags: number }>(QUEUE_LIMIT);
  readonly #fromNetwork = new DropOldest<{ from: Endpoint; datagram: Uint8Array }>(QUEUE_LIMIT);
  #onReady: (() => void) | undefined;
  #hasTap = false;

  constructor(options: MemoryEngineOptions) {
    this.#options = options;
    this.#counterLimit = Math.min(options.counterLimit ?? COUNTER_LIMIT, COUNTER_LIMIT);
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
    for (const change of changes) this.#state.apply(change);
  }

  /** The network: a datagram arrives. It must not be changed afterwards. */
  deliver(from: Endpoint, datagram: Uint8Array): void {
    if (this.#onReady === undefined) return;
    if (this.#fromNetwork.push({ from, datagram })) this.#events.dropped('receive-queue-full');
    this.#onReady();
  }

  /** The host: a frame for the TAP's reader. It must not be changed afterwards. */
  hostSends(frame: Uint8Array, flags = 0): void {
    if (this.#onReady === undefined || !this.#hasTap) return;
    if (this.#fromHost.push({ frame, flags })) this.#events.dropped('tap-queue-full');
    this.#onReady();
  }

  /** Whether readFrames or receive has something left. */
  get waiting(): boolean {
    return !this.#fromHost.empty || !this.#fromNetwork.empty;
  }

  readFrames(): FrameBatch {
    this.#frames.clear();
    while (this.#frames.count < BATCH) {
      const next = this.#fromHost.shift();
      if (next === undefined) break;
      const fault = frameFault(next.frame.length);
      if (fault === undefined) this.#frames.add(next.frame, next.flags);
      else this.#events.dropped(fault);
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
    while (this.#messages.count < BATCH) {
      const next = this.#fromNetwork.shift();
      if (next === undefined) break;
      const drop = this.#accept(next.datagram, next.from);
      if (drop !== undefined) this.#events.dropped(drop);
    }
    return this.#messages;
  }

  send(plan: SendPlan): void {
    for (let i = 0; i < plan.count; i++) {
      const drop = this.#sendEntry(plan, i);
      if (drop !== undefined) this.#events.dropped(drop);
    }
  }

  writeFrames(plan: WritePlan): void {
    for (let i = 0; i < plan.count; i++) {
      const drop = this.#writeEntry(plan, i);
      if (drop !== undefined) this.#events.dropped(drop);
    }
  }

  drainEvents(): EngineEvent[] {
    return this.#events.drain();
  }

  #accept(datagram: Uint8Array, from: Endpoint): EngineDrop | undefined {
    const fault = datagramFault(datagram);
    if (fault !== undefined) return fault;
    const index = datagramIndex(datagram);
    const entry = this.#state.indexes.get(index);
    if (entry === undefined) return this.#relay(index, datagram, from);
    const session = this.#state.sessions.get(entry.session)!;
    if (datagramType(datagram) === TYPE_PLAIN) return this.#acceptPlain(session, entry, datagram, from);
    return this.#acceptSealed(session, entry, datagram, from);
  }

  #relay(index: number, datagram: Uint8Array, from: Endpoint): EngineDrop | undefined {
    const label = this.#state.labels.get(index);
    if (label === undefined) return 'index-unknown';
    const previous = this.#state.paths.get(label.from);
    const next = this.#state.paths.get(label.to);
    if (previous === undefined || next === undefined) return 'path-unknown';
    if (!equalEndpoint(previous.to, from)) return 'label-source-wrong';
    const copy = datagram.slice();
    rewriteDatagramIndex(copy, label.nextIndex);
    this.#events.labelUsed(index, copy.length);
    this.#transmit(label.to, next.to, copy);
    return undefined;
  }

  #acceptPlain(
    session: EngineSession,
    entry: ReceiveIndex,
    datagram: Uint8Array,
    from: Endpoint,
  ): EngineDrop | undefined {
    const payloadEnd = datagram.length - TAG_BYTES;
    const cookie = session.cookies?.receive;
    if (cookie === undefined || !equalBytes(datagram.subarray(payloadEnd), cookie)) return 'cookie-invalid';
    this.#messages.add(datagram.subarray(HEADER_BYTES, payloadEnd), {
      session: entry.session,
      tag: entry.tag,
      phase: 0,
      plain: true,
      wireLength: datagram.length,
      from,
    });
    return undefined;
  }

  #acceptSealed(
    session: EngineSession,
    entry: ReceiveIndex,
    datagram: Uint8Array,
    from: Endpoint,
  ): EngineDrop | undefined {
    const phase = datagramPhase(datagram);
    const keys = session.phases.get(phase);
    if (keys === undefined) return 'key-unknown';
    const counter = datagramCounter(datagram);
    if (counter >= COUNTER_LIMIT) return 'counter-exhausted';
    const plaintext = this.#options.cipher.open(keys.receive, counter, datagram.subarray(HEADER_BYTES));
    if (plaintext === undefined) return 'tag-invalid';
    const before = keys.window.highest;
    const verdict = keys.window.accept(counter);
    if (verdict !== 'new') return verdict === 'replayed' ? 'counter-replayed' : 'counter-too-old';
    if (entry.roams && counter > before) this.#noteSource(entry.session, session, keys, from);
    const { session: number, tag } = entry;
    const wireLength = datagram.length;
    this.#messages.add(plaintext, { session: number, tag, phase, plain: false, wireLength, from });
    return undefined;
  }

  /** The highest counter says where the peer is now; a late datagram of a phase before the newest one does not. */
  #noteSource(number: number, session: EngineSession, keys: PhaseKeys, from: Endpoint): void {
    for (const other of session.phases.values()) {
      if (other.order > keys.order && other.window.highest >= 0) return;
    }
    if (session.directAddress !== undefined && equalEndpoint(session.directAddress, from)) return;
    this.#events.roamed(number, from);
  }

  #sendEntry(plan: SendPlan, i: number): EngineDrop | undefined {
    const path = this.#state.paths.get(plan.path[i]!);
    if (path === undefined) return 'path-unknown';
    const session = this.#state.sessions.get(plan.session[i]!);
    if (session === undefined) return 'key-unknown';
    const plaintext = this.#plaintextOf(plan, i);
    if (plaintext === undefined) return 'frame-malformed';
    if (plaintext.length + DATAGRAM_OVERHEAD > LONGEST_DATAGRAM) return 'frame-too-long';
    const datagram =
      plan.plain[i] === 1
        ? this.#plain(session, path.sendIndex, plaintext)
        : this.#seal(session, path.sendIndex, plaintext);
    if (typeof datagram === 'string') return datagram;
    this.#transmit(plan.path[i]!, path.to, datagram);
    return undefined;
  }

  /** Prefix and bytes of the entry, joined; undefined if they do not lie within their buffers. */
  #plaintextOf(plan: SendPlan, i: number): Uint8Array | undefined {
    const data = this.#sourceData(plan.source[i]!, plan.scratch);
    const offset = plan.offset[i]!;
    const length = plan.length[i]!;
    const prefix = plan.prefixLength[i]!;
    if (offset + length > data.length || prefix > PREFIX_STRIDE || prefix + length < 2) return undefined;
    const plaintext = new Uint8Array(prefix + length);
    plaintext.set(plan.prefixes.subarray(i * PREFIX_STRIDE, i * PREFIX_STRIDE + prefix));
    plaintext.set(data.subarray(offset, offset + length), prefix);
    return plaintext;
  }

  #seal(session: EngineSession, index: number, plaintext: Uint8Array): Uint8Array | EngineDrop {
    const phase = session.sendPhase;
    const keys = phase === undefined ? undefined : session.phases.get(phase);
    if (phase === undefined || keys === undefined) return 'key-unknown';
    if (keys.sendCounter >= this.#counterLimit) return 'counter-exhausted';
    const counter = keys.sendCounter++;
    const datagram = new Uint8Array(plaintext.length + DATAGRAM_OVERHEAD);
    writeDatagramHeader(datagram, TYPE_SEALED, phase, index, counter);
    datagram.set(this.#options.cipher.seal(keys.send, counter, plaintext), HEADER_BYTES);
    return datagram;
  }

  #plain(session: EngineSession, index: number, plaintext: Uint8Array): Uint8Array | EngineDrop {
    if (session.cookies === undefined) return 'key-unknown';
    if (session.plainCounter >= this.#counterLimit) return 'counter-exhausted';
    const datagram = new Uint8Array(plaintext.length + DATAGRAM_OVERHEAD);
    writeDatagramHeader(datagram, TYPE_PLAIN, 0, index, session.plainCounter++);
    datagram.set(plaintext, HEADER_BYTES);
    datagram.set(session.cookies.send, HEADER_BYTES + plaintext.length);
    return datagram;
  }

  #transmit(path: number, to: Endpoint, datagram: Uint8Array): void {
    const errno = this.#options.transmit(to, datagram, path);
    if (errno === 'EMSGSIZE') this.#events.tooBig(path, datagram.length);
    else if (errno !== undefined) this.#events.sendFailed(path, errno);
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

function frameFault(length: number): EngineDrop | undefined {
  if (length < ETHERNET_HEADER_BYTES) return 'frame-malformed';
  return length > LONGEST_FRAME ? 'frame-too-long' : undefined;
}

/** A bounded queue in which the newest displaces the oldest. */
class DropOldest<T> {
  readonly #limit: number;
  #items: T[] = [];
  #head = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get empty(): boolean {
    return this.#head === this.#items.length;
  }

  /** True if the oldest had to go. */
  push(item: T): boolean {
    this.#items.push(item);
    if (this.#items.length - this.#head <= this.#limit) return false;
    this.shift();
    return true;
  }

  shift(): T | undefined {
    if (this.#head === this.#items.length) return undefined;
    const item = this.#items[this.#head++];
    if (this.#head >= this.#limit || this.#head === this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }

  clear(): void {
    this.#items = [];
    this.#head = 0;
  }
}
