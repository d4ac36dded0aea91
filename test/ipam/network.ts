import { SeededRandom, randomBelow, randomFraction } from '../../core/random.ts';
import type { PeerName } from '../../core/peer-name.ts';
import type { StoreChange } from '../../core/store.ts';
import type { Millis } from '../../core/time.ts';
import { formatIp } from '../../core/address.ts';
import { encodeEntries } from '../../ipam/delta-codec.ts';
import type { Entry } from '../../ipam/entries.ts';
import type { IpamAnnouncement, IpamEffect, IpamRequest, IpamResult } from '../../ipam/effects.ts';
import type { InitMode } from '../../ipam/init-mode.ts';
import { Ipam } from '../../ipam/ipam.ts';
import type { IpamSettings } from '../../ipam/settings.ts';

export interface Faults {
  /** Probabilities of one message. */
  readonly loss: number;
  readonly duplication: number;
  /** Messages and commits take up to this long, each its own time: they overtake each other. */
  readonly delay: Millis;
}

const NO_FAULTS: Faults = { loss: 0, duplication: 0, delay: 0 };

const DIGEST_INTERVAL = 3_000;

interface Node {
  readonly name: PeerName;
  /** Of the state directory; what it announces may be another. */
  generation: string;
  announced: IpamAnnouncement;
  readonly init: InitMode;
  readonly store: Map<string, Uint8Array>;
  ipam: Ipam | undefined;
  /** Rises with every start: what was under way before reaches nobody. */
  life: number;
  digestAt: Millis;
}

interface Event {
  readonly at: Millis;
  readonly order: number;
  readonly run: () => void;
}

/**
 * Allocators joined by a lossy mailbox with a virtual clock and simulated stores. Gossip is flooding plus an exchange
 * of digests every few seconds. Everything follows from the seed.
 */
export class Network {
  readonly settings: IpamSettings;
  readonly random: SeededRandom;
  readonly nodes = new Map<PeerName, Node>();
  readonly results = new Map<string, IpamResult>();
  now: Millis = 0;
  faults: Faults;
  /** Called before a commit reaches the store; true = the node crashes there, with or without the commit. */
  crashAtCommit: (name: PeerName) => 'before' | 'after' | undefined = () => undefined;
  /** The disk of a node is full. */
  diskIsFull: (name: PeerName) => boolean = () => false;
  readonly logs: string[] = [];
  #cut = new Set<string>();
  #events: Event[] = [];
  #order = 0;

  constructor(settings: IpamSettings, seed: number, faults: Faults = NO_FAULTS) {
    this.settings = settings;
    this.random = new SeededRandom(seed);
    this.faults = faults;
  }

  add(name: PeerName, init: InitMode): void {
    const generation = name.replaceAll(':', '') + 'aaaa';
    this.nodes.set(name, {
      name,
      generation,
      announced: { generation, clusterId: '' },
      init,
      store: new Map(),
      ipam: undefined,
      life: 0,
      digestAt: 0,
    });
    this.start(name);
  }

  start(name: PeerName): void {
    const node = this.nodes.get(name)!;
    node.life++;
    node.digestAt = this.now + randomBelow(this.random, DIGEST_INTERVAL);
    node.ipam = new Ipam(
      {
        name,
        nickname: `nick-${name.slice(-1)}`,
        generation: node.generation,
        init: node.init,
        ...this.settings,
      },
      { random: this.random, stored: new Map(node.store) },
      this.now,
    );
    this.#carryOut(node);
    this.topologyChanged();
  }

  /** Loses its state and starts with another generation. */
  wipe(name: PeerName, generation: string): void {
    this.crash(name);
    const node = this.nodes.get(name)!;
    node.store.clear();
    node.generation = generation;
    this.start(name);
  }

  /** Puts an earlier state in place of what is stored. */
  restore(name: PeerName, snapshot: ReadonlyMap<string, Uint8Array>): void {
    const { store } = this.nodes.get(name)!;
    store.clear();
    for (const [key, value] of snapshot) store.set(key, value);
  }

  crash(name: PeerName): void {
    const node = this.nodes.get(name)!;
    node.ipam = undefined;
    node.life++;
    this.topologyChanged();
  }

  /** Cuts or heals the connection of two peers. */
  setCut(a: PeerName, b: PeerName, cut: boolean): void {
    for (const key of [`${a} ${b}`, `${b} ${a}`]) {
      if (cut) this.#cut.add(key);
      else this.#cut.delete(key);
    }
    this.topologyChanged();
  }

  topologyChanged(): void {
    for (const node of this.nodes.values()) {
      if (node.ipam === undefined) continue;
      const peers = [...this.nodes.values()]
        .filter((peer) => peer !== node && this.#joined(node.name, peer.name))
        .map(({ name, announced }) => {
          return {
            name,
            nickname: `nick-${name.slice(-1)}`,
            ...announced,
            reachable: true,
            capabilities: ['ipam'],
          };
        });
      node.ipam.onTopology({ self: node.name, peers }, this.now);
      this.#carryOut(node);
    }
  }

  request(name: PeerName, request: number, operation: IpamRequest): void {
    const node = this.nodes.get(name)!;
    node.ipam?.onRequest(request, operation, this.now);
    this.#carryOut(node);
  }

  cancel(name: PeerName, request: number): void {
    const node = this.nodes.get(name)!;
    node.ipam?.onCancel(request, this.now);
    this.#carryOut(node);
  }

  unicast(to: PeerName, from: PeerName, bytes: Uint8Array): void {
    const node = this.nodes.get(to)!;
    node.ipam?.onUnicast(from, bytes, this.now);
    this.#carryOut(node);
  }

  /** The reply to a request: addresses as text, "done", or the error. */
  reply(name: PeerName, request: number): string | undefined {
    const result = this.results.get(`${name} ${request}`);
    if (result === undefined) return undefined;
    if (result.type === 'failed') return `error: ${result.error}`;
    if (result.type !== 'addresses') return result.type;
    return result.addresses.map(({ ip, prefix }) => `${formatIp(ip)}/${prefix}`).join(' ');
  }

  run(forMillis: Millis): void {
    const end = this.now + forMillis;
    for (;;) {
      const at = Math.min(this.#nextEventAt(), this.#nextTimeoutAt());
      if (at > end) break;
      this.now = Math.max(this.now, at);
      this.#runEvents();
      this.#runTimeouts();
    }
    this.now = end;
  }

  #joined(a: PeerName, b: PeerName): boolean {
    return this.nodes.get(b)?.ipam !== undefined && !this.#cut.has(`${a} ${b}`);
  }

  #nextEventAt(): Millis {
    return this.#events.reduce((at, event) => Math.min(at, event.at), Infinity);
  }

  #nextTimeoutAt(): Millis {
    let next = Infinity;
    for (const { ipam, digestAt } of this.nodes.values()) {
      if (ipam !== undefined) next = Math.min(next, digestAt, ipam.nextTimeout() ?? Infinity);
    }
    return next;
  }

  #runEvents(): void {
    const due = this.#events.filter((event) => event.at <= this.now);
    this.#events = this.#events.filter((event) => event.at > this.now);
    for (const event of due.sort((a, b) => a.at - b.at || a.order - b.order)) event.run();
  }

  #runTimeouts(): void {
    for (const node of this.nodes.values()) {
      if (node.ipam === undefined) continue;
      const timeout = node.ipam.nextTimeout();
      if (timeout !== undefined && timeout <= this.now) {
        node.ipam.onTimeout(this.now);
        const next = node.ipam.nextTimeout();
        if (next !== undefined && next <= this.now)
          throw new Error(`a timeout of ${node.name} does not go by`);
        this.#carryOut(node);
      }
      if (node.ipam !== undefined && node.digestAt <= this.now) this.#compareDigests(node);
    }
  }

  #compareDigests(node: Node): void {
    node.digestAt = this.now + DIGEST_INTERVAL;
    const neighbours = [...this.nodes.values()].filter((n) => n !== node && this.#joined(node.name, n.name));
    const other = neighbours[randomBelow(this.random, Math.max(1, neighbours.length))];
    if (other?.ipam === undefined || node.ipam === undefined) return;
    const [mine, theirs] = [node.ipam.digest(), other.ipam.digest()];
    if (Buffer.compare(mine.root, theirs.root) === 0) return;
    let mask = 0;
    for (let i = 0; i < 16; i++) {
      const [a, b] = [mine, theirs].map(({ buckets }) => buckets.subarray(8 * i, 8 * i + 8));
      if (Buffer.compare(a!, b!) !== 0) mask |= 1 << i;
    }
    const [delta, back] = [node, other].map(({ ipam }) => encoded(ipam!.entriesOf(mask)));
    if (delta !== undefined) this.#deliver(node.name, other.name, (peer) => this.#gossip(peer, delta));
    if (back !== undefined) this.#deliver(other.name, node.name, (peer) => this.#gossip(peer, back));
  }

  #gossip(node: Node, delta: Uint8Array): void {
    const news = node.ipam!.merge(delta, this.now);
    this.#flood(node, encoded(news));
  }

  #flood(node: Node, delta: Uint8Array | undefined): void {
    if (delta === undefined) return;
    for (const name of this.nodes.keys()) {
      if (name !== node.name) this.#deliver(node.name, name, (peer) => this.#gossip(peer, delta));
    }
  }

  /** Sends through the lossy mailbox. */
  #deliver(from: PeerName, to: PeerName, receive: (node: Node) => void): void {
    const { loss, duplication, delay } = this.faults;
    if (!this.#joined(from, to) || randomFraction(this.random) < loss) return;
    const copies = randomFraction(this.random) < duplication ? 2 : 1;
    const life = this.nodes.get(to)!.life;
    for (let i = 0; i < copies; i++) {
      this.#later(delay, () => {
        const node = this.nodes.get(to)!;
        if (node.ipam === undefined || node.life !== life || !this.#joined(from, to)) return;
        receive(node);
        this.#carryOut(node);
      });
    }
  }

  #later(delay: Millis, run: () => void): void {
    this.#events.push({ at: this.now + 1 + randomBelow(this.random, delay + 1), order: this.#order++, run });
  }

  #carryOut(node: Node): void {
    for (const effect of node.ipam?.drain() ?? []) this.#apply(node, effect);
  }

  #apply(node: Node, effect: IpamEffect): void {
    switch (effect.type) {
      case 'commit':
        return this.#commit(node, effect.token, effect.changes);
      case 'unicast':
        return this.#deliver(node.name, effect.to, (peer) => {
          peer.ipam!.onUnicast(node.name, effect.bytes, this.now);
        });
      case 'publish':
        return this.#flood(node, encoded(effect.news));
      case 'reply':
        this.results.set(`${node.name} ${effect.request}`, effect.result);
        return;
      case 'log':
        this.logs.push(`${node.name}: ${effect.message}`);
        return;
      case 'announce':
        node.announced = effect.info;
        // Gossip takes its time.
        this.#later(this.faults.delay, () => this.topologyChanged());
        return;
      case 'removed':
        this.logs.push(`${node.name}: removed ${effect.names.join(' ')}`);
        return;
    }
  }

  #commit(node: Node, token: number, changes: readonly StoreChange[]): void {
    const { life } = node;
    this.#later(this.faults.delay, () => {
      if (node.life !== life) return;
      if (this.diskIsFull(node.name)) {
        node.ipam!.onCommitFailed(token, 'no space left', this.now);
        this.#carryOut(node);
        return;
      }
      const crash = this.crashAtCommit(node.name);
      if (crash !== 'before') {
        for (const { key, value } of changes) {
          if (value === undefined) node.store.delete(key);
          else node.store.set(key, value);
        }
      }
      if (crash !== undefined) {
        this.crash(node.name);
        return;
      }
      node.ipam!.onCommitted(token, this.now);
      this.#carryOut(node);
    });
  }
}

function encoded(entries: readonly Entry[] | undefined): Uint8Array | undefined {
  return entries && encodeEntries(entries);
}

/** Peer 1, 2, ... */
export function peer(n: number): PeerName {
  return `00:00:00:00:00:${n.toString(16).padStart(2, '0')}` as PeerName;
}
