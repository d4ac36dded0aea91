import { parseIp, type Endpoint } from '../../core/address.ts';
import { utf8 } from '../../core/bytes.ts';
import { parsePeerName, type PeerName } from '../../core/peer-name.ts';
import { randomBelow, SeededRandom } from '../../core/random.ts';
import type { GossipConfig } from '../../gossip/gossip-config.ts';
import { Gossip } from '../../gossip/gossip.ts';
import type { SecureChannel } from '../../gossip/secure-channel.ts';
import type { GossipEffect } from '../../gossip/gossip-effect.ts';
import { EventQueue } from './event-queue.ts';
import { createSecureChannel } from '../../router/crypto/secure-channel.ts';
import { fakePrimitives } from '../sim/fake-primitives.ts';
import { PlainChannel } from './plain-channel.ts';

const PORT = 6783;
const MAX_WAKES_AT_ONCE = 10;

export interface NodeOptions extends Partial<GossipConfig> {
  readonly passwords?: readonly string[];
  /** Several nodes with the same one stand behind a NAT, and can only dial. */
  readonly ip?: string;
  /** It is yet to be told whom to connect to, if anybody. */
  readonly untold?: boolean;
}

/** One direction's far end of a stream. */
interface StreamEnd {
  readonly node: SimulatedNode;
  readonly conn: number;
}

interface Stream {
  readonly ends: readonly [StreamEnd, StreamEnd];
  readonly delay: number;
  /** What waits because the network is cut: delivered when it heals, as TCP would. */
  held: (() => void)[];
}

export class SimulatedNode {
  readonly name: PeerName;
  ip: string;
  readonly gossip: Gossip;
  readonly passwords: string[];
  readonly effects: GossipEffect[] = [];
  readonly streams = new Map<number, Stream>();
  alive = true;
  nextAccepted = 1;
  wakeAt: number | undefined;
  wokenAt: number | undefined;
  wakes = 0;
  bytesWritten = 0;
  writes = 0;
  dials = 0;

  constructor(gossip: Gossip, name: PeerName, ip: string, passwords: string[]) {
    this.gossip = gossip;
    this.name = name;
    this.ip = ip;
    this.passwords = passwords;
  }

  of<T extends GossipEffect['type']>(type: T): Extract<GossipEffect, { type: T }>[] {
    return this.effects.filter((effect) => effect.type === type) as Extract<GossipEffect, { type: T }>[];
  }
}

/** Whole gossip nodes on a simulated network in virtual time. Node i has the name ::i and the address 192.0.2.i. */
export class Mesh {
  readonly queue = new EventQueue();
  readonly nodes: SimulatedNode[] = [];
  readonly #random: SeededRandom;
  readonly #secure: boolean;
  #incarnation = 0;
  #channelId = 1;
  #sides = new Map<string, number>();
  readonly #cuts = new Set<string>();
  /** Whether what one node writes to another is lost although the connection lives. */
  swallows: (bytes: Uint8Array, from: SimulatedNode, to: SimulatedNode) => boolean = () => false;

  /** `secure`: with the real secure channel, on fake cryptography, in place of the plain one. */
  constructor(seed: number, secure = false) {
    this.#random = new SeededRandom(seed);
    this.#secure = secure;
  }

  get now(): number {
    return this.queue.now;
  }

  add(index: number, options: NodeOptions = {}): SimulatedNode {
    const { passwords = [], ip = `192.0.2.${index}`, untold = false, ...config } = options;
    const name = peerName(index);
    const random = new SeededRandom(1 + randomBelow(this.#random, 2 ** 31));
    const held = [...passwords];
    this.#incarnation++;
    const gossip = new Gossip(
      {
        name,
        nickname: `host${index}`,
        uid: [...random.bytes(8)].map((byte) => byte.toString(16).padStart(2, '0')).join(''),
        incarnation: this.#incarnation,
        version: 'test',
        staticKey: new Uint8Array(32).fill(index),
        generation: '00000000000000aa',
        port: PORT,
        acceptsInbound: true,
        addresses: [],
        discovery: true,
        connLimit: 0,
        fullMeshLimit: 80,
        bridgeMtu: 1_388,
        capabilities: ['ipam'],
        candidates: [],
        ...config,
      },
      {
        random,
        passwordCount: () => held.length,
        createChannel: (role, _remote, attempt) =>
          this.#secure
            ? this.#secureChannel(role, held, attempt, random)
            : new PlainChannel({
                id: this.#channelId++,
                role,
                attempt,
                passwords: role === 'dialler' ? held.slice(attempt, attempt + 1) : [...held],
              }),
      },
      this.now,
    );
    const node = new SimulatedNode(gossip, name, ip, held);
    this.nodes.push(node);
    if (untold) this.settle(node);
    else this.connect(node);
    return node;
  }

  #secureChannel(
    role: 'dialler' | 'acceptor',
    held: readonly string[],
    dialPassword: number,
    random: SeededRandom,
  ): SecureChannel {
    const passwords = held.map(utf8);
    const options = { role, passwords, dialPassword, primitives: fakePrimitives, random };
    return createSecureChannel(options, this.now);
  }

  connect(node: SimulatedNode, ...targets: string[]): string | undefined {
    const error = node.gossip.connect(targets, false, this.now);
    this.settle(node);
    return error;
  }

  /** Calls inputs of a node, then does what it asks for. */
  act(node: SimulatedNode, input: (gossip: Gossip, now: number) => void): void {
    input(node.gossip, this.now);
    this.settle(node);
  }

  run(milliseconds: number): void {
    this.queue.runUntil(this.now + milliseconds);
  }

  /** The machine vanishes: no FIN, nothing answers. */
  crash(node: SimulatedNode): void {
    node.alive = false;
  }

  /** The host has another address: connections that began at the old one are dead, which this end alone knows. */
  move(node: SimulatedNode, ip: string): void {
    node.ip = ip;
    const cutOff = [...node.streams.keys()];
    node.streams.clear();
    this.act(node, (gossip, now) => {
      for (const conn of cutOff) gossip.onClosed(conn, 'cut off', now);
      gossip.onAddresses([endpoint(ip)], true, now);
    });
  }

  stop(node: SimulatedNode): void {
    this.act(node, (gossip, now) => gossip.stop(now));
    this.queue.schedule(this.now + 1_000, () => (node.alive = false));
  }

  /** Only nodes of one group reach each other. */
  partition(...groups: (readonly SimulatedNode[])[]): void {
    this.#sides = new Map(groups.flatMap((group, side) => group.map((node) => [node.ip, side])));
  }

  /** The two nodes do not reach each other. */
  cut(a: SimulatedNode, b: SimulatedNode): void {
    this.#cuts.add(`${a.ip} ${b.ip}`).add(`${b.ip} ${a.ip}`);
  }

  heal(): void {
    this.#sides.clear();
    this.#cuts.clear();
    for (const node of this.nodes) {
      for (const stream of node.streams.values()) {
        for (const deliver of stream.held.splice(0)) this.queue.schedule(this.now, deliver);
      }
    }
  }

  /** Bytes as if from the other end of the node's connection `conn`. */
  inject(node: SimulatedNode, conn: number, bytes: Uint8Array): void {
    this.act(node, (gossip, now) => gossip.onBytes(conn, bytes, now));
  }

  settle(node: SimulatedNode): void {
    for (let effects = node.gossip.drain(); effects.length > 0; effects = node.gossip.drain()) {
      for (const effect of effects) this.#perform(node, effect);
    }
    const next = node.gossip.nextTimeout();
    if (next === undefined || (node.wakeAt !== undefined && node.wakeAt <= next)) return;
    node.wakeAt = next;
    this.queue.schedule(next, () => this.#wake(node, next));
  }

  #wake(node: SimulatedNode, at: number): void {
    if (node.wakeAt !== at) return;
    node.wakeAt = undefined;
    if (!node.alive) return;
    // What a timer brings about may be due at once, such as a dial, but not for ever.
    node.wakes = node.wokenAt === this.now ? node.wakes + 1 : 1;
    node.wokenAt = this.now;
    if (node.wakes > MAX_WAKES_AT_ONCE) throw new Error(`${node.name} spins: due since ${at}`);
    node.gossip.onTimeout(this.now);
    this.settle(node);
  }

  #perform(node: SimulatedNode, effect: GossipEffect): void {
    switch (effect.type) {
      case 'dial':
        node.dials++;
        return this.#dial(node, effect.conn, effect.host, effect.port);
      case 'write':
        node.writes++;
        node.bytesWritten += effect.bytes.length;
        this.#transmit(node, effect.conn, ({ node: to, conn }) => {
          if (!this.swallows(effect.bytes, node, to)) to.gossip.onBytes(conn, effect.bytes, this.now);
        });
        return;
      case 'close':
        this.#transmit(node, effect.conn, ({ node: to, conn }) => {
          to.streams.delete(conn);
          to.gossip.onClosed(conn, undefined, this.now);
        });
        node.streams.delete(effect.conn);
        return;
      case 'task':
        node.gossip.onTaskDone(effect.task, fakePrimitives.runJob(effect.job), this.now);
        return;
      case 'routes':
      case 'unicast':
      case 'peer-changed':
      case 'peer-gone':
      case 'persist-targets':
      case 'log':
        node.effects.push(effect);
    }
  }

  #dial(from: SimulatedNode, conn: number, host: string, port: number): void {
    const delay = 1 + randomBelow(this.#random, 20);
    const to = this.nodes.findLast((node) => node.ip === host && node.alive);
    if (to === undefined || !this.#reaches(from, to) || port !== PORT) {
      return this.queue.schedule(this.now + 3_000, () => {
        if (from.alive) this.act(from, (gossip, now) => gossip.onDialFailed(conn, 'no answer', now));
      });
    }
    const accepted = to.nextAccepted;
    to.nextAccepted += 2;
    const ends = [{ node: from, conn } as const, { node: to, conn: accepted } as const] as const;
    const stream: Stream = { ends, delay, held: [] };
    const source = endpoint(from.ip, 40_000 + conn);
    this.queue.schedule(this.now + delay, () => {
      from.streams.set(conn, stream);
      to.streams.set(accepted, stream);
      this.act(to, (gossip, now) => gossip.onAccepted(accepted, source, now));
      this.act(from, (gossip, now) => gossip.onConnected(conn, endpoint(to.ip, port), now));
    });
  }

  #transmit(from: SimulatedNode, conn: number, input: (end: StreamEnd) => void): void {
    const stream = from.streams.get(conn);
    if (stream === undefined) return;
    const [a, b] = stream.ends;
    const far = a.node === from && a.conn === conn ? b : a;
    const deliver = (): void => {
      if (!far.node.alive || !far.node.streams.has(far.conn)) return;
      if (!this.#reaches(from, far.node)) return void stream.held.push(deliver);
      input(far);
      this.settle(far.node);
      if (from.alive && from.streams.has(conn)) from.gossip.onWritable(conn, this.now);
    };
    this.queue.schedule(this.now + stream.delay, deliver);
  }

  #reaches(a: SimulatedNode, b: SimulatedNode): boolean {
    return this.#sides.get(a.ip) === this.#sides.get(b.ip) && !this.#cuts.has(`${a.ip} ${b.ip}`);
  }
}

export function peerName(index: number): PeerName {
  return parsePeerName(`::${(index >> 8).toString(16)}:${(index & 255).toString(16)}`)!;
}

export function endpoint(ip: string, port = PORT): Endpoint {
  return { ip: parseIp(ip)!, port };
}

/** The names that the node's routes reach, itself included. */
export function reached(node: SimulatedNode): readonly string[] {
  return node.gossip.routes().names;
}

/** Names of the node's neighbours by its own routes. */
export function neighbours(node: SimulatedNode): readonly string[] {
  return node.gossip.peersStatus().find(({ name }) => name === node.name)!.neighbours;
}
