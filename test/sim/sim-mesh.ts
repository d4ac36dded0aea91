import { randomBelow, randomFraction, SeededRandom } from '../../core/random.ts';
import { SECOND, type Millis } from '../../core/time.ts';
import type { InitMode } from '../../ipam/init-mode.ts';
import { AddressBook } from './address-book.ts';
import { EXPERIMENTAL_ETHERTYPE, macOf } from './frames.ts';
import { SimNetwork, type NetworkTerms } from './network.ts';
import { SimNode } from './sim-node.ts';
import { VirtualClock } from './virtual-clock.ts';
import { worldOf } from './world.ts';
import type { PlayedPrimitives } from '../router/crypto/played-primitives.ts';

export interface SimMeshOptions {
  readonly seed: number;
  readonly nodes: number;
  readonly terms: NetworkTerms;
  readonly primitives: PlayedPrimitives;
  readonly init?: InitMode;
  readonly range?: string;
  readonly discovery?: boolean;
  readonly fullMeshLimit?: number;
}

const BROADCAST = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff] as const;
/** 224.0.0.251 (RFC 1112, section 6.4). */
const MULTICAST = [0x01, 0x00, 0x5e, 0x00, 0x00, 0xfb] as const;
const FRAME_BYTES = 60;
/** Frames may wait for a session on some hops of their way, but for no longer than that. */
const STALE_AFTER: Millis = 15 * SECOND;

interface SentFrame {
  readonly sentAt: Millis;
  /** How often it reached each run of a node; a new run remembers nothing. */
  readonly runs: Map<symbol, number>;
}

/** A mesh of whole nodes in virtual time, from a seed, and the judge of what must never happen in it. */
export class SimMesh {
  readonly clock = new VirtualClock();
  readonly network: SimNetwork;
  readonly nodes: readonly SimNode[];
  /** Whether nodes connect to those that they hear of, until all are connected. */
  readonly discovery: boolean;
  /** With more nodes than this links are for neighbours and for who has frames to send. */
  readonly fullMeshLimit: number;
  readonly random: SeededRandom;
  /** Broken promises, as sentences; empty at the end of a good run. */
  readonly faults: string[] = [];
  /** By number. */
  readonly #frames: SentFrame[] = [];
  /** Whom each node was told of when it was started. */
  readonly #given = new Map<SimNode, SimNode[]>();
  readonly addresses: AddressBook;

  constructor(options: SimMeshOptions) {
    this.random = new SeededRandom(options.seed);
    this.discovery = options.discovery ?? true;
    this.fullMeshLimit = options.fullMeshLimit ?? 80;
    this.addresses = new AddressBook(this.faults);
    this.network = new SimNetwork(this.clock, this.random, options.terms);
    const onFrame = (node: SimNode, frame: Uint8Array): void => this.#onFrame(node, frame);
    const world = worldOf({ ...options, clock: this.clock, network: this.network, onFrame });
    this.nodes = Array.from({ length: options.nodes }, (_, i) => new SimNode(world, i + 1));
  }

  get living(): SimNode[] {
    return this.nodes.filter((node) => node.alive);
  }

  /** Everybody starts within `spread` ms, knowing up to `known` nodes with lower numbers, at least one. */
  boot(known: number, spread: Millis): void {
    for (const node of this.nodes) {
      const peers = this.#some(this.nodes.slice(0, node.number - 1), known);
      this.#given.set(node, peers);
      this.clock.after(randomFraction(this.random) * spread, () => node.start(peers));
    }
  }

  /** Power off. */
  crash(node: SimNode): void {
    node.crash();
    this.addresses.forgetOpen(node);
  }

  /**
   * Starts a node with what it had stored, knowing up to `known` others and those that it was told of before: without
   * discovery nobody might know the way to one of them else. Nothing if it runs.
   */
  restart(node: SimNode, known: number): void {
    if (node.alive) return;
    const others = this.nodes.filter((other) => other !== node);
    const given = new Set([...this.#some(others, known), ...(this.#given.get(node) ?? [])]);
    node.start([...given]);
  }

  /** Cuts the network between two halves, each node thrown into one by lot; returns the first half. */
  partition(): Set<SimNode> {
    const half = new Set(this.nodes.filter(() => randomBelow(this.random, 2) === 0));
    for (const a of this.nodes) {
      for (const b of this.nodes)
        if (half.has(a) !== half.has(b)) this.network.cut(a.endpoint.ip, b.endpoint.ip);
    }
    return half;
  }

  /** A broadcast from `node`; returns its number. */
  broadcast(node: SimNode): number {
    return this.#send(node, BROADCAST);
  }

  /** A multicast from `node`; returns its number, counted together with broadcasts. */
  multicast(node: SimNode): number {
    return this.#send(node, MULTICAST);
  }

  /** A frame from one node to another; returns its number, counted together with broadcasts. */
  unicast(from: SimNode, to: SimNode): number {
    return this.#send(from, macOf(to.number));
  }

  #send(node: SimNode, destination: Iterable<number>): number {
    const number = this.#frames.push({ sentAt: this.clock.now, runs: new Map() }) - 1;
    const frame = new Uint8Array(FRAME_BYTES);
    frame.set([...destination, ...macOf(node.number), ...EXPERIMENTAL_ETHERTYPE]);
    new DataView(frame.buffer).setUint32(14, number);
    node.sendFrame(frame);
    return number;
  }

  /** How many other nodes a broadcast reached, each run of one counted. */
  reached(number: number): number {
    return this.#frames[number]!.runs.size;
  }

  /** Whether a frame reached this run of a node. */
  reachedNode(number: number, { run }: SimNode): boolean {
    return this.#frames[number]!.runs.has(run);
  }

  /** Every living node routes to every other living one, and to nobody else. */
  hasOneView(): boolean {
    const want = this.living.map(({ name }) => name).sort();
    return this.living.every((node) => {
      const names = node.routes?.names ?? [];
      return names.length === want.length && names.every((name, i) => name === want[i]);
    });
  }

  #some(nodes: readonly SimNode[], count: number): SimNode[] {
    if (nodes.length === 0) return [];
    const drawn = Array.from({ length: count }, () => nodes[randomBelow(this.random, nodes.length)]!);
    return [...new Set(drawn)];
  }

  #onFrame(node: SimNode, frame: Uint8Array): void {
    const number = new DataView(frame.buffer, frame.byteOffset).getUint32(14);
    const sent = this.#frames[number];
    if (sent === undefined) return;
    const count = (sent.runs.get(node.run) ?? 0) + 1;
    sent.runs.set(node.run, count);
    const took = this.clock.now - sent.sentAt;
    if (count > 1) this.faults.push(`frame ${number} reached node ${node.number} ${count} times`);
    if (took > STALE_AFTER) this.faults.push(`frame ${number} reached node ${node.number} after ${took} ms`);
  }
}
