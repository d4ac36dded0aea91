import { lookup } from 'node:dns/promises';
import { createServer, Socket, type Server } from 'node:net';
import {
  equalIp,
  formatEndpoint,
  formatIp,
  parseIp,
  type Endpoint,
  type IpAddress,
} from '../../core/address.ts';
import { concatAll } from '../../core/bytes.ts';

/** What the TCP edge tells its owner. Connection numbers are unique for the life of the process. */
export interface StreamEvents {
  onAccepted(conn: number, remote: Endpoint): void;
  onConnected(conn: number, remote: Endpoint): void;
  onDialFailed(conn: number, error: string): void;
  onBytes(conn: number, bytes: Uint8Array): void;
  /** What was written, but for a few KiB, has left this process. */
  onDrained(conn: number): void;
  onClosed(conn: number, error: string | undefined): void;
}

/** Shared by the addresses of a host name, which are tried one after the other, but none gets less than the least. */
const DIAL_LIMIT_MS = 10_000;
const LEAST_DIAL_LIMIT_MS = 2_000;
/** Of one host name, tried in one dial. */
const MOST_ADDRESSES = 16;
/** What a neighbour that does not read may hold up. */
const CLOSE_LIMIT_MS = 1_000;
const MOST_SOCKETS = 8_192;
const CUT_OFF = 'this host no longer has the address that the connection began at';

/** The control plane's TCP sockets: one listener, and a stream for each connection number. */
export class Streams {
  readonly #events: StreamEvents;
  readonly #sockets = new Map<number, Socket>();
  /** Written since the last {@link flush}. */
  readonly #unsent = new Map<number, Uint8Array[]>();
  /** With how to end each of them. */
  readonly #dialling = new Map<Socket, (error: string) => void>();
  readonly #server: Server;
  #nextInbound = 1;
  #closed = false;

  constructor(events: StreamEvents) {
    this.#events = events;
    this.#server = createServer({ noDelay: true }, (socket) => this.#accept(socket));
    this.#server.maxConnections = MOST_SOCKETS;
  }

  /** Listens on one address or on all; rejects with a sentence that names the port. */
  listen(address: IpAddress | undefined, port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', (error: NodeJS.ErrnoException) => reject(listenError(error, address, port)));
      const host = address === undefined ? {} : { host: formatIp(address) };
      this.#server.listen({ port, ...host }, () => {
        this.#server.removeAllListeners('error').on('error', () => undefined);
        resolve();
      });
    });
  }

  /** Resolves the host name afresh and connects; the owner hears onConnected or onDialFailed. */
  dial(conn: number, host: string, port: number): void {
    void this.#resolve(host).then(
      (ips) => {
        const limit = Math.max(LEAST_DIAL_LIMIT_MS, DIAL_LIMIT_MS / ips.length);
        if (!this.#closed) this.#connect(conn, ips, port, limit);
      },
      (error: unknown) => {
        if (this.#closed) return;
        this.#events.onDialFailed(conn, lookupFailure(host, error));
      },
    );
  }

  /** Takes the bytes over; they leave with the next {@link flush}. */
  write(conn: number, bytes: Uint8Array): void {
    const unsent = this.#unsent.get(conn);
    if (unsent === undefined) this.#unsent.set(conn, [bytes]);
    else unsent.push(bytes);
  }

  /**
   * Sends what was written: one segment and one system call for all that a stream has of one turn of the loop. The owner
   * hears at once of those that are drained. False if nothing was written.
   */
  flush(): boolean {
    if (this.#unsent.size === 0) return false;
    for (const conn of [...this.#unsent.keys()]) if (this.#send(conn)) this.#events.onDrained(conn);
    return true;
  }

  /**
   * Sends what was written, for a second at most, then closes; nothing more is reported of it. By a reset it is gone at
   * once, from the kernel too: no half-closed state waits for a peer that may never answer.
   */
  closeStream(conn: number, reset = false): void {
    this.#send(conn);
    const socket = this.#sockets.get(conn);
    if (socket === undefined) return;
    this.#sockets.delete(conn);
    if (reset) return void socket.resetAndDestroy();
    socket.destroySoon();
    const timer = setTimeout(() => socket.destroy(), CLOSE_LIMIT_MS);
    socket.once('close', () => clearTimeout(timer));
  }

  /** Ends all that began at one of these addresses, which this host no longer has; it is reported as closed or failed. */
  onAddressesGone(gone: readonly IpAddress[]): void {
    const isCutOff = ({ localAddress }: Socket): boolean => {
      const local = parseIp(localAddress ?? '');
      return local !== undefined && gone.some((ip) => equalIp(ip, local));
    };
    for (const [socket, fail] of this.#dialling) if (isCutOff(socket)) fail(CUT_OFF);
    for (const [conn, socket] of this.#sockets) {
      if (!isCutOff(socket)) continue;
      this.#sockets.delete(conn);
      socket.destroy();
      this.#events.onClosed(conn, CUT_OFF);
    }
  }

  /** Whether a stream begins or ends at this address of the host. Where there is none, each address may be the way. */
  carries(ip: IpAddress): boolean {
    const isAt = ({ localAddress }: Socket): boolean => {
      const local = parseIp(localAddress ?? '');
      return local !== undefined && equalIp(ip, local);
    };
    return this.#sockets.size === 0 || [...this.#sockets.values()].some(isAt);
  }

  /** Stops listening and closes all streams; names that are being looked up lead to none, and are not reported. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const socket of this.#dialling.keys()) socket.destroy();
    this.#dialling.clear();
    for (const conn of [...this.#sockets.keys()]) this.closeStream(conn);
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  /** Whether it has left, but for a few KiB. */
  #send(conn: number): boolean {
    const unsent = this.#unsent.get(conn);
    const socket = this.#sockets.get(conn);
    this.#unsent.delete(conn);
    if (unsent === undefined || socket === undefined || socket.destroyed) return false;
    return socket.write(unsent.length === 1 ? unsent[0]! : concatAll(unsent));
  }

  /** Connection numbers of accepted streams are odd, those that the owner dials even. */
  #accept(socket: Socket): void {
    const ip = parseIp(socket.remoteAddress ?? '');
    const port = socket.remotePort;
    if (ip === undefined || port === undefined) {
      socket.destroy();
      return;
    }
    const conn = this.#nextInbound;
    this.#nextInbound += 2;
    this.#adopt(conn, socket);
    this.#events.onAccepted(conn, { ip, port });
  }

  async #resolve(host: string): Promise<IpAddress[]> {
    const literal = parseIp(host);
    if (literal !== undefined) return [literal];
    const found = await lookup(host, { all: true });
    const ips = found.flatMap(({ address }) => parseIp(address) ?? []);
    // What is too much for one dial gets its turn in another.
    const first = ips.length > MOST_ADDRESSES ? Math.floor(Math.random() * ips.length) : 0;
    return [...ips.slice(first), ...ips.slice(0, first)].slice(0, MOST_ADDRESSES);
  }

  /** Tries the addresses in turn until one answers, each for `limit` ms. */
  #connect(conn: number, [ip, ...others]: readonly IpAddress[], port: number, limit: number): void {
    if (ip === undefined) {
      this.#events.onDialFailed(conn, 'the name has no address');
      return;
    }
    const remote = { ip, port };
    const socket = new Socket();
    const fail = (error: string) => {
      socket.removeAllListeners().on('error', () => undefined);
      socket.destroy();
      if (!this.#dialling.delete(socket)) return;
      if (others.length > 0) this.#connect(conn, others, port, limit);
      else this.#events.onDialFailed(conn, error);
    };
    this.#dialling.set(socket, fail);
    socket.setNoDelay(true);
    socket.setTimeout(limit, () => fail(`no answer from ${formatEndpoint(remote)}`));
    socket.once('error', (error) => fail(dialFailure(remote, error)));
    socket.once('connect', () => {
      socket.removeAllListeners().setTimeout(0);
      this.#dialling.delete(socket);
      this.#adopt(conn, socket);
      this.#events.onConnected(conn, remote);
    });
    socket.connect({ host: formatIp(ip), port });
  }

  #adopt(conn: number, socket: Socket): void {
    this.#sockets.set(conn, socket);
    let failure: string | undefined;
    socket.on('error', (error) => (failure = error.message));
    socket.on('data', (bytes) => this.#ifOpen(conn, () => this.#events.onBytes(conn, bytes)));
    socket.on('drain', () => this.#ifOpen(conn, () => this.#events.onDrained(conn)));
    socket.on('close', () =>
      this.#ifOpen(conn, () => {
        this.#sockets.delete(conn);
        this.#events.onClosed(conn, failure);
      }),
    );
  }

  #ifOpen(conn: number, act: () => void): void {
    if (this.#sockets.has(conn)) act();
  }
}

const DIAL_FAILURES: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'refuses connections: nothing listens there',
  ECONNRESET: 'reset the connection',
  EHOSTUNREACH: 'is unreachable (EHOSTUNREACH)',
  ENETUNREACH: 'is unreachable: this host has no route there',
  ETIMEDOUT: 'does not answer',
};

function dialFailure(remote: Endpoint, error: NodeJS.ErrnoException): string {
  const known = DIAL_FAILURES[error.code ?? ''];
  return known === undefined ? error.message : `${formatEndpoint(remote)} ${known}`;
}

function lookupFailure(host: string, error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  switch (code) {
    case 'ENOTFOUND':
      return `there is no host name "${host}"`;
    case 'EAI_AGAIN':
      return `the host name "${host}" cannot be looked up now: no name server answers`;
    default:
      return message;
  }
}

function listenError(error: NodeJS.ErrnoException, address: IpAddress | undefined, port: number): Error {
  const where = address === undefined ? `port ${port}` : formatEndpoint({ ip: address, port });
  switch (error.code) {
    case 'EADDRINUSE':
      return new Error(`${where} is in use (TCP): stop what listens there, or choose another --port`);
    case 'EADDRNOTAVAIL':
      return new Error(`${where} is not an address of this host: choose another --host`);
    default:
      return new Error(`cannot listen on ${where}: ${error.message}`);
  }
}
