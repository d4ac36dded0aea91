import type { Endpoint } from '../../core/address.ts';
import { parseEndpoint } from '../../core/address.ts';
import { concatBytes, utf8 } from '../../core/bytes.ts';
import type { PeerName } from '../../core/peer-name.ts';
import { randomFraction, SeededRandom } from '../../core/random.ts';
import type { RoutesSnapshot } from '../../core/routes.ts';
import type { Millis } from '../../core/time.ts';
import type { IpamRequest, IpamResult } from '../../ipam/effects.ts';
import type { InitMode } from '../../ipam/init-mode.ts';
import { parseIpamSettings } from '../../ipam/settings.ts';
import type { ControlEffect } from '../../router/control-effect.ts';
import { ControlNode } from '../../router/control-node.ts';
import type { Rotation } from '../../router/control-node.ts';
import type { ControlReport, ControlStatus } from '../../router/control-status.ts';
import type { Primitives } from '../../router/crypto/primitives.ts';
import { DataNode } from '../../router/data-node.ts';
import type { DatagramCipher } from '../../router/engine/datagram-cipher.ts';
import { MemoryEngine } from '../../router/engine/memory.ts';
import { loadIdentity } from '../../router/identity.ts';
import { LaneNode } from '../../router/lane-node.ts';
import type { FromLane, ToLane } from '../../router/lane-messages.ts';
import type { ToControl, ToData } from '../../router/node-messages.ts';
import { MOST_LANES, workerOf } from '../../router/wire/lanes.ts';
import type { SimHost, SimNetwork, SimStreamHandle, StreamEnd } from './network.ts';
import type { VirtualClock } from './virtual-clock.ts';

const PORT = 6783;
/** Between the two threads of a node, and for a transaction to be flushed. */
const MAILBOX_DELAY: Millis = 2;
const COMMIT_DELAY: Millis = 5;
/** A node hears that a stream takes more after so many bytes: telling it after each write would be most of the work. */
const WRITABLE_EVERY = 65_536;

/** What all nodes of a simulation share. */
export interface SimWorld {
  readonly clock: VirtualClock;
  readonly network: Pick<SimNetwork, 'attach' | 'detach' | 'send' | 'dial'>;
  readonly primitives: Primitives;
  readonly cipher: DatagramCipher;
  readonly seed: number;
  readonly init: InitMode;
  readonly range: string;
  readonly discovery: boolean;
  readonly fullMeshLimit: number;
  /** Of the data plane of the node with this number. */
  workersOf(number: number): number;
  /** A frame came out of a node's TAP. */
  onFrame(node: SimNode, frame: Uint8Array): void;
}

/** A worker of the data plane beside the first. */
interface SimLane {
  readonly engine: MemoryEngine;
  readonly node: LaneNode;
  mail: ToLane[];
  mailBack: FromLane[];
  awake: boolean;
  wake: Millis;
}

/**
 * One whole node, the real ControlNode and DataNode, with its threads, sockets, timers and store played by the
 * simulation. A crash loses everything but the store, and what was not committed yet of that.
 */
export class SimNode implements SimHost {
  readonly number: number;
  readonly name: PeerName;
  readonly endpoint: Endpoint;
  readonly logs: string[] = [];
  /** As handed to the data plane last. */
  routes: RoutesSnapshot | undefined;
  /** Peers with a link that is up, by what the data plane told last. */
  readonly up = new Set<PeerName>();
  control!: ControlNode;
  data!: DataNode;
  readonly #world: SimWorld;
  readonly #random: SeededRandom;
  readonly #store = new Map<string, Uint8Array>();
  #engine!: MemoryEngine;
  #lanes: SimLane[] = [];
  readonly #streams = new Map<number, SimStreamHandle>();
  readonly #unwritten = new Map<number, Uint8Array[]>();
  /** Bytes that were written since the node was told that a stream takes more. */
  readonly #written = new Map<number, number>();
  #mailToData: ToData[] = [];
  #mailToControl: ToControl[] = [];
  /** Transactions keep their order. */
  #lastCommit: Millis = 0;
  readonly #replies = new Map<number, (result: IpamResult) => void>();
  readonly #documents = new Map<number, (document: ControlStatus | ControlReport) => void>();
  #nextConn = 1;
  #lastRequest = 0;
  /** Rises with every start and crash: what was scheduled in another life does not happen. */
  #life = 0;
  #run = Symbol('not started');
  #alive = false;
  #controlWake = Number.POSITIVE_INFINITY;
  #dataWake = Number.POSITIVE_INFINITY;
  #dataIsAwake = false;

  constructor(world: SimWorld, number: number) {
    this.#world = world;
    this.number = number;
    this.name = SimNode.nameOf(number);
    this.endpoint = parseEndpoint(addressOf(number), PORT)!;
    this.#random = new SeededRandom(world.seed * 1_000 + number);
  }

  static nameOf(number: number): PeerName {
    return `02:00:00:00:${hexByte(number >> 8)}:${hexByte(number & 255)}` as PeerName;
  }

  /** From one start to the next. */
  get run(): symbol {
    return this.#run;
  }

  get alive(): boolean {
    return this.#alive;
  }

  /** Starts from what the store holds; `peers` are the targets of the command line. */
  start(peers: readonly SimNode[]): void {
    const { primitives, network, clock } = this.#world;
    const loaded = loadIdentity(this.#store, { name: this.name }, primitives, this.#random);
    if ('error' in loaded) throw new Error(loaded.error);
    for (const { key, value } of loaded.changes) this.#store.set(key, value!);
    this.#life++;
    this.#run = Symbol(`run ${this.#life}`);
    this.#alive = true;
    this.routes = undefined;
    this.up.clear();
    this.#mailToData = [];
    this.#mailToControl = [];
    this.#controlWake = this.#dataWake = Number.POSITIVE_INFINITY;
    this.#startData();
    const { identity } = loaded;
    const config = { ...this.#config(), identity, uid: this.#random.bytes(8) };
    const deps = { primitives, random: this.#random, stored: this.#store };
    this.control = new ControlNode(config, deps, clock.now);
    network.attach(this);
    this.control.connect(
      peers.map(({ number }) => addressOf(number)),
      true,
      clock.now,
    );
    this.#settleControl();
  }

  /** Power off: nobody is told. */
  crash(): void {
    this.#life++;
    this.#alive = false;
    this.#streams.clear();
    this.#unwritten.clear();
    this.#written.clear();
    this.#replies.clear();
    this.#world.network.detach(this.endpoint);
  }

  /** The daemon is stopped: it tells the others. What follows is a {@link crash}, once they have been told. */
  leave(): void {
    this.control.stop(this.#world.clock.now);
    this.#settleControl();
  }

  /** Gives the host's bridge a frame to send into the mesh. */
  sendFrame(frame: Uint8Array): void {
    const flow = frame[5]! + frame[11]!;
    this.#engineOf(flow % this.#workers).hostSends(frame);
  }

  /** Asks for addresses; `done` is not called if the node crashes before it has an answer. */
  ask(operation: IpamRequest, done: (result: IpamResult) => void): void {
    const request = ++this.#lastRequest;
    this.#replies.set(request, done);
    this.control.onIpamRequest(request, operation, this.#world.clock.now);
    this.#settleControl();
  }

  /** `done` is called within two seconds. */
  askStatus(done: (status: ControlStatus) => void): void {
    const request = ++this.#lastRequest;
    this.#documents.set(request, done);
    this.control.requestStatus(request, this.#world.clock.now);
    this.#settleControl();
  }

  /** As {@link askStatus}, with all that the control plane knows. */
  askReport(done: (report: ControlReport) => void): void {
    const request = ++this.#lastRequest;
    this.#documents.set(request, (document) => done(document as ControlReport));
    this.control.requestReport(request, this.#world.clock.now);
    this.#settleControl();
  }

  /** The password file was read again. */
  rotate(passwords: readonly string[]): Rotation | string {
    const rotation = this.control.onPasswords(passwords.map(utf8), this.#world.clock.now);
    this.#settleControl();
    return rotation;
  }

  /** New session keys with every peer of the routes. */
  rekey(): void {
    const peers = this.routes?.names.filter((name) => name !== this.name) ?? [];
    this.#tellControl((now) => this.control.rekey(peers, now));
  }

  onAccepted(remote: Endpoint, handle: SimStreamHandle): StreamEnd {
    const conn = this.#nextConn;
    this.#nextConn += 2;
    const life = this.#life;
    this.#streams.set(conn, handle);
    this.#tellControl((now) => this.control.onAccepted(conn, remote, now));
    return this.#streamEnd(conn, life);
  }

  onDatagram(from: Endpoint, datagram: Uint8Array): void {
    if (!this.#alive) return;
    const worker = workerOf((datagram[4] ?? 0) % MOST_LANES, this.#workers);
    this.#engineOf(worker).deliver(from, datagram);
  }

  get #workers(): number {
    return this.#world.workersOf(this.number);
  }

  #engineOf(worker: number): MemoryEngine {
    return worker === 0 ? this.#engine : this.#lanes[worker - 1]!.engine;
  }

  #streamEnd(conn: number, life: number): StreamEnd {
    const ifLiving = (input: (now: Millis) => void) => {
      if (this.#life === life) this.#tellControl(input);
    };
    return {
      onBytes: (bytes) => ifLiving((now) => this.control.onBytes(conn, bytes, now)),
      onClosed: () => {
        if (this.#life === life) this.#streams.delete(conn);
        ifLiving((now) => this.control.onClosed(conn, undefined, now));
      },
    };
  }

  #config() {
    const ipam = parseIpamSettings(this.#world.range, undefined);
    if ('error' in ipam) throw new Error(ipam.error);
    return {
      nickname: `host${this.number}`,
      version: '0.0.0',
      port: PORT,
      addresses: [this.endpoint],
      acceptsInbound: true,
      discovery: this.#world.discovery,
      connLimit: 0,
      fullMeshLimit: this.#world.fullMeshLimit,
      bridgeMtu: 1_388,
      workers: this.#workers,
      passwords: [utf8('documentation')],
      trustedSubnets: [],
      dataPlane: true,
      ipam: { ...ipam, init: this.#world.init },
    };
  }

  #startData(): void {
    const { clock } = this.#world;
    const life = this.#life;
    this.#engine = this.#newEngine(() => {
      if (!this.#dataIsAwake) this.#wakeData(life);
    });
    const config = { name: this.name, bridgeMtu: 1_388, workers: this.#workers, trustedSubnets: [] };
    this.data = new DataNode(config, this.#engine, this.#random, clock.now);
    this.#lanes = Array.from({ length: this.#workers - 1 }, () => this.#newLane(life));
    this.#dataIsAwake = false;
    this.#settleData();
  }

  #newEngine(onReady: () => void): MemoryEngine {
    const { cipher, network, clock } = this.#world;
    const engine = new MemoryEngine({
      cipher,
      clock: () => clock.now,
      transmit: (to, datagram) => {
        network.send(this.endpoint, to, datagram);
        return undefined;
      },
      onHostReceives: (frame) => this.#world.onFrame(this, frame),
    });
    void engine.open({ tap: 'tap', address: undefined, port: PORT, onReady });
    return engine;
  }

  #newLane(life: number): SimLane {
    const engine = this.#newEngine(() => {
      if (!lane.awake) this.#wakeLane(lane, life);
    });
    const node = new LaneNode({ trustedSubnets: [] }, engine);
    const lane: SimLane = {
      engine,
      node,
      mail: [],
      mailBack: [],
      awake: false,
      wake: Number.POSITIVE_INFINITY,
    };
    return lane;
  }

  #wakeLane(lane: SimLane, life: number): void {
    lane.awake = true;
    this.#world.clock.after(0, () => {
      if (this.#life !== life) return;
      lane.awake = lane.node.onReady(this.#world.clock.now);
      this.#settleLane(lane);
      if (lane.awake) this.#wakeLane(lane, life);
    });
  }

  #settleLane(lane: SimLane): void {
    const messages = lane.node.drain();
    if (messages.length > 0 && lane.mailBack.push(...messages) === messages.length) {
      this.#later(randomFraction(this.#random) * MAILBOX_DELAY, () => {
        const worker = this.#lanes.indexOf(lane) + 1;
        for (const each of lane.mailBack.splice(0)) this.data.onLane(worker, each, this.#world.clock.now);
        this.#settleData();
      });
    }
    const at = lane.node.nextTimeout();
    if (at === undefined || at >= lane.wake) return;
    lane.wake = at;
    this.#later(at - this.#world.clock.now, () => {
      if (lane.wake !== at) return;
      lane.wake = Number.POSITIVE_INFINITY;
      lane.node.onTimeout(this.#world.clock.now);
      this.#settleLane(lane);
    });
  }

  #tellLane(lane: SimLane, message: ToLane): void {
    if (lane.mail.push(message) > 1) return;
    this.#later(randomFraction(this.#random) * MAILBOX_DELAY, () => {
      for (const each of lane.mail.splice(0)) lane.node.onData(each, this.#world.clock.now);
      this.#settleLane(lane);
    });
  }

  #wakeData(life: number): void {
    this.#dataIsAwake = true;
    this.#world.clock.after(0, () => {
      if (this.#life !== life) return;
      this.#dataIsAwake = this.data.onReady(this.#world.clock.now);
      this.#settleData();
      if (this.#dataIsAwake) this.#wakeData(life);
    });
  }

  #tellControl(input: (now: Millis) => void): void {
    if (!this.#alive) return;
    input(this.#world.clock.now);
    this.#settleControl();
  }

  #settleControl(): void {
    do {
      for (const effect of this.control.drain()) this.#perform(effect);
    } while (this.#writeStreams());
    this.#armControl(this.control.nextTimeout());
  }

  #settleData(): void {
    const messages = this.data.drain();
    if (messages.length > 0) this.#toControl(messages);
    for (const { worker, message } of this.data.drainLanes())
      this.#tellLane(this.#lanes[worker - 1]!, message);
    this.#armData(this.data.nextTimeout());
  }

  #armControl(at: Millis | undefined): void {
    if (at === undefined || at >= this.#controlWake) return;
    this.#controlWake = at;
    this.#later(at - this.#world.clock.now, () => {
      if (this.#controlWake !== at) return;
      this.#controlWake = Number.POSITIVE_INFINITY;
      this.#tellControl((now) => this.control.onTimeout(now));
    });
  }

  #armData(at: Millis | undefined): void {
    if (at === undefined || at >= this.#dataWake) return;
    this.#dataWake = at;
    this.#later(at - this.#world.clock.now, () => {
      if (this.#dataWake !== at) return;
      this.#dataWake = Number.POSITIVE_INFINITY;
      this.data.onTimeout(this.#world.clock.now);
      this.#settleData();
    });
  }

  /** Messages keep their order both ways, so one delivery takes all that wait. */
  #toControl(messages: readonly ToControl[]): void {
    for (const message of messages) if (message.type === 'link-changed') this.#noteLink(message);
    if (this.#mailToControl.push(...messages) > messages.length) return;
    this.#later(randomFraction(this.#random) * MAILBOX_DELAY, () =>
      this.#tellControl((now) => {
        for (const message of this.#mailToControl.splice(0)) this.control.onData(message, now);
      }),
    );
  }

  #noteLink({ peer, state }: Extract<ToControl, { type: 'link-changed' }>): void {
    if (state === 'up') this.up.add(peer);
    else this.up.delete(peer);
  }

  #toData(message: ToData): void {
    if (message.type === 'routes') this.routes = message.routes;
    if (this.#mailToData.push(message) > 1) return;
    this.#later(randomFraction(this.#random) * MAILBOX_DELAY, () => {
      for (const each of this.#mailToData.splice(0)) this.data.onControl(each, this.#world.clock.now);
      this.#settleData();
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
        const result = this.#world.primitives.runJob(effect.job);
        return this.#later(0, () =>
          this.#tellControl((now) => this.control.onTaskDone(effect.task, result, now)),
        );
      }
      case 'to-data':
        return this.#toData(effect.message);
      case 'commit':
        return this.#commit(effect);
      case 'ipam-reply':
        this.#replies.get(effect.request)?.(effect.result);
        this.#replies.delete(effect.request);
        return;
      case 'status':
      case 'report':
        this.#documents.get(effect.request)?.(effect.document);
        this.#documents.delete(effect.request);
        return;
      case 'log':
        if (effect.level === 'warn' || effect.level === 'error') {
          this.logs.push(`${effect.message} ${JSON.stringify(effect.fields)}`);
        }
        return;
      case 'failed':
        throw new Error(effect.error);
    }
  }

  #queueWrite(conn: number, bytes: Uint8Array): void {
    const queued = this.#unwritten.get(conn);
    if (queued === undefined) this.#unwritten.set(conn, [bytes]);
    else queued.push(bytes);
  }

  /** What is written at one moment leaves as one segment, taken at once. False if nothing was written. */
  #writeStreams(): boolean {
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
    if (written >= WRITABLE_EVERY) this.control.onWritable(conn, this.#world.clock.now);
  }

  #commit({ token, changes }: Extract<ControlEffect, { type: 'commit' }>): void {
    const { now } = this.#world.clock;
    this.#lastCommit = Math.max(this.#lastCommit, now + randomFraction(this.#random) * COMMIT_DELAY);
    this.#later(this.#lastCommit - now, () => {
      for (const { key, value } of changes) {
        if (value === undefined) this.#store.delete(key);
        else this.#store.set(key, value);
      }
      this.#tellControl((now) => this.control.onCommitted(token, now));
    });
  }

  #dial(conn: number, host: string, port: number): void {
    const remote = parseEndpoint(host, port);
    const life = this.#life;
    if (remote === undefined) throw new Error(`dialled ${host}, which is no address`);
    this.#world.network.dial(
      { ...this.endpoint, port: 40_000 },
      remote,
      this.#streamEnd(conn, life),
      (stream) => {
        if (this.#life !== life) stream?.close();
        else if (stream === undefined)
          this.#tellControl((now) => this.control.onDialFailed(conn, 'no answer', now));
        else {
          this.#streams.set(conn, stream);
          this.#tellControl((now) => this.control.onConnected(conn, remote, now));
        }
      },
    );
  }

  #later(delay: Millis, act: () => void): void {
    const life = this.#life;
    this.#world.clock.after(Math.max(0, delay), () => {
      if (this.#life === life) act();
    });
  }
}

/** Documentation addresses (RFC 5737) for small meshes, beyond them those for benchmarks (RFC 2544). */
function addressOf(number: number): string {
  return number < 255 ? `192.0.2.${number}` : `198.18.${number >> 8}.${number & 255}`;
}

function hexByte(value: number): string {
  return value.toString(16).padStart(2, '0');
}
