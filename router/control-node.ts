import type { Cidr, Endpoint } from '../core/address.ts';
import { fromHex, toHex } from '../core/bytes.ts';
import type { PeerName } from '../core/peer-name.ts';
import type { RandomSource } from '../core/random.ts';
import type { StoreChange } from '../core/store.ts';
import { earlier } from '../core/time.ts';
import type { Machine, Millis } from '../core/time.ts';
import { Gossip } from '../gossip/gossip.ts';
import type { GossipEffect } from '../gossip/gossip-effect.ts';
import type { CryptoResult } from '../gossip/secure-channel.ts';
import type { TopologyEntry } from '../gossip/topology-entry.ts';
import type { IpamEffect, IpamRequest } from '../ipam/effects.ts';
import { Ipam } from '../ipam/ipam.ts';
import type { IpamConfig } from '../ipam/ipam.ts';
import { UnusableStore } from '../ipam/stored-state.ts';
import type { ControlEffect, ControlReport } from './control-effect.ts';
import { IPAM_DISABLED, linkStatuses, sumCounts } from './control-status.ts';
import type { ControlStatus } from './control-status.ts';
import type { Primitives } from './crypto/primitives.ts';
import { createSecureChannel } from './crypto/secure-channel.ts';
import { identityChange } from './identity.ts';
import type { Identity } from './identity.ts';
import { LinkControl } from './link/link-control.ts';
import type { LinkControlEffect } from './link/link-control.ts';
import type { LocalEnd } from './link/offer-handshake.ts';
import { Pins } from './link/pins.ts';
import type { DataReport, ToControl, ToData } from './node-messages.ts';
import { loadTargets, targetsChange } from './stored-targets.ts';
import { StatusRequests } from './status-requests.ts';
import type { Answerable } from './status-requests.ts';

export const PINS_KEY = 'pins';

/** Says in a topology entry that the peer carries data, and so takes part in links. */
const DATA_PLANE = 'data';
const IPAM = 'ipam';

export interface ControlNodeConfig {
  readonly identity: Identity;
  /** 8 random bytes, of this run. */
  readonly uid: Uint8Array;
  readonly nickname: string;
  /** Of the software. */
  readonly version: string;
  /** Of the control connection and of the data plane. */
  readonly port: number;
  /** Underlay addresses of this host, best first. */
  readonly addresses: readonly Endpoint[];
  readonly acceptsInbound: boolean;
  readonly discovery: boolean;
  /** 0 = no limit. */
  readonly connLimit: number;
  readonly fullMeshLimit: number;
  readonly bridgeMtu: number;
  /** None, or the current and perhaps the previous one. */
  readonly passwords: readonly Uint8Array[];
  readonly trustedSubnets: readonly Cidr[];
  /** False with `--control-only`: no links, no sessions. */
  readonly dataPlane: boolean;
  /** Undefined without address allocation. */
  readonly ipam: Omit<IpamConfig, 'name' | 'nickname' | 'generation'> | undefined;
}

export interface ControlNodeDeps {
  readonly primitives: Primitives;
  readonly random: RandomSource;
  /** The store's keys and values at the start. */
  readonly stored: ReadonlyMap<string, Uint8Array>;
}

/**
 * The control plane of one node: gossip, address allocation and all that links need of it, joined. The edge feeds it
 * connections, timers and the data plane's messages, and carries out its effects.
 */
export class ControlNode implements Machine<ControlEffect> {
  readonly #config: ControlNodeConfig;
  readonly #gossip: Gossip;
  readonly #ipam: Ipam | undefined;
  readonly #links: LinkControl;
  readonly #pins: Pins;
  readonly #statusRequests = new StatusRequests();
  /** What follows when a transaction is durable. */
  readonly #commits = new Map<number, (now: Millis) => void>();
  #lastCommit = 0;
  #pinsAreCommitting = false;
  #incarnation: number;
  /** Peers came, went or changed since address allocation was told. */
  #topologyIsNews = true;
  #now: Millis;
  #effects: ControlEffect[] = [];

  /** Throws {@link UnusableStore} when what is stored is damaged or belongs to another peer or range. */
  constructor(config: ControlNodeConfig, deps: ControlNodeDeps, now: Millis) {
    this.#config = config;
    this.#now = now;
    this.#incarnation = config.identity.incarnation;
    this.#pins = loadPins(deps.stored);
    this.#gossip = this.#makeGossip(deps, now);
    this.#ipam = makeIpam(config, deps, now);
    if (this.#ipam !== undefined) this.#gossip.registerChannel(IPAM, this.#ipam);
    const local = localEnd(config, deps, () => this.#gossip.entry(config.identity.name)?.addresses ?? []);
    this.#links = new LinkControl({ local, pins: this.#pins, fullMeshLimit: config.fullMeshLimit });
    this.#pump();
  }

  /** The edge accepted a TCP connection and numbered it with an odd number. */
  onAccepted(conn: number, remote: Endpoint, now: Millis): void {
    this.#input(now, () => this.#gossip.onAccepted(conn, remote, now));
  }

  /** A dial succeeded; `remote` is the address that was reached. */
  onConnected(conn: number, remote: Endpoint, now: Millis): void {
    this.#input(now, () => this.#gossip.onConnected(conn, remote, now));
  }

  onDialFailed(conn: number, error: string, now: Millis): void {
    this.#input(now, () => this.#gossip.onDialFailed(conn, error, now));
  }

  onBytes(conn: number, bytes: Uint8Array, now: Millis): void {
    this.#input(now, () => this.#gossip.onBytes(conn, bytes, now));
  }

  /** All that was written to `conn` has left this process; without it, writing stops at some 256 KiB. */
  onWritable(conn: number, now: Millis): void {
    this.#input(now, () => this.#gossip.onWritable(conn, now));
  }

  /** The stream ended without our asking. */
  onClosed(conn: number, error: string | undefined, now: Millis): void {
    this.#input(now, () => this.#gossip.onClosed(conn, error, now));
  }

  onTaskDone(task: number, result: CryptoResult, now: Millis): void {
    this.#input(now, () => this.#gossip.onTaskDone(task, result, now));
  }

  onData(message: ToControl, now: Millis): void {
    this.#input(now, () => this.#onData(message));
  }

  /** MACs (6 bytes each, concatenated) of the local ports, whenever they change. */
  onLocalMacs(macs: Uint8Array, now: Millis): void {
    this.#input(now, () => this.#toData({ type: 'local-macs', macs }));
  }

  /** The transaction would survive a power cut. */
  onCommitted(token: number, now: Millis): void {
    const done = this.#commits.get(token);
    this.#commits.delete(token);
    this.#input(now, () => done?.(now));
  }

  /**
   * Adds targets ("HOST", "HOST:PORT", addresses likewise), or makes them the only ones. Returns the sentence for the
   * user, and changes nothing, if one is malformed.
   */
  connect(targets: readonly string[], replace: boolean, now: Millis): string | undefined {
    return this.#input(now, () => this.#gossip.connect(targets, replace, now));
  }

  /** Removes targets; connections that they led to live on. Errors as in {@link connect}. */
  forget(targets: readonly string[], now: Millis): string | undefined {
    return this.#input(now, () => this.#gossip.forget(targets));
  }

  /** Answered by `ipam-reply` with the same number. */
  onIpamRequest(request: number, operation: IpamRequest, now: Millis): void {
    this.#input(now, () => {
      if (this.#ipam !== undefined) this.#ipam.onRequest(request, operation, now);
      else this.#effects.push({ type: 'ipam-reply', request, result: WITHOUT_IPAM });
    });
  }

  /** The asker has gone. Unknown numbers are ignored. */
  onIpamCancel(request: number, now: Millis): void {
    this.#input(now, () => this.#ipam?.onCancel(request, now));
  }

  /** Answered by `status` with the same number, within 2 s. */
  requestStatus(request: number, now: Millis): void {
    this.#input(now, () => this.#ask(request, 'status'));
  }

  /** Answered by `report` with the same number, within 2 s. */
  requestReport(request: number, now: Millis): void {
    this.#input(now, () => this.#ask(request, 'report'));
  }

  /** Says bye to all neighbours and ends all sessions. Nothing but draining the last effects may follow. */
  stop(now: Millis): void {
    this.#input(now, () => {
      this.#links.stop();
      this.#gossip.stop(now);
    });
  }

  nextTimeout(): Millis | undefined {
    const own = earlier(this.#statusRequests.nextTimeout(), this.#links.nextTimeout());
    return earlier(own, earlier(this.#gossip.nextTimeout(), this.#ipam?.nextTimeout()));
  }

  onTimeout(now: Millis): void {
    this.#input(now, () => {
      this.#gossip.onTimeout(now);
      if (isDue(this.#ipam?.nextTimeout(), now)) this.#ipam?.onTimeout(now);
      if (isDue(this.#links.nextTimeout(), now)) this.#links.onTimeout(now);
      for (const answerable of this.#statusRequests.onTimeout(now)) this.#answer(answerable);
    });
  }

  drain(): ControlEffect[] {
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  #makeGossip(deps: ControlNodeDeps, now: Millis): Gossip {
    const { identity, uid, passwords, ...config } = this.#config;
    const { primitives, random } = deps;
    return new Gossip(
      {
        ...config,
        name: identity.name,
        uid: toHex(uid),
        incarnation: identity.incarnation,
        staticKey: identity.staticKey.public,
        generation: toHex(identity.generation),
        capabilities: [...(config.dataPlane ? [DATA_PLANE] : []), ...(config.ipam ? [IPAM] : [])],
        candidates: loadTargets(deps.stored).candidates,
      },
      {
        random,
        passwordCount: () => passwords.length,
        createChannel: (role, _remote, dialPassword) =>
          createSecureChannel({ role, passwords, dialPassword, primitives, random }, this.#now),
      },
      now,
    );
  }

  /** Lets one of the parts have its input, then all of them what follows from it. */
  #input<T>(now: Millis, step: () => T): T {
    this.#now = now;
    const result = step();
    this.#pump();
    return result;
  }

  #pump(): void {
    for (let busy = true; busy; ) {
      const fromGossip = this.#gossip.drain();
      for (const effect of fromGossip) this.#onGossipEffect(effect);
      const fromLinks = this.#links.drain();
      for (const effect of fromLinks) this.#onLinkEffect(effect);
      this.#tellIpam();
      const fromIpam = this.#ipam?.drain() ?? [];
      for (const effect of fromIpam) this.#onIpamEffect(effect);
      busy = fromGossip.length + fromLinks.length + fromIpam.length > 0;
    }
    this.#storePins();
  }

  #onGossipEffect(effect: GossipEffect): void {
    switch (effect.type) {
      case 'dial':
      case 'write':
      case 'task':
      case 'log':
        this.#effects.push(effect);
        break;
      case 'close':
        this.#effects.push({ type: 'close-connection', conn: effect.conn });
        break;
      case 'routes':
        this.#topologyIsNews = true;
        if (this.#config.dataPlane) this.#links.onRoutes(effect.snapshot, this.#now);
        this.#storeIncarnation();
        break;
      case 'peer-changed':
        this.#onPeerChanged(effect.entry);
        break;
      case 'peer-gone':
        this.#topologyIsNews = true;
        this.#links.onPeerGone(effect.name, this.#now);
        break;
      case 'unicast':
        if (effect.kind === IPAM) this.#ipam?.onUnicast(effect.from, effect.bytes, this.#now);
        else this.#links.onUnicast(effect.from, effect.kind, effect.bytes, this.#now);
        break;
      case 'persist-targets':
        this.#commit([targetsChange(effect)]);
        break;
    }
  }

  #onPeerChanged(entry: TopologyEntry): void {
    this.#topologyIsNews = true;
    const { name, incarnation, key: staticKey, addresses, capabilities } = entry;
    const uid = fromHex(entry.uid);
    if (!this.#config.dataPlane || !capabilities.includes(DATA_PLANE) || uid === undefined) return;
    this.#links.onPeer({ name, incarnation, uid, staticKey, addresses }, this.#now);
  }

  #onLinkEffect(effect: LinkControlEffect): void {
    switch (effect.type) {
      case 'unicast':
        // Where it cannot leave, it is lost like on the way: whoever sent it tries again.
        this.#gossip.unicast(effect.to, effect.kind, effect.bytes, this.#now);
        break;
      case 'to-data':
        this.#toData(effect.message);
        break;
      case 'direct-changed':
        this.#gossip.onLinkChanged(effect.peer, effect.direct, this.#now);
        break;
      case 'log':
        this.#effects.push(effect);
        break;
    }
  }

  #onIpamEffect(effect: IpamEffect): void {
    switch (effect.type) {
      case 'commit':
        this.#commit(effect.changes, (now) => this.#ipam?.onCommitted(effect.token, now));
        break;
      case 'unicast':
        this.#gossip.unicast(effect.to, IPAM, effect.bytes, this.#now);
        break;
      case 'publish':
        this.#gossip.publish(IPAM, effect.delta, this.#now);
        break;
      case 'reply':
        this.#effects.push({ type: 'ipam-reply', request: effect.request, result: effect.result });
        break;
      case 'announce': {
        const { generation, clusterId, voters } = effect.info;
        const info = { 'ipam-cluster': clusterId, 'ipam-voters': String(voters) };
        this.#gossip.announce({ generation, info }, this.#now);
        break;
      }
      case 'log':
        this.#effects.push(effect);
        break;
    }
  }

  #onData(message: ToControl): void {
    switch (message.type) {
      case 'report': {
        const answerable = this.#statusRequests.onReport(message.request, message.report);
        if (answerable !== undefined) this.#answer(answerable);
        break;
      }
      case 'log':
      case 'failed':
        this.#effects.push(message);
        break;
      default:
        this.#links.onData(message, this.#now);
    }
  }

  /** Once for all that changed in a step: what it costs depends on the number of peers. */
  #tellIpam(): void {
    if (!this.#topologyIsNews || this.#ipam === undefined) return;
    this.#topologyIsNews = false;
    const { name: self } = this.#config.identity;
    const own = this.#gossip.entry(self)?.neighbours.filter(({ established }) => established) ?? [];
    const neighbours = new Set(own.map(({ name }) => name));
    const peers = this.#gossip.entries().map(({ name, nickname, generation, capabilities }) => ({
      name,
      nickname,
      generation: capabilities.includes(IPAM) ? generation : '',
      reachable: this.#gossip.isReachable(name),
      capabilities,
      neighbour: neighbours.has(name),
    }));
    this.#ipam.onTopology({ self, peers }, this.#now);
  }

  #toData(message: ToData): void {
    if (this.#config.dataPlane) this.#effects.push({ type: 'to-data', message });
  }

  #commit(changes: readonly StoreChange[], done?: (now: Millis) => void): void {
    const token = ++this.#lastCommit;
    if (done !== undefined) this.#commits.set(token, done);
    this.#effects.push({ type: 'commit', token, changes });
  }

  /** One transaction at a time: the pins that are made meanwhile share the next one. */
  #storePins(): void {
    if (this.#pinsAreCommitting || !this.#pins.takeDirty()) return;
    this.#pinsAreCommitting = true;
    this.#commit([{ key: PINS_KEY, value: this.#pins.encode() }], () => {
      this.#pinsAreCommitting = false;
    });
  }

  /** Others knew of a later run of ours than the store does: gossip has moved past it, and so must the store. */
  #storeIncarnation(): void {
    const incarnation = this.#gossip.entry(this.#config.identity.name)?.incarnation ?? 0;
    if (incarnation <= this.#incarnation) return;
    this.#incarnation = incarnation;
    this.#commit([identityChange({ ...this.#config.identity, incarnation })]);
  }

  #ask(request: number, kind: 'status' | 'report'): void {
    const number = this.#config.dataPlane ? this.#statusRequests.add({ request, kind }, this.#now) : undefined;
    if (number === undefined) this.#answer({ request, kind, report: undefined });
    else this.#toData({ type: 'report-request', request: number });
  }

  #answer({ request, kind, report }: Answerable): void {
    const document = this.#status(report);
    if (kind === 'status') this.#effects.push({ type: 'status', request, document });
    else this.#effects.push({ type: 'report', request, document: this.#report(document, report) });
  }

  #status(report: DataReport | undefined): ControlStatus {
    const { identity, nickname, passwords, bridgeMtu } = this.#config;
    const nicknameOf = (peer: PeerName): string => this.#gossip.entry(peer)?.nickname ?? '';
    return {
      router: {
        name: identity.name,
        nickname,
        incarnation: this.#gossip.entry(identity.name)?.incarnation ?? this.#incarnation,
        encryption: passwords.length > 0,
        mtu: bridgeMtu,
        targets: this.#gossip.targetsStatus(),
        connections: this.#gossip.connectionsStatus(this.#now),
        links: linkStatuses(report, this.#links.offerStates(), nicknameOf),
        peers: this.#gossip.peersStatus(),
        drops: sumCounts(report?.drops ?? {}, this.#links.drops),
      },
      ipam: this.#ipam?.status() ?? IPAM_DISABLED,
    };
  }

  #report(status: ControlStatus, report: DataReport | undefined): ControlReport {
    const details = {
      circuits: this.#links.circuits,
      macs: report?.macs ?? 0,
      labels: report?.labels ?? 0,
      pins: this.#pins.size,
    };
    return { ...status, topology: this.#gossip.entries(), details, failures: this.#gossip.failures() };
  }
}

const WITHOUT_IPAM = { type: 'failed', error: 'this node runs without address allocation' } as const;

function isDue(time: Millis | undefined, now: Millis): boolean {
  return time !== undefined && time <= now;
}

function loadPins(stored: ReadonlyMap<string, Uint8Array>): Pins {
  const bytes = stored.get(PINS_KEY);
  const pins = bytes === undefined ? new Pins() : Pins.decode(bytes);
  if (pins === undefined) throw new UnusableStore(`the stored "${PINS_KEY}" are damaged`);
  return pins;
}

function makeIpam(config: ControlNodeConfig, deps: ControlNodeDeps, now: Millis): Ipam | undefined {
  if (config.ipam === undefined) return undefined;
  const { identity, nickname } = config;
  const generation = toHex(identity.generation);
  return new Ipam({ ...config.ipam, name: identity.name, nickname, generation }, deps, now);
}

function localEnd(
  config: ControlNodeConfig,
  { primitives, random }: ControlNodeDeps,
  candidates: () => readonly Endpoint[],
): LocalEnd {
  const { identity, uid, passwords, bridgeMtu, trustedSubnets: trusted } = config;
  const { name, staticKey } = identity;
  const encrypted = passwords.length > 0;
  return { name, uid, staticKey, encrypted, bridgeMtu, trusted, primitives, random, candidates };
}
