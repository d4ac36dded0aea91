import type { Endpoint } from '../../core/address.ts';
import { utf8 } from '../../core/bytes.ts';
import type { PeerName } from '../../core/peer-name.ts';
import { randomFraction } from '../../core/random.ts';
import type { RoutesSnapshot } from '../../core/routes.ts';
import type { Millis } from '../../core/time.ts';
import type { InitMode } from '../../ipam/init-mode.ts';
import { parseIpamSettings } from '../../ipam/settings.ts';
import { ControlNode } from '../../router/control-node.ts';
import type { Rotation } from '../../router/control-node.ts';
import type { ControlReport, ControlStatus } from '../../router/control-status.ts';
import { DataNode } from '../../router/data-node.ts';
import type { DatagramCipher } from '../../router/engine/datagram-cipher.ts';
import { MemoryEngine } from '../../router/engine/memory.ts';
import { LaneNode } from '../../router/lane-node.ts';
import type { FromLane, ToLane } from '../../router/lane-messages.ts';
import type { ToControl, ToData } from '../../router/node-messages.ts';
import { MOST_LANES, workerOf } from '../../router/wire/lanes.ts';
import { ControlHost, PORT, type ControlWorld, type OtherEffect } from './control-host.ts';
import type { SimNetwork } from './network.ts';

/** Between the two threads of a node. */
const MAILBOX_DELAY: Millis = 2;

/** What all nodes of a simulation share. */
export interface SimWorld extends ControlWorld {
  readonly network: Pick<SimNetwork, 'attach' | 'detach' | 'send' | 'dial'>;
  readonly cipher: DatagramCipher;
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

/** One whole node: the real ControlNode and DataNode, with its threads and its TAP played by the simulation too. */
export class SimNode extends ControlHost {
  readonly logs: string[] = [];
  /** As handed to the data plane last. */
  routes: RoutesSnapshot | undefined;
  /** Peers with a link that is up, by what the data plane told last. */
  readonly up = new Set<PeerName>();
  data!: DataNode;
  readonly #world: SimWorld;
  #engine!: MemoryEngine;
  #lanes: SimLane[] = [];
  #mailToData: ToData[] = [];
  #mailToControl: ToControl[] = [];
  readonly #documents = new Map<number, (document: ControlStatus | ControlReport) => void>();
  #run = Symbol('not started');
  #dataWake = Number.POSITIVE_INFINITY;
  #dataIsAwake = false;

  constructor(world: SimWorld, number: number) {
    super(world, number);
    this.#world = world;
  }

  /** From one start to the next. */
  get run(): symbol {
    return this.#run;
  }

  /** Starts from what the store holds; `peers` are the targets of the command line. */
  start(peers: readonly SimNode[]): void {
    const identity = this.begin();
    this.#run = Symbol('a run');
    this.routes = undefined;
    this.up.clear();
    this.#mailToData = [];
    this.#mailToControl = [];
    this.#dataWake = Number.POSITIVE_INFINITY;
    this.#startData();
    const config = { ...this.#config(), identity, uid: this.random.bytes(8) };
    const deps = { primitives: this.#world.primitives, random: this.random, stored: this.store };
    this.boot(new ControlNode(config, deps, this.#world.clock.now), peers);
  }

  /** Power off: nobody is told. */
  crash(): void {
    this.#documents.clear();
    this.end(true);
  }

  /** The daemon is stopped: it tells the others. What follows is a {@link crash}, once they have been told. */
  leave(): void {
    this.tell((control, now) => control.stop(now));
  }

  /** Gives the host's bridge a frame to send into the mesh. */
  sendFrame(frame: Uint8Array): void {
    const flow = frame[5]! + frame[11]!;
    this.#engineOf(flow % this.#workers).hostSends(frame);
  }

  /** `done` is called within two seconds. */
  askStatus(done: (status: ControlStatus) => void): void {
    const request = this.nextRequest();
    this.#documents.set(request, done);
    this.tell((control, now) => control.requestStatus(request, now));
  }

  /** As {@link askStatus}, with all that the control plane knows. */
  askReport(done: (report: ControlReport) => void): void {
    const request = this.nextRequest();
    this.#documents.set(request, (document) => done(document as ControlReport));
    this.tell((control, now) => control.requestReport(request, now));
  }

  /** The password file was read again. */
  rotate(passwords: readonly string[]): Rotation | string {
    return this.tell((control, now) => control.onPasswords(passwords.map(utf8), now))!;
  }

  /** New session keys with every peer of the routes. */
  rekey(): void {
    const peers = this.routes?.names.filter((name) => name !== this.name) ?? [];
    this.tell((control, now) => control.rekey(peers, now));
  }

  onDatagram(from: Endpoint, datagram: Uint8Array): void {
    if (!this.alive) return;
    const worker = workerOf((datagram[4] ?? 0) % MOST_LANES, this.#workers);
    this.#engineOf(worker).deliver(from, datagram);
  }

  get #workers(): number {
    return this.#world.workersOf(this.number);
  }

  #engineOf(worker: number): MemoryEngine {
    return worker === 0 ? this.#engine : this.#lanes[worker - 1]!.engine;
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
    this.#engine = this.#newEngine(() => {
      if (!this.#dataIsAwake) this.#wakeData();
    });
    const config = { name: this.name, bridgeMtu: 1_388, workers: this.#workers, trustedSubnets: [] };
    this.data = new DataNode(config, this.#engine, this.random, this.#world.clock.now);
    this.#lanes = Array.from({ length: this.#workers - 1 }, () => this.#newLane());
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

  #newLane(): SimLane {
    const engine = this.#newEngine(() => {
      if (!lane.awake) this.#wakeLane(lane);
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

  #wakeLane(lane: SimLane): void {
    lane.awake = true;
    this.later(0, () => {
      lane.awake = lane.node.onReady(this.#world.clock.now);
      this.#settleLane(lane);
      if (lane.awake) this.#wakeLane(lane);
    });
  }

  #settleLane(lane: SimLane): void {
    const messages = lane.node.drain();
    if (messages.length > 0 && lane.mailBack.push(...messages) === messages.length) {
      this.later(randomFraction(this.random) * MAILBOX_DELAY, () => {
        const worker = this.#lanes.indexOf(lane) + 1;
        for (const each of lane.mailBack.splice(0)) this.data.onLane(worker, each, this.#world.clock.now);
        this.#settleData();
      });
    }
    const at = lane.node.nextTimeout();
    if (at === undefined || at >= lane.wake) return;
    lane.wake = at;
    this.later(at - this.#world.clock.now, () => {
      if (lane.wake !== at) return;
      lane.wake = Number.POSITIVE_INFINITY;
      lane.node.onTimeout(this.#world.clock.now);
      this.#settleLane(lane);
    });
  }

  #tellLane(lane: SimLane, message: ToLane): void {
    if (lane.mail.push(message) > 1) return;
    this.later(randomFraction(this.random) * MAILBOX_DELAY, () => {
      for (const each of lane.mail.splice(0)) lane.node.onData(each, this.#world.clock.now);
      this.#settleLane(lane);
    });
  }

  #wakeData(): void {
    this.#dataIsAwake = true;
    this.later(0, () => {
      this.#dataIsAwake = this.data.onReady(this.#world.clock.now);
      this.#settleData();
      if (this.#dataIsAwake) this.#wakeData();
    });
  }

  #settleData(): void {
    const messages = this.data.drain();
    if (messages.length > 0) this.#toControl(messages);
    for (const { worker, message } of this.data.drainLanes())
      this.#tellLane(this.#lanes[worker - 1]!, message);
    this.#armData(this.data.nextTimeout());
  }

  #armData(at: Millis | undefined): void {
    if (at === undefined || at >= this.#dataWake) return;
    this.#dataWake = at;
    this.later(at - this.#world.clock.now, () => {
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
    this.tellLater(randomFraction(this.random) * MAILBOX_DELAY, (control, now) => {
      for (const message of this.#mailToControl.splice(0)) control.onData(message, now);
    });
  }

  #noteLink({ peer, state }: Extract<ToControl, { type: 'link-changed' }>): void {
    if (state === 'up') this.up.add(peer);
    else this.up.delete(peer);
  }

  #toData(message: ToData): void {
    if (message.type === 'routes') this.routes = message.routes;
    if (this.#mailToData.push(message) > 1) return;
    this.later(randomFraction(this.random) * MAILBOX_DELAY, () => {
      for (const each of this.#mailToData.splice(0)) this.data.onControl(each, this.#world.clock.now);
      this.#settleData();
    });
  }

  protected onOther(effect: OtherEffect): void {
    switch (effect.type) {
      case 'to-data':
        return this.#toData(effect.message);
      case 'status':
      case 'report':
        this.#documents.get(effect.request)?.(effect.document);
        this.#documents.delete(effect.request);
        return;
      case 'log':
        if (effect.level === 'warn' || effect.level === 'error') {
          this.logs.push(`${effect.message} ${JSON.stringify(effect.fields)}`);
        }
    }
  }
}
