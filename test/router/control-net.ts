import { formatIp, parseEndpoint } from '../../core/address.ts';
import type { Endpoint } from '../../core/address.ts';
import { utf8 } from '../../core/bytes.ts';
import type { PeerName } from '../../core/peer-name.ts';
import { SeededRandom, randomBelow } from '../../core/random.ts';
import type { Millis } from '../../core/time.ts';
import type { IpamResult } from '../../ipam/effects.ts';
import { parseInitMode } from '../../ipam/init-mode.ts';
import { parseIpamSettings } from '../../ipam/settings.ts';
import type { ControlNodeConfig, ControlNodeDeps } from '../../router/control-config.ts';
import type { ControlEffect } from '../../router/control-effect.ts';
import { ControlNode } from '../../router/control-node.ts';
import type { ControlReport, ControlStatus } from '../../router/control-status.ts';
import { loadIdentity } from '../../router/identity.ts';
import type { Identity } from '../../router/identity.ts';
import type { SessionMaterial, ToControl, ToData } from '../../router/node-messages.ts';
import { fakePrimitives } from '../sim/fake-primitives.ts';

const LATENCY: Millis = 1;
const PORT = 6783;

type Options = Partial<ControlNodeConfig> & { readonly name?: PeerName };

interface Scheduled {
  readonly at: Millis;
  readonly order: number;
  readonly run: () => void;
}

/** One end of a TCP connection. */
interface Stream {
  readonly owner: TestNode;
  readonly conn: number;
  other: Stream | undefined;
}

/** A ControlNode, its durable store, and what it did so far. */
export class TestNode {
  readonly number: number;
  readonly endpoint: Endpoint;
  readonly store = new Map<string, Uint8Array>();
  node!: ControlNode;
  identity!: Identity;
  running = false;
  nextConn = 1;
  toData: ToData[] = [];
  logs: string[] = [];
  readonly replies = new Map<number, IpamResult>();
  readonly documents = new Map<number, ControlStatus | ControlReport>();

  constructor(number: number) {
    this.number = number;
    this.endpoint = parseEndpoint(`192.0.2.${number}`, PORT)!;
  }

  get name(): PeerName {
    return `00:00:00:00:00:${this.number.toString(16).padStart(2, '0')}` as PeerName;
  }

  sent<T extends ToData['type']>(type: T): Extract<ToData, { type: T }>[] {
    return this.toData.filter((message) => message.type === type) as Extract<ToData, { type: T }>[];
  }

  /** The sessions with `peer` that the data plane was given. */
  sessions(peer: TestNode): SessionMaterial[] {
    return this.sent('session').flatMap((message) => (message.peer === peer.name ? [message.session] : []));
  }
}

/**
 * Some ControlNodes in virtual time, their connections as byte streams that are cut into random pieces. The data plane
 * is a script: a session is live at once, and a link is up where `linked` says so.
 */
export class ControlNet {
  readonly nodes: TestNode[] = [];
  readonly random = new SeededRandom(42);
  /** Whether UDP passes between two nodes. */
  linked: (a: TestNode, b: TestNode) => boolean = () => true;
  now: Millis = 0;
  readonly #queue: Scheduled[] = [];
  readonly #streams = new Map<TestNode, Map<number, Stream>>();
  #order = 0;
  #runs = 0;

  /** Starts node `number`, afresh or from what its store holds. */
  start(number: number, options: Options = {}, createIpam?: ControlNodeDeps['createIpam']): TestNode {
    let host = this.nodes.find((node) => node.number === number);
    if (host === undefined) this.nodes.push((host = new TestNode(number)));
    this.#streams.set(host, new Map());
    const random = new SeededRandom(1_000 * number + ++this.#runs);
    const loaded = loadIdentity(host.store, { name: options.name ?? host.name }, fakePrimitives, random);
    if ('error' in loaded) throw new Error(loaded.error);
    for (const { key, value } of loaded.changes) host.store.set(key, value!);
    const config = { ...defaults(host), identity: loaded.identity, uid: random.bytes(8), ...options };
    const made = createIpam === undefined ? {} : { createIpam };
    const deps = { primitives: fakePrimitives, random, stored: host.store, ...made };
    host.identity = loaded.identity;
    host.toData = [];
    host.node = new ControlNode(config, deps, this.now);
    host.running = true;
    this.settle(host);
    return host;
  }

  /** Ends a node without a word, as a power cut would. */
  kill(host: TestNode): void {
    host.running = false;
    for (const stream of this.#streams.get(host)!.values()) this.#closeOther(stream);
    this.#streams.set(host, new Map());
  }

  connect(from: TestNode, to: TestNode): void {
    from.node.connect([formatIp(to.endpoint.ip)], false, this.now);
    this.settle(from);
  }

  data(host: TestNode, message: ToControl): void {
    host.node.onData(message, this.now);
    this.settle(host);
  }

  /** Lets virtual time pass. */
  run(duration: Millis): void {
    const end = this.now + duration;
    for (;;) {
      const event = this.#next(end);
      const timer = this.#nextTimer();
      if (timer !== undefined && timer.at <= Math.min(end, event?.at ?? Infinity)) {
        this.now = Math.max(this.now, timer.at);
        timer.host.node.onTimeout(this.now);
        this.settle(timer.host);
      } else if (event !== undefined) {
        this.#queue.splice(this.#queue.indexOf(event), 1);
        this.now = Math.max(this.now, event.at);
        event.run();
      } else {
        this.now = end;
        return;
      }
    }
  }

  /** Carries out what the node wants done. */
  settle(host: TestNode): void {
    for (const effect of host.node.drain()) this.#execute(host, effect);
  }

  #execute(host: TestNode, effect: ControlEffect): void {
    switch (effect.type) {
      case 'dial':
        return this.#later(host, () => this.#dial(host, effect.conn, effect.host));
      case 'write':
        return this.#write(host, effect.conn, effect.bytes);
      case 'close-connection':
        return this.#close(host, effect.conn);
      case 'task':
        return this.#later(host, () =>
          host.node.onTaskDone(effect.task, fakePrimitives.runJob(effect.job), this.now),
        );
      case 'to-data':
        return this.#toData(host, effect.message);
      case 'commit':
        return this.#later(host, () => {
          for (const { key, value } of effect.changes) {
            if (value === undefined) host.store.delete(key);
            else host.store.set(key, value);
          }
          host.node.onCommitted(effect.token, this.now);
        });
      case 'ipam-reply':
        return void host.replies.set(effect.request, effect.result);
      case 'status':
      case 'report':
        return void host.documents.set(effect.request, effect.document);
      case 'log':
        return void host.logs.push(`${effect.message} ${JSON.stringify(effect.fields)}`);
      case 'failed':
        return void host.logs.push(`failed: ${effect.error}`);
    }
  }

  #toData(host: TestNode, message: ToData): void {
    host.toData.push(message);
    if (message.type === 'session') {
      const { peer, session } = message;
      this.#later(host, () => {
        const other = this.nodes.find(({ name }) => name === peer);
        host.node.onData({ type: 'session-live', peer, id: session.id }, this.now);
        const direct = other !== undefined && this.linked(host, other);
        host.node.onData({ type: 'link-changed', peer, state: 'up', direct }, this.now);
      });
    } else if (message.type === 'report-request') {
      const report = { links: [], drops: { 'index-unknown': 3 }, macs: 1, labels: 2, workers: [] };
      const { request } = message;
      this.#later(host, () => host.node.onData({ type: 'report', request, report }, this.now));
    }
  }

  #dial(host: TestNode, conn: number, address: string): void {
    const target = this.nodes.find(({ endpoint }) => formatIp(endpoint.ip) === address);
    if (target === undefined || !target.running) {
      host.node.onDialFailed(conn, `${address}: connection refused`, this.now);
      return;
    }
    const near: Stream = { owner: host, conn, other: undefined };
    const far: Stream = { owner: target, conn: target.nextConn, other: near };
    target.nextConn += 2;
    near.other = far;
    this.#streams.get(host)!.set(near.conn, near);
    this.#streams.get(target)!.set(far.conn, far);
    host.node.onConnected(conn, target.endpoint, this.now);
    target.node.onAccepted(far.conn, { ip: host.endpoint.ip, port: 40_000 + conn }, this.now);
    this.settle(target);
  }

  #write(host: TestNode, conn: number, bytes: Uint8Array): void {
    const other = this.#streams.get(host)!.get(conn)?.other;
    if (other === undefined) return;
    for (let at = 0; at < bytes.length;) {
      const piece = bytes.slice(at, at + 1 + randomBelow(this.random, 700));
      at += piece.length;
      this.#onStream(other, () => other.owner.node.onBytes(other.conn, piece, this.now));
    }
    this.#later(host, () => host.node.onWritable(conn, this.now));
  }

  #close(host: TestNode, conn: number): void {
    const stream = this.#streams.get(host)!.get(conn);
    this.#streams.get(host)!.delete(conn);
    if (stream !== undefined) this.#closeOther(stream);
  }

  #closeOther({ other }: Stream): void {
    if (other === undefined) return;
    this.#onStream(other, () => {
      this.#streams.get(other.owner)!.delete(other.conn);
      other.owner.node.onClosed(other.conn, undefined, this.now);
    });
  }

  /** Later, if the stream is still there. */
  #onStream(stream: Stream, run: () => void): void {
    this.#later(stream.owner, () => {
      if (this.#streams.get(stream.owner)!.get(stream.conn) === stream) run();
    });
  }

  #later(host: TestNode, run: () => void): void {
    const { node } = host;
    this.#queue.push({
      at: this.now + LATENCY,
      order: ++this.#order,
      run: () => {
        if (host.node !== node || !host.running) return;
        run();
        this.settle(host);
      },
    });
  }

  #next(end: Millis): Scheduled | undefined {
    let first: Scheduled | undefined;
    for (const event of this.#queue) {
      if (event.at > end) continue;
      if (
        first === undefined ||
        event.at < first.at ||
        (event.at === first.at && event.order < first.order)
      ) {
        first = event;
      }
    }
    return first;
  }

  #nextTimer(): { at: Millis; host: TestNode } | undefined {
    let first: { at: Millis; host: TestNode } | undefined;
    for (const host of this.nodes) {
      const at = host.running ? host.node.nextTimeout() : undefined;
      if (at !== undefined && (first === undefined || at < first.at)) first = { at, host };
    }
    return first;
  }
}

function defaults(host: TestNode): Omit<ControlNodeConfig, 'identity' | 'uid'> {
  const settings = parseIpamSettings('10.32.0.0/16', undefined);
  const init = parseInitMode('consensus=2', 1);
  if ('error' in settings || 'error' in init) throw new Error('bad defaults');
  return {
    nickname: `host${host.number}`,
    version: '1.0',
    port: PORT,
    addresses: [host.endpoint],
    acceptsInbound: true,
    discovery: true,
    connLimit: 0,
    fullMeshLimit: 80,
    bridgeMtu: 1_388,
    workers: 1,
    passwords: [utf8('secret')],
    trustedSubnets: [],
    dataPlane: true,
    ipam: { ...settings, init },
  };
}
