import { formatEndpoint } from '../core/address.ts';
import type { PeerName } from '../core/peer-name.ts';
import type { Millis } from '../core/time.ts';
import type { Greeted } from './admission.ts';
import type { ChannelNeighbour } from './channels.ts';
import type { Connection } from './connection.ts';
import type { Hello } from './messages.ts';

/** A peer at the other end of the control connection that serves it. */
export class Neighbour implements ChannelNeighbour, Greeted {
  readonly connection: Connection;
  readonly hello: Hello;
  readonly replaces: Uint8Array;
  /** It accepted us, too: something came after its hello. */
  isEstablished = false;
  /** The password of the connection is no longer held: replace it until `until`, next try at `next`; `error`: why the last one failed. */
  remake: { readonly until: Millis; next: Millis; error?: string } | undefined;
  readonly #send: (connection: Connection, message: Uint8Array, now: Millis) => void;

  constructor(
    connection: Connection,
    hello: Hello,
    replaces: Uint8Array,
    send: (connection: Connection, message: Uint8Array, now: Millis) => void,
  ) {
    this.connection = connection;
    this.hello = hello;
    this.replaces = replaces;
    this.#send = send;
  }

  get name(): PeerName {
    return this.hello.name;
  }

  get sid(): Uint8Array {
    return this.connection.sid;
  }

  get isWritable(): boolean {
    return this.connection.isWritable;
  }

  get address(): string {
    return formatEndpoint(this.connection.remote);
  }

  /** What a log line says of it. */
  get logFields(): Record<string, string> {
    return { peer: this.name, nickname: this.hello.nickname, address: this.address };
  }

  send(message: Uint8Array, now: Millis): void {
    this.#send(this.connection, message, now);
  }
}
