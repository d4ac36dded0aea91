import { formatEndpoint, type Endpoint } from '../core/address.ts';
import { earlier, nextBeat, SECOND, type Machine, type Millis } from '../core/time.ts';
import { encodeMessage, parseMessage, type Hello, type Message } from './messages.ts';
import {
  MAX_PASSWORDS,
  type ChannelFailure,
  type CryptoJob,
  type CryptoResult,
  type SecureChannel,
} from './secure-channel.ts';

export const HEARTBEAT_EVERY: Millis = 10 * SECOND;
export const DEAD_AFTER: Millis = 30 * SECOND;
/** From the open channel to the other end's hello. */
const HELLO_WITHIN: Millis = 10 * SECOND;
/** Bytes not yet taken by the stream above which nothing but hand-shaking is written. */
const HIGH_WATER = 256 * 1_024;

/** Why a connection ended: a word to count and a sentence for the operator. */
export interface ConnectionFailure {
  readonly reason: string;
  readonly error: string;
}

export type ConnectionEvent =
  | { readonly type: 'write'; readonly bytes: Uint8Array }
  | { readonly type: 'task'; readonly task: number; readonly job: CryptoJob; readonly guesses: number }
  /** The channel is open: say hello. */
  | { readonly type: 'opened' }
  | { readonly type: 'hello'; readonly hello: Hello }
  | { readonly type: 'message'; readonly message: Exclude<Message, Hello> }
  /** The connection is dead; nothing follows. */
  | { readonly type: 'failed'; readonly failure: ConnectionFailure };

export interface ConnectionOptions {
  readonly conn: number;
  readonly remote: Endpoint;
  readonly outbound: boolean;
  readonly channel: SecureChannel;
}

type Phase = 'handshake' | 'greeting' | 'running' | 'closed';

/** A connection without a password counts as made with the first. */
const FIRST_POSITIONS = Array.from({ length: MAX_PASSWORDS }, (_, i) => i);

const BYTES_OF_HEARTBEAT = encodeMessage({ type: 'heartbeat' });

/** One control connection: secure channel, one hello in each direction, then messages and heartbeats. */
export class Connection implements Machine<ConnectionEvent> {
  readonly conn: number;
  readonly remote: Endpoint;
  readonly outbound: boolean;
  readonly #channel: SecureChannel;
  #phase: Phase = 'handshake';
  #events: ConnectionEvent[] = [];
  #sid: Uint8Array = new Uint8Array(0);
  #openedWith = -1;
  /** By position when the connection began: where that password is now; undefined if it was dropped. */
  #positions: readonly (number | undefined)[] = FIRST_POSITIONS;
  #hello: Hello | undefined;
  #helloDeadline: Millis | undefined;
  #heardAt: Millis;
  #sentAt: Millis;
  #unwritten = 0;

  constructor(options: ConnectionOptions, now: Millis) {
    this.conn = options.conn;
    this.remote = options.remote;
    this.outbound = options.outbound;
    this.#channel = options.channel;
    this.#heardAt = now;
    this.#sentAt = now;
    this.#pump(now);
  }

  /** Identifies the connection on both ends; empty before the channel is open. */
  get sid(): Uint8Array {
    return this.#sid;
  }

  /** Position of the password that both ends hold; undefined if this end dropped it, or before the channel is open. */
  get passwordIndex(): number | undefined {
    return this.#positions[this.#openedWith];
  }

  /** `newIndexOf[i]` = where the password that was at position i is now; undefined if it is dropped. */
  onPasswordsChanged(newIndexOf: readonly (number | undefined)[]): void {
    this.#positions = this.#positions.map((at) => (at === undefined ? undefined : newIndexOf[at]));
  }

  /** What the other end said of itself. */
  get hello(): Hello | undefined {
    return this.#hello;
  }

  /** False while the stream has much to write: gossip waits and merges, unicasts are refused. */
  get isWritable(): boolean {
    return this.#unwritten < HIGH_WATER;
  }

  onBytes(bytes: Uint8Array, now: Millis): void {
    if (this.#phase === 'closed') return;
    this.#heardAt = now;
    this.#channel.onBytes(bytes, now);
    this.#pump(now);
  }

  onTaskDone(task: number, result: CryptoResult, now: Millis): void {
    if (this.#phase === 'closed') return;
    this.#channel.onTaskDone(task, result, now);
    this.#pump(now);
  }

  /** The stream has taken everything that was written so far. Returns whether it was {@link isWritable} no more. */
  onWritable(): boolean {
    const wasFull = !this.isWritable;
    this.#unwritten = 0;
    return wasFull;
  }

  nextTimeout(): Millis | undefined {
    switch (this.#phase) {
      case 'closed':
        return undefined;
      case 'handshake':
        return this.#channel.nextTimeout();
      case 'greeting':
        return earlier(this.#channel.nextTimeout(), this.#helloDeadline);
      case 'running': {
        const liveness = Math.min(this.#heardAt + DEAD_AFTER, nextBeat(this.#sentAt, HEARTBEAT_EVERY));
        return earlier(this.#channel.nextTimeout(), liveness);
      }
    }
  }

  onTimeout(now: Millis): void {
    if (this.#phase === 'closed') return;
    const due = this.#channel.nextTimeout();
    if (due !== undefined && due <= now) this.#channel.onTimeout(now);
    this.#pump(now);
    if (this.#phase === 'greeting' && now >= this.#helloDeadline!) {
      this.#fail('no-hello', `${formatEndpoint(this.remote)} did not say who it is`);
    }
    if (this.#phase === 'running') this.#checkLiveness(now);
  }

  /** Sends an encoded message. Only once the channel is open; ignored after the end. */
  send(message: Uint8Array, now: Millis): void {
    if (this.#phase === 'closed' || this.#phase === 'handshake') return;
    this.#channel.send(message);
    this.#sentAt = now;
    this.#pump(now);
  }

  /** Wipes the keys. What was written before stays to be drained. */
  close(): void {
    if (this.#phase === 'closed') return;
    this.#phase = 'closed';
    this.#channel.close();
  }

  drain(): ConnectionEvent[] {
    if (this.#events.length === 0) return this.#events;
    const events = this.#events;
    this.#events = [];
    return events;
  }

  #pump(now: Millis): void {
    for (const effect of this.#channel.drain()) {
      switch (effect.type) {
        case 'write':
          this.#unwritten += effect.bytes.length;
          this.#events.push(effect);
          break;
        case 'task':
          this.#events.push(effect);
          break;
        case 'open':
          this.#onOpen(effect.sid, effect.passwordIndex, now);
          break;
        case 'message':
          this.#onMessage(effect.bytes);
          break;
        case 'failed':
          this.#onChannelFailed(effect.reason, effect.detail);
          break;
      }
    }
  }

  #onOpen(sid: Uint8Array, passwordIndex: number, now: Millis): void {
    if (this.#phase !== 'handshake') return;
    this.#phase = 'greeting';
    this.#sid = Uint8Array.from(sid);
    this.#openedWith = passwordIndex;
    this.#helloDeadline = now + HELLO_WITHIN;
    this.#events.push({ type: 'opened' });
  }

  #onMessage(bytes: Uint8Array): void {
    if (this.#phase === 'closed') return;
    const parsed = parseMessage(bytes);
    if (parsed.type === 'unknown') return;
    if (parsed.type === 'malformed') return this.#malformed(parsed.field);
    const { message } = parsed;
    if (message.type === 'hello') return this.#onHello(message);
    // A bye may come instead of a hello.
    if (this.#phase === 'greeting' && message.type !== 'bye') return this.#malformed('hello');
    this.#events.push({ type: 'message', message });
  }

  #onHello(hello: Hello): void {
    if (this.#phase !== 'greeting') return this.#malformed('second hello');
    this.#phase = 'running';
    this.#hello = hello;
    this.#events.push({ type: 'hello', hello });
  }

  #checkLiveness(now: Millis): void {
    if (now >= this.#heardAt + DEAD_AFTER) {
      this.#fail('silent', `nothing heard from ${formatEndpoint(this.remote)} for ${DEAD_AFTER / SECOND} s`);
    } else if (now >= nextBeat(this.#sentAt, HEARTBEAT_EVERY)) {
      // Who has yet to read that much hears of us for as long.
      if (this.isWritable) this.send(BYTES_OF_HEARTBEAT, now);
      else this.#sentAt = now;
    }
  }

  #onChannelFailed(reason: ChannelFailure, detail: string): void {
    this.#fail(reason, detail.replaceAll('ADDRESS', formatEndpoint(this.remote)));
  }

  #malformed(field: string): void {
    this.#fail('malformed', `${formatEndpoint(this.remote)} sent a malformed message (${field})`);
  }

  #fail(reason: string, error: string): void {
    if (this.#phase === 'closed') return;
    this.close();
    this.#events.push({ type: 'failed', failure: { reason, error } });
  }
}
