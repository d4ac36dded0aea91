import { parseEndpoint, type Endpoint } from '../../core/address.ts';
import { concatBytes } from '../../core/bytes.ts';
import type { PeerName } from '../../core/peer-name.ts';
import { randomFraction, SeededRandom } from '../../core/random.ts';
import type { StoreChange } from '../../core/store.ts';
import type { Millis } from '../../core/time.ts';
import type { IpamRequest, IpamResult } from '../../ipam/effects.ts';
import type { ControlEffect } from '../../router/control-effect.ts';
import type { ControlNode } from '../../router/control-node.ts';
import { loadIdentity, type Identity } from '../../router/identity.ts';
import type { SimHost, SimNetwork, SimStreamHandle, StreamEnd } from './network.ts';
import type { VirtualClock } from './virtual-clock.ts';
import type { PlayedPrimitives } from '../router/crypto/played-primitives.ts';

export const PORT = 6783;
/** For a transaction to be flushed. */
const COMMIT_DELAY: Millis = 5;
/** A node hears that a stream takes more after so many bytes: telling it after each write would be most of the work. */
const WRITABLE_EVERY = 65_536;
/** At one moment: more of them would never end. */
const MOST_WAKES = 1_000;

/** What all hosts of a simulation share. */
export interface ControlWorld {
  readonly clock: VirtualClock;
  readonly network: Pick<SimNetwork, 'attach' | 'detach' | 'dial'>;
  readonly primitives: PlayedPrimitives;
  readonly seed: number;
}

/** What is left to the kind of host. */
export type OtherEffect = Exclude<
  ControlEffect,
  { type: 'dial' | 'write' | 'close-connection' | 'task' | 'commit' | 'ipam-reply' | 'failed' }
>;

/**
 * One host and on it the real ControlNode, whose sockets, timers and store the simulation plays. A crash loses
 * everything but the store, and what was not committed yet of that.
 */
export abstract class ControlHost implements SimHost {
  readonly number: number;
  readonly name: PeerName;
  readonly endpoint: Endpoint;
  readonly store = new Map<string, Uint8Array>();
  /** Undefined while the daemon is down. */
  protected control: ControlNode | undefined;
  protected readonly random: SeededRandom;
  readonly #world: ControlWorld;
  readonly #streams = new Map<number, SimStreamHandle>();
  readonly #unwritten = new Map<number, Uint8Array[]>();
  /** Bytes that were written since the node was told that a stream takes more. */
  readonly #written = new Map<number, number>();
  readonly #replies = new Map<number, (result: IpamResult) => void>();
  /** Transactions keep their order. */
  #lastCommit: Millis = 0;
  #nextConn = 1;
  #lastRequest = 0;
  /** Rises with every start and crash: what was scheduled in another life does not happen. */
  #life = 0;
  #wake = Number.POSITIVE_INFINITY;
  #wokenAt: Millis = -1;
  /** At that moment. */
  #wakes = 0;

  constructor(world: ControlWorld, number: number) {
    this.#world = world;
    this.number = number;
    this.name = nodeName(number);
    this.endpoint = parseEndpoint(hostAddress(number), PORT)!;
    this.random = new SeededRandom(world.seed * 1_000 + number);
  }

  get alive(): boolean {
    return this.control !== undefined;
  }

  abstract onDatagram(from: Endpoint, datagram: Uint8Array): void;

  onAccepted(remote: Endpoint, handle: SimStreamHandle): StreamEnd {
    const conn = this.#nextConn;
    this.#nextConn += 2;
    this.#streams.set(conn, handle);
    const end = this.#streamEnd(conn);
    this.tell((control, now) => control.onAccepted(conn, remote, now));
    return end;
  }

  /** These are its targets from now on, if it is up. */
  connect(peers: readonly ControlHost[]): void {
    const targets = peers.map(({ number }) => hostAddress(number));
    this.tell((control, now) => control.connect(targets, true, now));
  }

  /** `done` is not called if the node crashes before it has an answer. Returns the number of the request. */
  ask(operation: IpamRequest, done: (result: IpamResult) => void): number {
    const request = this.nextRequest();
    this.#replies.set(request, done);
    this.tell((control, now) => control.onIpamRequest(request, operation, now));
    return request;
  }

  /** The asker has gone. */
  cancel(request: number): void {
    this.#replies.delete(request);
    this.tell((control, now) => control.onIpamCancel(request, now));
  }

  /** Of all requests to the node. */
  protected nextRequest(): number {
    return ++this.#lastRequest;
  }

  /** A new life begins, from what the store holds. */
  protected begin(): Identity {
    const loaded = loadIdentity(this.store, { name: this.name }, this.#world.primitives, this.random);
    if ('error' in loaded) throw new Error(loaded.error);
    for (const { key, value } of loaded.changes) this.store.set(key, value!.slice());
    this.#life++;
    this.#wake = Number.POSITIVE_INFINITY;
    return loaded.identity;
  }

  /** The daemon runs, and connects to `peers`. */
  protected boot(control: ControlNode, peers: readonly ControlHost[]): void {
    this.control = control;
    this.#world.network.attach(this);
    this.connect(peers);
  }

  /** The daemon ends at once. `silent`: so does its host, and nobody is told; else its streams are reset. */
  protected end(silent: boolean): void {
    this.#life++;
    this.control = undefined;
    if (!silent) for (const stream of this.#streams.values()) stream.close();
    this.#streams.clear();
    this.#unwritten.clear();
    this.#written.clear();
    this.#replies.clear();
    this.#world.network.detach(this.endpoint);
  }

  /** Gives the node an input, if it is up, and does what follows from it. */
  protected tell<T>(input: (control: ControlNode, now: Millis) => T): T | undefined {
    if (this.control === undefined) return undefined;
    const life = this.#life;
    const result = input(this.control, this.#world.clock.now);
    if (this.#life === life) this.#settle(life);
    return result;
  }

  /** In this life. */
  protected later(delay: Millis, act: () => void): void {
    const life = this.#life;
    this.#world.clock.after(Math.max(0, delay), () => {
      if (this.#life === life) act();
    });
  }

  protected tellLater(delay: Millis, input: (control: ControlNode, now: Millis) => void): void {
    this.later(delay, () => this.tell(input));
  }

  protected abstract onOther(effect: OtherEffect): void;

  /** A transaction is due to be flushed: {@link write} and `onCommitted`, or what else may become of it. */
  protected onFlush(token: number, changes: readonly StoreChange[]): void {
    this.write(changes);
    this.tell((control, now) => control.onCommitted(token, now));
  }

  protected write(changes: readonly StoreChange[]): void {
    for (const { key, value } of changes) {
      if (value === undefined) this.store.delete(key);
      else this.store.set(key, value);
    }
  }

  protected perform(effect: ControlEffect): void {
    switch (effect.type) {
      case 'dial':
        return this.#dial(effect.conn, effect.host, effect.port);
      case 'write':
        return this.#queueWrite(effect.conn, effect.bytes);
      case 'close-connection':
        this.writeStreams();
        this.#streams.get(effect.conn)?.close();
        this.#streams.delete(effect.conn);
        return;
      case 'task': {
        const result = this.#world.primitives.runJob(effect.job);
        return this.tellLater(0, (control, now) => control.onTaskDone(effect.task, result, now));
      }
      case 'commit':
        return this.#commit(effect.token, effect.changes);
      case 'ipam-reply': {
        const done = this.#replies.get(effect.request);
        this.#replies.delete(effect.request);
        return done?.(effect.result);
      }
      case 'failed':
        throw new Error(effect.error);
      default:
        return this.onOther(effect);
    }
  }

  /** What is written at one moment leaves as one segment, taken at once. False if nothing was written. */
  protected writeStreams(): boolean {
    if (this.#unwritten.size === 0) return false;
    const writes = [...this.#unwritten];
    this.#unwritten.clear();
    for (const [conn, parts] of writes) {
      const bytes = parts.length === 1 ? parts[0]! : concatBytes(...parts);
      this.#streams.get(conn)?.write(bytes);
      this.#noteWritten(conn, bytes.length);
    }
    return true;
  }

  #noteWritten(conn: number, length: number): void {
    const written = (this.#written.get(conn) ?? 0) + length;
    this.#written.set(conn, written < WRITABLE_EVERY ? written : 0);
    if (written >= WRITABLE_EVERY) this.control?.onWritable(conn, this.#world.clock.now);
  }

  #streamEnd(conn: number): StreamEnd {
    const life = this.#life;
    const ifLiving = (input: (control: ControlNode, now: Millis) => void): void => {
      if (this.#life === life) this.tell(input);
    };
    return {
      onBytes: (bytes) => ifLiving((control, now) => control.onBytes(conn, bytes, now)),
      onClosed: () => {
        if (this.#life === life) this.#streams.delete(conn);
        ifLiving((control, now) => control.onClosed(conn, undefined, now));
      },
    };
  }

  #settle(life: number): void {
    do {
      for (const effect of this.control!.drain()) {
        this.perform(effect);
        if (this.#life !== life) return;
      }
    } while (this.writeStreams());
    this.#arm(this.control!.nextTimeout());
  }

  #arm(at: Millis | undefined): void {
    if (at === undefined || at >= this.#wake) return;
    this.#wake = at;
    this.later(at - this.#world.clock.now, () => {
      if (this.#wake !== at) return;
      this.#wake = Number.POSITIVE_INFINITY;
      this.#countWake();
      this.tell((control, now) => control.onTimeout(now));
    });
  }

  #countWake(): void {
    const { now } = this.#world.clock;
    this.#wakes = now === this.#wokenAt ? this.#wakes + 1 : 0;
    this.#wokenAt = now;
    if (this.#wakes > MOST_WAKES) throw new Error(`a timeout of node ${this.number} does not go by`);
  }

  #queueWrite(conn: number, bytes: Uint8Array): void {
    const queued = this.#unwritten.get(conn);
    if (queued === undefined) this.#unwritten.set(conn, [bytes]);
    else queued.push(bytes);
  }

  #commit(token: number, changes: readonly StoreChange[]): void {
    const { now } = this.#world.clock;
    this.#lastCommit = Math.max(this.#lastCommit, now + randomFraction(this.random) * COMMIT_DELAY);
    this.later(this.#lastCommit - now, () => this.onFlush(token, changes));
  }

  #dial(conn: number, host: string, port: number): void {
    const remote = parseEndpoint(host, port);
    const life = this.#life;
    if (remote === undefined) throw new Error(`dialled ${host}, which is no address`);
    const from = { ...this.endpoint, port: 40_000 };
    this.#world.network.dial(from, remote, this.#streamEnd(conn), (stream) => {
      if (this.#life !== life) stream?.close();
      else if (stream === undefined)
        this.tell((control, now) => control.onDialFailed(conn, 'no answer', now));
      else {
        this.#streams.set(conn, stream);
        this.tell((control, now) => control.onConnected(conn, remote, now));
      }
    });
  }
}

/** The peer name of the node with this number. */
export function nodeName(number: number): PeerName {
  return `02:00:00:00:${hexByte(number >> 8)}:${hexByte(number & 255)}` as PeerName;
}

/** Documentation addresses (RFC 5737) for small meshes, beyond them those for benchmarks (RFC 2544). */
function hostAddress(number: number): string {
  return number < 255 ? `192.0.2.${number}` : `198.18.${number >> 8}.${number & 255}`;
}

function hexByte(value: number): string {
  return value.toString(16).padStart(2, '0');
}
