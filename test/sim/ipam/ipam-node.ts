import { parseEndpoint, type Endpoint } from '../../../core/address.ts';
import { concatBytes } from '../../../core/bytes.ts';
import type { PeerName } from '../../../core/peer-name.ts';
import { randomFraction, SeededRandom } from '../../../core/random.ts';
import type { StoreChange } from '../../../core/store.ts';
import type { Millis } from '../../../core/time.ts';
import type { IpamRequest, IpamResult } from '../../../ipam/effects.ts';
import type { InitMode } from '../../../ipam/init-mode.ts';
import type { Ipam } from '../../../ipam/ipam.ts';
import type { IpamSettings } from '../../../ipam/settings.ts';
import type { ControlEffect } from '../../../router/control-effect.ts';
import { ControlNode } from '../../../router/control-node.ts';
import { loadIdentity } from '../../../router/identity.ts';
import { fakePrimitives } from '../fake-primitives.ts';
import type { SimHost, SimNetwork, SimStreamHandle, StreamEnd } from '../network.ts';
import type { VirtualClock } from '../virtual-clock.ts';
import { FaultyIpam, type Noise } from './faulty-ipam.ts';

const PORT = 6783;
/** For a transaction to be flushed. */
const COMMIT_DELAY: Millis = 5;
const WRITABLE_EVERY = 65_536;
/** At one moment: more of them would never end. */
const MOST_WAKES = 1_000;
const GIVEN_UP = 'a peer out of reach did not acknowledge a take-over';

/**
 * Where a crash may come in the life of a transaction: it is not written; written, but the node has not heard so; the
 * node has heard, but nothing that followed left it; some of what followed did.
 */
export const CRASH_STEPS = ['before-write', 'after-write', 'before-messages', 'between-messages'] as const;
export type CrashStep = (typeof CRASH_STEPS)[number];

/** What all nodes of a run share. */
export interface IpamWorld {
  readonly clock: VirtualClock;
  readonly network: SimNetwork;
  readonly settings: IpamSettings;
  readonly seed: number;
  noise: Noise;
  count(what: string): void;
  /** The node's durable state changed. */
  onStored(node: IpamNode, changes: readonly StoreChange[]): void;
  /** The node crashed at a step that it was armed for. */
  onCrash(node: IpamNode): void;
  onProblem(node: IpamNode, problem: string): void;
  /** The node waits for an acknowledgement no longer, as `peer` is out of reach. */
  onGivenUp(node: IpamNode, peer: PeerName, victim: PeerName): void;
}

/**
 * The control plane of one node, with its sockets, timers and store played by the simulation: the real ControlNode,
 * with gossip, topology, channels, secure channels on fake cryptography, and the real allocator behind a bad network.
 */
export class IpamNode implements SimHost {
  readonly number: number;
  readonly name: PeerName;
  readonly endpoint: Endpoint;
  readonly store = new Map<string, Uint8Array>();
  /** Undefined while the daemon is down. */
  control: ControlNode | undefined;
  ipam: Ipam | undefined;
  /** The next transaction crashes there. */
  armed: CrashStep | undefined;
  /** Transactions fail. */
  isDiskFull = false;
  readonly #world: IpamWorld;
  readonly #init: InitMode;
  readonly #random: SeededRandom;
  readonly #streams = new Map<number, SimStreamHandle>();
  readonly #unwritten = new Map<number, Uint8Array[]>();
  readonly #written = new Map<number, number>();
  readonly #replies = new Map<number, (result: IpamResult) => void>();
  #lastCommit: Millis = 0;
  #nextConn = 1;
  #lastRequest = 0;
  /** Rises with every start and crash: what was scheduled in another life does not happen. */
  #life = 0;
  #wake = Number.POSITIVE_INFINITY;
  #wokenAt: Millis = -1;
  /** At that moment. */
  #wakes = 0;

  constructor(world: IpamWorld, number: number, init: InitMode) {
    this.#world = world;
    this.#init = init;
    this.number = number;
    this.name = nodeName(number);
    this.endpoint = parseEndpoint(`192.0.2.${number}`, PORT)!;
    this.#random = new SeededRandom(world.seed * 1_000 + number);
  }

  /** Starts from what the store holds; `peers` are the targets of the command line. */
  start(peers: readonly IpamNode[]): void {
    const { network, clock, settings } = this.#world;
    const loaded = loadIdentity(this.store, { name: this.name }, fakePrimitives, this.#random);
    if ('error' in loaded) throw new Error(loaded.error);
    for (const { key, value } of loaded.changes) this.store.set(key, value!.slice());
    this.#life++;
    this.#wake = Number.POSITIVE_INFINITY;
    const config = {
      identity: loaded.identity,
      uid: this.#random.bytes(8),
      nickname: `host${this.number}`,
      version: '0.0.0',
      port: PORT,
      addresses: [this.endpoint],
      acceptsInbound: true,
      discovery: true,
      connLimit: 0,
      fullMeshLimit: 80,
      bridgeMtu: 1_388,
      workers: 1,
      passwords: [],
      trustedSubnets: [],
      dataPlane: false,
      ipam: { ...settings, init: this.#init },
    };
    const deps = {
      primitives: fakePrimitives,
      random: this.#random,
      stored: new Map(this.store),
      createIpam: (...args: ConstructorParameters<typeof Ipam>) => this.#createIpam(...args),
    };
    this.control = new ControlNode(config, deps, clock.now);
    network.attach(this);
    this.connect(peers);
  }

  /** These are its targets from now on, if it is up. */
  connect(peers: readonly IpamNode[]): void {
    const targets = peers.map(({ number }) => `192.0.2.${number}`);
    this.#tell((now) => this.control!.connect(targets, true, now));
  }

  /** The daemon ends at once. `silent`: so does its host, and nobody is told; else its streams are reset. */
  crash(silent: boolean): void {
    if (this.control === undefined) return;
    this.#life++;
    this.control = undefined;
    this.ipam = undefined;
    this.armed = undefined;
    if (!silent) for (const stream of this.#streams.values()) stream.close();
    this.#streams.clear();
    this.#unwritten.clear();
    this.#written.clear();
    this.#replies.clear();
    this.#world.network.detach(this.endpoint);
  }

  /** `done` is not called if the node crashes before it has an answer. Returns the number of the request. */
  ask(operation: IpamRequest, done: (result: IpamResult) => void): number {
    const request = ++this.#lastRequest;
    this.#replies.set(request, done);
    this.#tell((now) => this.control!.onIpamRequest(request, operation, now));
    return request;
  }

  /** The asker has gone. */
  cancel(request: number): void {
    this.#replies.delete(request);
    this.#tell((now) => this.control!.onIpamCancel(request, now));
  }

  onAccepted(remote: Endpoint, handle: SimStreamHandle): StreamEnd {
    const conn = this.#nextConn;
    this.#nextConn += 2;
    this.#streams.set(conn, handle);
    const end = this.#streamEnd(conn);
    this.#tell((now) => this.control!.onAccepted(conn, remote, now));
    return end;
  }

  onDatagram(): void {
    // There is no data plane.
  }

  #createIpam(...args: ConstructorParameters<typeof Ipam>): Ipam {
    const world = this.#world;
    this.ipam = new FaultyIpam(...args, {
      get noise() {
        return world.noise;
      },
      random: this.#random,
      later: (delay, act) => this.#later(delay, act),
      count: (what) => world.count(what),
    });
    return this.ipam;
  }

  #streamEnd(conn: number): StreamEnd {
    const life = this.#life;
    const ifLiving = (input: (now: Millis) => void): void => {
      if (this.#life === life) this.#tell(input);
    };
    return {
      onBytes: (bytes) => ifLiving((now) => this.control!.onBytes(conn, bytes, now)),
      onClosed: () => {
        if (this.#life === life) this.#streams.delete(conn);
        ifLiving((now) => this.control!.onClosed(conn, undefined, now));
      },
    };
  }

  #tell(input: (now: Millis) => void): void {
    if (this.control === undefined) return;
    const life = this.#life;
    input(this.#world.clock.now);
    if (this.#life === life) this.#settle(life);
  }

  #settle(life: number): void {
    do {
      for (const effect of this.control!.drain()) {
        this.#perform(effect);
        if (this.#life !== life) return;
      }
    } while (this.#writeStreams());
    this.#arm(this.control!.nextTimeout());
  }

  #arm(at: Millis | undefined): void {
    if (at === undefined || at >= this.#wake) return;
    this.#wake = at;
    this.#later(at - this.#world.clock.now, (now) => {
      if (this.#wake !== at) return;
      this.#wake = Number.POSITIVE_INFINITY;
      this.#wakes = now === this.#wokenAt ? this.#wakes + 1 : 0;
      this.#wokenAt = now;
      if (this.#wakes > MOST_WAKES) throw new Error(`a timeout of node ${this.number} does not go by`);
      this.control!.onTimeout(now);
    });
  }

  #perform(effect: ControlEffect): void {
    switch (effect.type) {
      case 'dial':
        return this.#dial(effect.conn, effect.host, effect.port);
      case 'write':
        return this.#queueWrite(effect.conn, effect.bytes);
      case 'close-connection':
        this.#writeStreams();
        this.#streams.get(effect.conn)?.close();
        this.#streams.delete(effect.conn);
        return;
      case 'task': {
        const result = fakePrimitives.runJob(effect.job);
        return this.#later(0, (now) => this.control!.onTaskDone(effect.task, result, now));
      }
      case 'commit':
        return this.#commit(effect);
      case 'ipam-reply': {
        const done = this.#replies.get(effect.request);
        this.#replies.delete(effect.request);
        return done?.(effect.result);
      }
      case 'log':
        return this.#onLog(effect);
      case 'failed':
        throw new Error(effect.error);
      case 'to-data':
      case 'status':
      case 'report':
        return;
    }
  }

  #onLog({ level, message, fields }: Extract<ControlEffect, { type: 'log' }>): void {
    if (level === 'error') this.#world.onProblem(this, message);
    const { peer, victim } = fields;
    if (message === GIVEN_UP) this.#world.onGivenUp(this, peer as PeerName, victim as PeerName);
  }

  #queueWrite(conn: number, bytes: Uint8Array): void {
    const queued = this.#unwritten.get(conn);
    if (queued === undefined) this.#unwritten.set(conn, [bytes]);
    else queued.push(bytes);
  }

  /** What is written at one moment leaves as one segment. False if nothing was written. */
  #writeStreams(): boolean {
    if (this.#unwritten.size === 0) return false;
    const writes = [...this.#unwritten];
    this.#unwritten.clear();
    for (const [conn, parts] of writes) {
      const bytes = parts.length === 1 ? parts[0]! : concatBytes(...parts);
      this.#streams.get(conn)?.write(bytes);
      const written = (this.#written.get(conn) ?? 0) + bytes.length;
      this.#written.set(conn, written < WRITABLE_EVERY ? written : 0);
      if (written >= WRITABLE_EVERY) this.control!.onWritable(conn, this.#world.clock.now);
    }
    return true;
  }

  /** Transactions keep their order. */
  #commit({ token, changes }: Extract<ControlEffect, { type: 'commit' }>): void {
    const { clock } = this.#world;
    this.#lastCommit = Math.max(this.#lastCommit, clock.now + randomFraction(this.#random) * COMMIT_DELAY);
    this.#later(this.#lastCommit - clock.now, (now) => {
      const isIpam = changes.some(({ key }) => key.startsWith('ipam/'));
      if (isIpam && this.isDiskFull) {
        this.#world.count('transaction failed');
        this.control!.onCommitFailed(token, 'the disk is full', now);
        return;
      }
      const step = isIpam ? this.armed : undefined;
      if (step !== 'before-write') this.#write(changes);
      if (step === 'before-messages' || step === 'between-messages') {
        this.control!.onCommitted(token, now);
        const effects = this.control!.drain();
        if (step === 'between-messages') {
          for (const effect of effects.slice(0, Math.ceil(effects.length / 2))) this.#perform(effect);
          this.#writeStreams();
        }
      }
      if (step === undefined) this.control!.onCommitted(token, now);
      else this.#crashAt(step);
    });
  }

  #write(changes: readonly StoreChange[]): void {
    for (const { key, value } of changes) {
      if (value === undefined) this.store.delete(key);
      else this.store.set(key, value);
    }
    this.#world.onStored(this, changes);
  }

  #crashAt(step: CrashStep): void {
    this.#world.count(`crash ${step}`);
    this.crash(false);
    this.#world.onCrash(this);
  }

  #dial(conn: number, host: string, port: number): void {
    const remote = parseEndpoint(host, port);
    const life = this.#life;
    if (remote === undefined) throw new Error(`dialled ${host}, which is no address`);
    const from = { ...this.endpoint, port: 40_000 };
    this.#world.network.dial(from, remote, this.#streamEnd(conn), (stream) => {
      if (this.#life !== life) stream?.close();
      else if (stream === undefined) this.#tell((now) => this.control!.onDialFailed(conn, 'no answer', now));
      else {
        this.#streams.set(conn, stream);
        this.#tell((now) => this.control!.onConnected(conn, remote, now));
      }
    });
  }

  /** In this life; the node goes on after it. */
  #later(delay: Millis, act: (now: Millis) => void): void {
    const life = this.#life;
    this.#world.clock.after(Math.max(0, delay), () => {
      if (this.#life === life) this.#tell(act);
    });
  }
}

export function nodeName(number: number): PeerName {
  return `02:00:00:00:00:${number.toString(16).padStart(2, '0')}` as PeerName;
}
