import { createSocket, type RemoteInfo, type Socket, type SocketType } from 'node:dgram';
import { once } from 'node:events';
import { formatIp, parseIp, type Endpoint, type IpAddress } from '../../core/address.ts';
import type { DatagramSink } from './datagram-sender.ts';
import { DropOldest } from './drop-oldest.ts';
import type { MemoryEvents } from './memory-events.ts';
import { bindFailure } from './open-failure.ts';

/** Asked of the kernel, which grants no more than net.core.rmem_max and wmem_max. */
const SOCKET_BUFFER_BYTES = 4 << 20;
/** Datagrams that were handed to the socket and of which it has not reported yet; it reports after the turn. */
const IN_FLIGHT_LIMIT = 4_096;
/** Datagrams that arrived and were not fetched. */
const ARRIVED_LIMIT = 1_024;
/** Memory of datagrams in flight is taken in steps of this, so that it is seldom taken anew. */
const SLOT_STEP = 2_048;
/** Addresses whose text was parsed before; past these all are parsed anew. */
const REMEMBERED_SOURCES = 1_024;

export interface PortableSocketEvents {
  /** Something arrived, or there is an event to be drained. */
  onActivity(): void;
  onFailure(error: string): void;
}

/**
 * A UDP socket of Node with bounded queues on both sides. Datagrams to be sent lie in slots that are used again in the
 * order in which the socket reports them sent, which is the order in which it got them.
 */
export class PortableSocket implements DatagramSink {
  readonly arrived = new DropOldest<Uint8Array, Endpoint>(ARRIVED_LIMIT);
  readonly #socket: Socket;
  readonly #isDual: boolean;
  readonly #log: MemoryEvents;
  readonly #events: PortableSocketEvents;
  readonly #slots: Uint8Array[] = [];
  readonly #paths = new Uint32Array(IN_FLIGHT_LIMIT);
  readonly #sizes = new Uint32Array(IN_FLIGHT_LIMIT);
  readonly #ofLink: boolean[] = new Array<boolean>(IN_FLIGHT_LIMIT).fill(false);
  #sent = 0;
  #reported = 0;
  readonly #hosts = new WeakMap<Endpoint, string>();
  readonly #sources = new Map<string, Endpoint>();
  readonly #onReport = (error: NodeJS.ErrnoException | null): void => this.#noteSent(error);

  private constructor(socket: Socket, isDual: boolean, log: MemoryEvents, events: PortableSocketEvents) {
    this.#socket = socket;
    this.#isDual = isDual;
    this.#log = log;
    this.#events = events;
    socket.on('message', (datagram, info) => this.#onDatagram(datagram, info));
    socket.on('error', (error) => events.onFailure(`the UDP socket: ${error.message}`));
  }

  /**
   * One dual-stack socket for every address; a host without IPv6 gets one of IPv4. Rejects with an EngineError for the
   * operator.
   */
  static async bind(
    address: IpAddress | undefined,
    port: number,
    log: MemoryEvents,
    events: PortableSocketEvents,
  ): Promise<PortableSocket> {
    const bound = async (type: SocketType, at: IpAddress | undefined): Promise<PortableSocket> =>
      new PortableSocket(await bindAs(type, at, port), type === 'udp6', log, events);
    try {
      return await bound(address?.family === 4 ? 'udp4' : 'udp6', address);
    } catch (error) {
      const noIpv6 = address === undefined && (error as NodeJS.ErrnoException).code === 'EAFNOSUPPORT';
      if (!noIpv6) throw bindFailure(error, address, port);
      return await bound('udp4', undefined).catch((inner: unknown) => {
        throw bindFailure(inner, address, port);
      });
    }
  }

  async close(): Promise<void> {
    this.arrived.clear();
    await new Promise<void>((resolve) => this.#socket.close(resolve));
  }

  reserve(bytes: number): Uint8Array | undefined {
    if (this.#sent - this.#reported >= IN_FLIGHT_LIMIT) return undefined;
    const at = this.#sent % IN_FLIGHT_LIMIT;
    let slot = this.#slots[at];
    if (slot === undefined || slot.length < bytes) {
      slot = new Uint8Array(Math.ceil(bytes / SLOT_STEP) * SLOT_STEP);
      this.#slots[at] = slot;
    }
    return slot.subarray(0, bytes);
  }

  transmit(path: number, to: Endpoint, datagram: Uint8Array, ofLink: boolean): void {
    const at = this.#sent++ % IN_FLIGHT_LIMIT;
    this.#paths[at] = path;
    this.#sizes[at] = datagram.length;
    this.#ofLink[at] = ofLink;
    this.#socket.send(datagram, to.port, this.#hostOf(to), this.#onReport);
  }

  #noteSent(error: NodeJS.ErrnoException | null): void {
    const at = this.#reported++ % IN_FLIGHT_LIMIT;
    if (error === null) return;
    const path = this.#paths[at]!;
    if (error.code === 'EMSGSIZE') this.#log.tooBig(path, this.#sizes[at]!);
    else this.#log.sendFailed(path, error.code ?? error.message, this.#ofLink[at]!);
    this.#events.onActivity();
  }

  #onDatagram(datagram: Uint8Array, info: RemoteInfo): void {
    const from = this.#sourceOf(info);
    if (from === undefined) return;
    if (this.arrived.push(datagram, from)) this.#log.dropped('receive-queue-full');
    this.#events.onActivity();
  }

  #hostOf(to: Endpoint): string {
    let host = this.#hosts.get(to);
    if (host === undefined) {
      const address = formatIp(to.ip);
      host = this.#isDual && to.ip.family === 4 ? `::ffff:${address}` : address;
      this.#hosts.set(to, host);
    }
    return host;
  }

  /** The last endpoint of each address is remembered, because parsing it costs more than opening a small datagram. */
  #sourceOf({ address, port }: RemoteInfo): Endpoint | undefined {
    const known = this.#sources.get(address);
    if (known?.port === port) return known;
    const ip = known?.ip ?? parseIp(address);
    if (ip === undefined || port === 0) return undefined;
    const source = { ip, port };
    if (this.#sources.size >= REMEMBERED_SOURCES) this.#sources.clear();
    this.#sources.set(address, source);
    return source;
  }
}

async function bindAs(type: SocketType, address: IpAddress | undefined, port: number): Promise<Socket> {
  const socket = createSocket({
    type,
    recvBufferSize: SOCKET_BUFFER_BYTES,
    sendBufferSize: SOCKET_BUFFER_BYTES,
    // Every destination is an address already; such a look-up answers within the call, and so does the socket.
    lookup: (host, _options, done) => done(null, host, type === 'udp4' ? 4 : 6),
  });
  const listening = once(socket, 'listening');
  socket.bind({ port, address: address === undefined ? undefined : formatIp(address) });
  try {
    await listening;
    return socket;
  } catch (error) {
    socket.close();
    throw error;
  }
}
