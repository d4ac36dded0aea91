import { createSocket, type RemoteInfo, type Socket, type SocketType } from 'node:dgram';
import { once } from 'node:events';
import { formatIp, parseIp, type Endpoint, type IpAddress } from '../../core/address.ts';
import { COUNTER_LIMIT } from '../wire/datagram.ts';
import { loadAddon, TAP_GONE, TAP_REFUSED, TAP_QUEUE_FULL, type Addon, type TapHandle } from './addon.ts';
import { MemoryFrames } from './memory-batches.ts';
import { MemoryEvents } from './memory-events.ts';
import { MemoryEngine, type DatagramCipher } from './memory.ts';
import { bindFailure, tapFailure } from './open-failure.ts';
import {
  type Engine,
  type EngineChange,
  type EngineEvent,
  type EngineOptions,
  type FrameBatch,
  type HandedFrame,
  type MessageBatch,
  type SendPlan,
  type WritePlan,
} from './port.ts';

/** Asked of the kernel, which grants no more than net.core.rmem_max and wmem_max. */
const SOCKET_BUFFER_BYTES = 4 << 20;
/** Datagrams handed to the socket that have not left it. */
const IN_FLIGHT_LIMIT = 1_024;
const TAP_BATCH = 64;
/** Some of the longest frames, and many of the usual ones. */
const TAP_BATCH_BYTES = 256 << 10;

/**
 * The slow engine, for comparison and debugging: the rules of {@link MemoryEngine}, with a UDP socket of Node as its
 * network and a TAP as its host. Without path MTU discovery: what exceeds the MTU of the first hop, the kernel fragments.
 */
export class PortableEngine implements Engine {
  readonly #memory: MemoryEngine;
  readonly #events = new MemoryEvents();
  readonly #tapFrames = new MemoryFrames(TAP_BATCH);
  #socket: Socket | undefined;
  #mapped = false;
  #inFlight = 0;
  #addon: Addon | undefined;
  #tap: TapHandle | undefined;
  #onReady: (() => void) | undefined;
  #wakeUp: NodeJS.Immediate | undefined;
  #failure: string | undefined;

  /** `counterLimit`: datagrams that one key may seal; less than all of them in tests only. */
  constructor(cipher: DatagramCipher, counterLimit = COUNTER_LIMIT) {
    this.#memory = new MemoryEngine({
      cipher,
      counterLimit,
      transmit: (to, datagram, path) => this.#transmit(to, datagram, path),
      onHostReceives: (frame, flags) => this.#writeToTap(frame, flags),
    });
    this.#tapFrames.data = new Uint8Array(TAP_BATCH_BYTES);
  }

  async open(options: EngineOptions): Promise<void> {
    const wake = (): void => this.#scheduleWakeUp();
    await this.#memory.open({ ...options, onReady: wake });
    this.#onReady = options.onReady;
    try {
      await this.#bind(options.address, options.port);
      if (options.tap !== undefined) this.#openTap(options.tap);
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#onReady = undefined;
    clearImmediate(this.#wakeUp);
    this.#wakeUp = undefined;
    if (this.#tap !== undefined) this.#addon?.tapClose(this.#tap);
    this.#tap = undefined;
    const socket = this.#socket;
    this.#socket = undefined;
    await this.#memory.close();
    if (socket !== undefined) await new Promise<void>((resolve) => socket.close(resolve));
  }

  configure(changes: readonly EngineChange[]): void {
    this.#memory.configure(changes);
  }

  readFrames(): FrameBatch {
    return this.#memory.readFrames();
  }

  adoptFrames(frames: readonly HandedFrame[]): FrameBatch {
    return this.#memory.adoptFrames(frames);
  }

  receive(): MessageBatch {
    return this.#memory.receive();
  }

  send(plan: SendPlan): void {
    this.#memory.send(plan);
  }

  writeFrames(plan: WritePlan): void {
    this.#memory.writeFrames(plan);
  }

  drainEvents(): EngineEvent[] {
    const events = [...this.#memory.drainEvents(), ...this.#events.drain()];
    if (this.#failure !== undefined) events.push({ type: 'failed', error: this.#failure });
    this.#failure = undefined;
    return events;
  }

  /** One dual-stack socket for every address; a host without IPv6 gets one of IPv4. */
  async #bind(address: IpAddress | undefined, port: number): Promise<void> {
    try {
      await this.#bindAs(address?.family === 4 ? 'udp4' : 'udp6', address, port);
    } catch (error) {
      const noIpv6 = address === undefined && (error as NodeJS.ErrnoException).code === 'EAFNOSUPPORT';
      if (!noIpv6) throw bindFailure(error, address, port);
      await this.#bindAs('udp4', undefined, port).catch((inner: unknown) => {
        throw bindFailure(inner, address, port);
      });
    }
  }

  async #bindAs(type: SocketType, address: IpAddress | undefined, port: number): Promise<void> {
    const socket = createSocket({
      type,
      recvBufferSize: SOCKET_BUFFER_BYTES,
      sendBufferSize: SOCKET_BUFFER_BYTES,
      // Every destination is an address already.
      lookup: (host, _options, done) => done(null, host, type === 'udp4' ? 4 : 6),
    });
    // Such a look-up answers within the call, and so does the socket.
    const listening = once(socket, 'listening');
    socket.bind({ port, address: address === undefined ? undefined : formatIp(address) });
    try {
      await listening;
    } catch (error) {
      socket.close();
      throw error;
    }
    socket.on('message', (datagram, info) => this.#onDatagram(datagram, info));
    socket.on('error', (error) => this.#fail(`the UDP socket: ${error.message}`));
    this.#mapped = type === 'udp6';
    this.#socket = socket;
  }

  #openTap(name: string): void {
    this.#addon = loadAddon();
    try {
      this.#tap = this.#addon.tapOpen(name, false, () => this.#onTapReadable());
    } catch (error) {
      throw tapFailure(error, name);
    }
  }

  #onDatagram(datagram: Uint8Array, info: RemoteInfo): void {
    const ip = parseIp(info.address);
    if (ip !== undefined && info.port > 0) this.#memory.deliver({ ip, port: info.port }, datagram);
  }

  #onTapReadable(): void {
    if (this.#tap === undefined) return;
    const { data, offset, length, segment, flags } = this.#tapFrames;
    const count = this.#addon!.tapRead(this.#tap, data, offset, length, segment, flags);
    if (count < 0) this.#failTap();
    for (let i = 0; i < count; i++) {
      this.#memory.hostSends(data.slice(offset[i], offset[i]! + length[i]!), flags[i]);
    }
  }

  #writeToTap(frame: Uint8Array, flags: number): void {
    if (this.#tap === undefined) return;
    const result = this.#addon!.tapWrite(this.#tap, frame, 0, frame.length, flags);
    if (result === TAP_GONE) this.#failTap();
    else if (result === TAP_REFUSED) this.#events.dropped('frame-malformed');
    else if (result === TAP_QUEUE_FULL) this.#events.dropped('tap-queue-full');
  }

  #transmit(to: Endpoint, datagram: Uint8Array, path: number): undefined {
    if (this.#socket === undefined) return;
    if (this.#inFlight >= IN_FLIGHT_LIMIT) {
      this.#events.dropped('socket-queue-full');
      return;
    }
    this.#inFlight++;
    const address = formatIp(to.ip);
    const host = this.#mapped && to.ip.family === 4 ? `::ffff:${address}` : address;
    this.#socket.send(datagram, to.port, host, (error) => {
      this.#inFlight--;
      if (error !== null) this.#noteSendError(error, path, datagram.length);
    });
  }

  #noteSendError(error: NodeJS.ErrnoException, path: number, size: number): void {
    if (error.code === 'EMSGSIZE') this.#events.tooBig(path, size);
    else this.#events.sendFailed(path, error.code ?? error.message);
    this.#scheduleWakeUp();
  }

  #failTap(): void {
    this.#addon!.tapClose(this.#tap!);
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
      if (this.#memory.waiting) this.#scheduleWakeUp();
    });
  }
}
