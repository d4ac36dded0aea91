import { equalEndpoint, parseEndpoint, type Cidr, type Endpoint } from '../../core/address.ts';
import { parsePeerName, type PeerName } from '../../core/peer-name.ts';
import { SeededRandom } from '../../core/random.ts';
import type { RoutesSnapshot } from '../../core/routes.ts';
import { DataNode } from '../../router/data-node.ts';
import { LaneNode } from '../../router/lane-node.ts';
import type { DatagramCipher } from '../../router/engine/datagram-cipher.ts';
import { MemoryEngine } from '../../router/engine/memory.ts';
import type { Engine } from '../../router/engine/port.ts';
import type { SessionMaterial, ToControl, ToData } from '../../router/node-messages.ts';
import { MOST_LANES, lanesBetween, workerOf } from '../../router/wire/lanes.ts';

/** Not a cipher: the tag repeats key and counter, so that wrong keys and changed counters are noticed. */
export const fakeCipher: DatagramCipher = {
  seal: (key, counter, plaintext) => {
    const sealed = new Uint8Array(plaintext.length + 16);
    sealed.set(plaintext);
    sealed.set(tagOf(key, counter), plaintext.length);
    return sealed;
  },
  open: (key, counter, sealed) => {
    const end = sealed.length - 16;
    const expected = tagOf(key, counter);
    return expected.every((byte, i) => byte === sealed[end + i]) ? sealed.slice(0, end) : undefined;
  },
};

function tagOf(key: Uint8Array, counter: number): Uint8Array {
  const tag = key.slice(0, 16);
  new DataView(tag.buffer).setUint32(8, counter);
  return tag;
}

export interface NetNode {
  readonly name: PeerName;
  address: Endpoint;
  readonly engine: MemoryEngine;
  readonly node: DataNode;
  /** What the host received, and what the ControlNode was told. */
  readonly frames: Uint8Array[];
  readonly control: { at: number; message: ToControl }[];
  ready: boolean;
  /** The workers from 1 on. */
  readonly lanes: NetLane[];
}

export interface NetLane {
  readonly engine: MemoryEngine;
  readonly node: LaneNode;
  ready: boolean;
}

export interface NetNodeOptions {
  readonly trusted?: readonly Cidr[];
  readonly bridgeMtu?: number;
  readonly workers?: number;
}

export interface NetDatagram {
  readonly from: Endpoint;
  readonly to: Endpoint;
  readonly bytes: Uint8Array;
}

/** Data nodes over engines in memory, joined by a network with loss and delay, in virtual time. */
export class DataNet {
  now = 0;
  readonly nodes: NetNode[] = [];
  readonly random: SeededRandom;
  /** Fraction of datagrams that vanish, and the delay in ms: fixed part and jitter. */
  loss = 0;
  delay = 10;
  jitter = 0;
  passes: (datagram: NetDatagram) => boolean = () => true;
  /** Largest datagram that leaves the host at all. */
  hostLimit = Infinity;
  /** Whether engines of nodes that are added repeat decisions. */
  repeats = false;
  onControl: (node: NetNode, message: ToControl) => void = () => undefined;
  /** What a node is given as its engine in place of the one in memory. */
  wrapEngine: (engine: Engine) => Engine = (engine) => engine;
  #flying: { at: number; datagram: NetDatagram }[] = [];
  #nextIndex = MOST_LANES;
  #nextId = 1;
  /** Per pair of names the id of its newest session. */
  readonly #newest = new Map<string, number>();
  readonly #aliases = new Map<NetNode, number>();

  constructor(seed = 1) {
    this.random = new SeededRandom(seed);
  }

  async addNode(options: NetNodeOptions = {}): Promise<NetNode> {
    const position = this.nodes.length + 1;
    const name = parsePeerName(`::${position}`)!;
    const frames: Uint8Array[] = [];
    const workers = options.workers ?? 1;
    const trustedSubnets = options.trusted ?? [];
    const makeEngine = () =>
      new MemoryEngine({
        cipher: fakeCipher,
        transmit: (to, bytes) => this.#transmit(added, to, bytes),
        onHostReceives: (frame) => void frames.push(frame),
        ...(this.repeats ? { clock: () => this.now } : {}),
      });
    const engine = makeEngine();
    const config = { name, bridgeMtu: options.bridgeMtu ?? 1388, trustedSubnets, workers };
    const node = new DataNode(config, this.wrapEngine(engine), new SeededRandom(position), 0);
    const address = parseEndpoint(`192.0.2.${position}`, 6783)!;
    const added: NetNode = { name, address, engine, node, frames, control: [], ready: false, lanes: [] };
    this.nodes.push(added);
    await engine.open({
      tap: 'tap',
      address: undefined,
      port: 6783,
      onReady: () => void (added.ready = true),
    });
    for (let worker = 1; worker < workers; worker++)
      added.lanes.push(await openLane(makeEngine(), trustedSubnets));
    return added;
  }

  /** Everyone neighbours everyone. */
  announceRoutes(version = 1): void {
    const names = this.nodes.map(({ name }) => name);
    for (const [self, { node }] of this.nodes.entries())
      node.onControl({ type: 'routes', routes: fullMesh(names, self, version) }, this.now);
    this.settle();
  }

  /** Hand-made sessions, as a handshake between `a` (initiator) and `b` would bring them about. */
  connect(a: NetNode, b: NetNode, change: Partial<SessionMaterial> = {}): void {
    const [indexA, indexB, id] = [this.#takeIndex(), this.#takeIndex(), this.#nextId++];
    const lanes = lanesBetween(a.lanes.length + 1, b.lanes.length + 1);
    const [ab, ba] = [this.random.bytes(32 * lanes), this.random.bytes(32 * lanes)];
    const [ca, cb] = [this.random.bytes(16), this.random.bytes(16)];
    this.#newest.set(`${a.name} ${b.name}`, id);
    const common = { id, lanes, remoteBridgeMtu: 1388, remoteTrusted: [] };
    this.tell(b, {
      type: 'session',
      peer: a.name,
      session: {
        ...common,
        initiator: false,
        keys: { send: ba.slice(), receive: ab.slice() },
        cookies: { send: ca, receive: cb },
        localIndex: indexB,
        remoteIndex: indexA,
        candidates: [a.address],
        ...change,
      },
    });
    this.tell(a, {
      type: 'session',
      peer: b.name,
      session: {
        ...common,
        initiator: true,
        keys: { send: ab.slice(), receive: ba.slice() },
        cookies: { send: cb, receive: ca },
        localIndex: indexA,
        remoteIndex: indexB,
        candidates: [b.address],
        ...change,
      },
    });
  }

  /** A circuit for the newest session between `a`, its initiator, and `b`, whose one relay is `relay`. */
  openCircuit(a: NetNode, relay: NetNode, b: NetNode, circuit = 1): void {
    const session = this.#newest.get(`${a.name} ${b.name}`)!;
    const [aliasA, aliasB, labelAB, labelBA] = [0, 0, 0, 0].map(() => this.#takeIndex()) as [
      number,
      number,
      number,
      number,
    ];
    this.#aliases.set(a, aliasA).set(b, aliasB);
    this.tell(relay, { type: 'label', index: labelAB, previous: a.name, next: b.name, nextIndex: aliasB });
    this.tell(relay, { type: 'label', index: labelBA, previous: b.name, next: a.name, nextIndex: aliasA });
    this.tell(b, {
      type: 'circuit',
      peer: a.name,
      session,
      circuit,
      route: [relay.name],
      alias: aliasB,
      sendIndex: labelBA,
    });
    this.tell(a, {
      type: 'circuit',
      peer: b.name,
      session,
      circuit,
      route: [relay.name],
      alias: aliasA,
      sendIndex: labelAB,
    });
  }

  /** The index on which a node takes the datagrams of its newest circuit. */
  aliasOf(node: NetNode): number {
    return this.#aliases.get(node)!;
  }

  tell(to: NetNode, message: ToData): void {
    to.node.onControl(message, this.now);
    this.settle();
  }

  told<T extends ToControl['type']>(node: NetNode, type: T): Extract<ToControl, { type: T }>[] {
    return node.control.map(({ message }) => message).filter((message) => message.type === type) as Extract<
      ToControl,
      { type: T }
    >[];
  }

  report(node: NetNode): Extract<ToControl, { type: 'report' }>['report'] {
    this.tell(node, { type: 'report-request', request: 1 });
    return this.told(node, 'report').at(-1)!.report;
  }

  run(duration: number, each: () => void = () => undefined, step = 100): void {
    const end = this.now + duration;
    let nextEach = this.now;
    for (let steps = 0; ; steps++) {
      if (steps > 500_000) throw new Error('no progress');
      const timeouts = this.#machines().map((machine) => machine.nextTimeout() ?? Infinity);
      const next = Math.min(this.#flying[0]?.at ?? Infinity, nextEach, ...timeouts);
      if (next > end) break;
      this.now = Math.max(this.now, next);
      if (nextEach <= this.now) {
        each();
        nextEach = this.now + step;
      }
      this.#arrivals();
      this.settle();
      for (const machine of this.#machines())
        if ((machine.nextTimeout() ?? Infinity) <= this.now) machine.onTimeout(this.now);
      this.settle();
    }
    this.now = end;
  }

  /** Lets all engines and mailboxes run dry at this instant. */
  settle(): void {
    for (const node of this.nodes) {
      while (this.#turn(node));
      for (const message of node.node.drain()) {
        node.control.push({ at: this.now, message });
        this.onControl(node, message);
      }
    }
  }

  /** Lets the workers of a node move and tell each other; false if there was nothing to do. */
  #turn(node: NetNode): boolean {
    let busy = node.ready;
    if (node.ready) node.ready = node.node.onReady(this.now);
    for (const { worker, message } of node.node.drainLanes()) {
      node.lanes[worker - 1]!.node.onData(message, this.now);
      busy = true;
    }
    for (const [i, lane] of node.lanes.entries()) {
      busy ||= lane.ready;
      if (lane.ready) lane.ready = lane.node.onReady(this.now);
      for (const message of lane.node.drain()) {
        node.node.onLane(i + 1, message, this.now);
        busy = true;
      }
    }
    return busy;
  }

  #machines(): (DataNode | LaneNode)[] {
    return this.nodes.flatMap(({ node, lanes }) => [node, ...lanes.map((lane) => lane.node)]);
  }

  #takeIndex(): number {
    return (this.#nextIndex += MOST_LANES);
  }

  #arrivals(): void {
    while (this.#flying[0] && this.#flying[0].at <= this.now) {
      const { datagram } = this.#flying.shift()!;
      const to = this.nodes.find(({ address }) => equalEndpoint(address, datagram.to));
      if (to !== undefined) engineFor(to, datagram.bytes).deliver(datagram.from, datagram.bytes);
    }
  }

  #transmit(node: NetNode, to: Endpoint, bytes: Uint8Array): string | undefined {
    if (bytes.length > this.hostLimit) return 'EMSGSIZE';
    const datagram = { from: node.address, to, bytes };
    const lost = this.loss > 0 && this.random.u32() / 2 ** 32 < this.loss;
    if (lost || !this.passes(datagram)) return undefined;
    const at = this.now + this.delay + (this.jitter === 0 ? 0 : this.random.u32() % this.jitter);
    let place = this.#flying.length;
    while (place > 0 && this.#flying[place - 1]!.at > at) place--;
    this.#flying.splice(place, 0, { at, datagram });
    return undefined;
  }
}

/** What SO_REUSEPORT does: the worker that the lane in the receiver index belongs to. */
function engineFor({ engine, lanes }: NetNode, datagram: Uint8Array): MemoryEngine {
  const worker = workerOf((datagram[4] ?? 0) % MOST_LANES, lanes.length + 1);
  return worker === 0 ? engine : lanes[worker - 1]!.engine;
}

async function openLane(engine: MemoryEngine, trustedSubnets: readonly Cidr[]): Promise<NetLane> {
  const lane = { engine, node: new LaneNode({ trustedSubnets }, engine), ready: false };
  await engine.open({ tap: 'tap', address: undefined, port: 6783, onReady: () => void (lane.ready = true) });
  return lane;
}

export function fullMesh(names: readonly PeerName[], self: number, version: number): RoutesSnapshot {
  const n = names.length;
  const others = names.map((_, i) => names.map((__, j) => j).filter((j) => j !== i));
  return {
    version,
    names,
    self,
    adjacencyStart: Int32Array.from({ length: n + 1 }, (_, i) => i * (n - 1)),
    adjacency: Int32Array.from(others.flat()),
    direct: new Uint8Array(n * (n - 1)).fill(1),
    nextHop: Int32Array.from(names, (_, i) => (i === self ? -1 : i)),
    epoch: new Uint8Array(n).fill(1),
    bridgeMtu: new Int32Array(n).fill(1388),
  };
}

/** An Ethernet frame between hosts `from` and `to` (0 = broadcast) with a number in its payload. */
export function frameOf(from: number, to: number, number: number, length = 100): Uint8Array {
  const frame = new Uint8Array(length);
  frame.set(to === 0 ? [255, 255, 255, 255, 255, 255] : [2, 0, 0, 0, 0, to], 0);
  frame.set([2, 0, 0, 0, 0, from, 0x88, 0xb5], 6);
  new DataView(frame.buffer).setUint32(14, number);
  return frame;
}

export function numberOf(frame: Uint8Array): number {
  return new DataView(frame.buffer, frame.byteOffset).getUint32(14);
}

export function macsOf(...hosts: number[]): Uint8Array {
  return Uint8Array.from(hosts.flatMap((host) => [2, 0, 0, 0, 0, host]));
}
