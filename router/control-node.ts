import type { Endpoint } from '../core/address.ts';
import { fromHex } from '../core/bytes.ts';
import type { PeerName } from '../core/peer-name.ts';
import type { RoutesSnapshot } from '../core/routes.ts';
import type { StoreChange } from '../core/store.ts';
import { earlier } from '../core/time.ts';
import type { Machine, Millis } from '../core/time.ts';
import type { Gossip } from '../gossip/gossip.ts';
import type { GossipEffect } from '../gossip/gossip-effect.ts';
import { Removals } from '../gossip/removals.ts';
import { MAX_PASSWORDS } from '../gossip/secure-channel.ts';
import type { CryptoResult } from '../gossip/secure-channel.ts';
import type { TopologyEntry } from '../gossip/topology-entry.ts';
import type { IpamEffect, IpamRequest, IpamResult } from '../ipam/effects.ts';
import type { Ipam } from '../ipam/ipam.ts';
import { DATA_PLANE, IPAM, PINS_KEY, loadPins, localEnd, makeGossip, makeIpam } from './control-config.ts';
import type { ControlNodeConfig, ControlNodeDeps } from './control-config.ts';
import type { ControlEffect } from './control-effect.ts';
import { controlReport, controlStatus } from './control-status.ts';
import { HeldPasswords } from './held-passwords.ts';
import { identityChange } from './identity.ts';
import { CLUSTER_INFO, IpamView } from './ipam-view.ts';
import { KeyRemovals } from './key-removals.ts';
import { LinkControl } from './link/link-control.ts';
import type { LinkControlEffect } from './link/link-control.ts';
import type { Pins } from './link/pins.ts';
import type { ToControl, ToData } from './node-messages.ts';
import { StatusRequests } from './status-requests.ts';
import type { Answerable } from './status-requests.ts';
import { targetsChange } from './stored-targets.ts';

/**
 * The control plane of one node: gossip, address allocation and all that links need of it, joined. The edge feeds it
 * connections, timers and the data plane's messages, and carries out its effects.
 */
export class ControlNode implements Machine<ControlEffect> {
  readonly #config: ControlNodeConfig;
  readonly #gossip: Gossip;
  readonly #ipam: Ipam | undefined;
  readonly #ipamView: IpamView;
  readonly #links: LinkControl;
  readonly #pins: Pins;
  readonly #removals: Removals;
  readonly #keyRemovals: KeyRemovals;
  readonly #passwords: HeldPasswords;
  readonly #statusRequests = new StatusRequests();
  /** What follows when a transaction is durable. */
  readonly #commits = new Map<number, Commit>();
  #lastCommit = 0;
  #pinsAreCommitting = false;
  #incarnation: number;
  /** Peers came, went or changed since address allocation was told. */
  #topologyIsNews = true;
  #stopped = false;
  #now: Millis;
  #effects: ControlEffect[] = [];

  /** Throws {@link UnusableStore} when what is stored is damaged or belongs to another peer or range. */
  constructor(config: ControlNodeConfig, deps: ControlNodeDeps, now: Millis) {
    this.#config = config;
    this.#now = now;
    this.#incarnation = config.identity.incarnation;
    this.#pins = loadPins(deps.stored, now);
    this.#passwords = new HeldPasswords(config.passwords);
    this.#gossip = makeGossip(config, deps, this.#passwords, () => this.#now);
    this.#ipam = makeIpam(config, deps, now);
    this.#ipamView = new IpamView(config.identity.name);
    if (this.#ipam !== undefined) this.#gossip.registerChannel(IPAM, this.#ipam);
    this.#removals = new Removals(({ name, key }) => this.#pins.drop(name, key), now);
    this.#keyRemovals = new KeyRemovals(this.#removals);
    this.#gossip.registerChannel(REMOVED, this.#removals);
    const local = localEnd(config, deps, () => this.#gossip.entry(config.identity.name)?.addresses ?? []);
    this.#links = new LinkControl({ local, pins: this.#pins, isSparse: () => this.#gossip.isSparse });
    // Who gave up a password that cannot be read again did so by starting anew.
    if (config.passwords.length > 0) this.#links.onPasswordDropped(now);
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

  /**
   * The host has these addresses from now on, best first. Streams that began at one that is gone are closed already.
   * `moved`: the ways to others may have changed, too.
   */
  onAddresses(addresses: readonly Endpoint[], moved: boolean, now: Millis): void {
    this.#input(now, () => {
      this.#gossip.onAddresses(addresses, moved, now);
      if (moved) this.#toData({ type: 'moved' });
    });
  }

  /** MACs (6 bytes each, concatenated) of the local ports, whenever they change. */
  onLocalMacs(macs: Uint8Array, now: Millis): void {
    this.#input(now, () => this.#toData({ type: 'local-macs', macs }));
  }

  /** The transaction would survive a power cut. */
  onCommitted(token: number, now: Millis): void {
    const commit = this.#commits.get(token);
    this.#commits.delete(token);
    this.#input(now, () => commit?.done(now));
  }

  /** The transaction was not made, as the sentence `error` says; what was not urgent in it is written with the next. */
  onCommitFailed(token: number, error: string, now: Millis): void {
    const commit = this.#commits.get(token);
    this.#commits.delete(token);
    this.#input(now, () => commit?.failed(error, now));
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
    return this.#input(now, () => this.#gossip.forget(targets, now));
  }

  /**
   * Takes over these passwords in place of those that are held; the first is dialled with. Connections made with one
   * that is dropped are re-made; 35 s later those are closed that could not be. Returns the sentence for the user, and
   * changes nothing, if the mesh would go from no password to one, or back.
   */
  onPasswords(passwords: readonly Uint8Array[], now: Millis): Rotation | string {
    const refusal = refusalOf(this.#passwords.list.length, passwords.length);
    if (refusal !== undefined) return refusal;
    return this.#input(now, () => {
      const { newIndexOf, added, dropped } = this.#passwords.replace(passwords);
      const remaking = this.#gossip.onPasswordsChanged(newIndexOf, now);
      if (dropped > 0) this.#links.onPasswordDropped(now);
      const rotation: Rotation = { accepted: passwords.length, added, dropped, remaking };
      this.#effects.push({
        type: 'log',
        level: 'info',
        message: 'passwords read again',
        fields: { ...rotation },
      });
      return rotation;
    });
  }

  /** New keys for the sessions with these peers, as soon as their data plane can. */
  rekey(peers: readonly PeerName[], now: Millis): void {
    this.#input(now, () => {
      for (const peer of peers) this.#toData({ type: 'rekey', peer });
    });
  }

  /** Answered by `ipam-reply` with the same number. */
  onIpamRequest(request: number, operation: IpamRequest, now: Millis): void {
    this.#input(now, () => {
      if (this.#ipam !== undefined) this.#ipam.onRequest(request, operation, now);
      else this.#effects.push({ type: 'ipam-reply', request, result: withoutIpam(operation) });
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

  /** Says bye to all neighbours, ends all sessions and wipes all secrets. Nothing but draining the last effects may follow. */
  stop(now: Millis): void {
    this.#input(now, () => {
      this.#links.stop(now);
      this.#gossip.stop(now);
      this.#pins.touchAbsent();
    });
    this.#stopped = true;
    this.#passwords.wipe();
    this.#config.identity.staticKey.secret.fill(0);
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
    if (effects.length > 0) this.#effects = [];
    return effects;
  }

  /** Lets one of the parts have its input, then all of them what follows from it. */
  #input<T>(now: Millis, step: () => T): T {
    this.#now = now;
    this.#removals.tick(now);
    const result = step();
    this.#pump();
    return result;
  }

  #pump(): void {
    for (let busy = true; busy;) {
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
        this.#effects.push({ type: 'close-connection', conn: effect.conn, reset: effect.reset === true });
        break;
      case 'unicast':
        this.#onUnicast(effect);
        break;
      case 'routes':
        this.#onRoutes(effect.snapshot);
        break;
      case 'peer-changed':
        this.#onPeerChanged(effect.entry);
        break;
      case 'peer-gone':
        this.#topologyIsNews = true;
        this.#links.onPeerGone(effect.name, this.#now);
        break;
      case 'persist-targets':
        this.#commit([targetsChange(effect)]);
        break;
    }
  }

  #onUnicast(unicast: Extract<GossipEffect, { type: 'unicast' }>): void {
    if (unicast.kind === IPAM) this.#ipam?.onUnicast(unicast.from, unicast.bytes, this.#now);
    else this.#links.onUnicast(unicast, this.#now);
  }

  #onRoutes(routes: RoutesSnapshot): void {
    this.#topologyIsNews = true;
    if (this.#config.dataPlane) this.#links.onRoutes(routes, this.#now);
    this.#storeIncarnation();
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
        this.#gossip.unicast(effect.to, effect.kind, effect.bytes, this.#now, effect.attempt);
        break;
      case 'to-data':
        this.#toData(effect.message);
        break;
      case 'link-changed':
        this.#gossip.onLinkChanged(effect.peer, effect, this.#now);
        break;
      case 'log':
        this.#effects.push(effect);
        break;
    }
  }

  #onIpamEffect(effect: IpamEffect): void {
    switch (effect.type) {
      case 'commit':
        this.#commit(effect.changes, {
          done: (now) => this.#ipam?.onCommitted(effect.token, now),
          failed: (error, now) => this.#ipam?.onCommitFailed(effect.token, error, now),
        });
        break;
      case 'unicast':
        this.#gossip.unicast(effect.to, IPAM, effect.bytes, this.#now);
        break;
      case 'publish':
        this.#gossip.publish(IPAM, effect.news, this.#now);
        break;
      case 'reply':
        this.#effects.push({
          type: 'ipam-reply',
          request: effect.request,
          result: this.#keyRemovals.warned(effect.result),
        });
        break;
      case 'announce': {
        const { generation, clusterId } = effect.info;
        this.#gossip.announce({ generation, info: { [CLUSTER_INFO]: clusterId } }, this.#now);
        break;
      }
      case 'removed':
        for (const name of effect.names) this.#removePeer(name);
        break;
      case 'log':
        this.#effects.push(effect);
        break;
    }
  }

  #onData(message: ToControl): void {
    if (message.type === 'report') {
      const answerable = this.#statusRequests.onReport(message.request, message.report);
      if (answerable !== undefined) this.#answer(answerable);
    } else if (message.type === 'log') {
      this.#effects.push(this.#withNickname(message));
    } else if (message.type === 'failed') {
      this.#effects.push(message);
    } else if (!this.#stopped) {
      this.#links.onData(message, this.#now);
    }
  }

  /** Operators know their hosts by nickname, the data plane only by name. */
  #withNickname(line: LogLine): LogLine {
    const { peer } = line.fields;
    const nickname = typeof peer === 'string' ? this.#gossip.entry(peer as PeerName)?.nickname : undefined;
    return nickname === undefined ? line : { ...line, fields: { ...line.fields, nickname } };
  }

  /** Once for all that changed in a step: what it costs depends on the number of peers. */
  #tellIpam(): void {
    if (this.#ipam === undefined) return;
    const isConnectingNews = this.#ipam.awaitsNeighbours && this.#ipamView.isConnectingNews(this.#gossip);
    if (!this.#topologyIsNews && !isConnectingNews) return;
    this.#topologyIsNews = false;
    const view = this.#ipamView.update(this.#gossip);
    if (view !== undefined) this.#ipam.onTopology(view, this.#now);
  }

  /** The peer that has this name from now on may be another one, with another key. */
  #removePeer(name: PeerName): void {
    const key = this.#pins.get(name) ?? this.#gossip.entry(name)?.key;
    const news = this.#keyRemovals.remove(name, key);
    if (news !== undefined) this.#gossip.publish(REMOVED, news, this.#now);
  }

  #toData(message: ToData): void {
    if (this.#config.dataPlane) this.#effects.push({ type: 'to-data', message });
  }

  #commit(changes: readonly StoreChange[], commit?: Commit): void {
    const token = ++this.#lastCommit;
    if (commit !== undefined) this.#commits.set(token, commit);
    this.#effects.push({ type: 'commit', token, changes });
  }

  /** One transaction at a time: the pins that are made meanwhile share the next one. */
  #storePins(): void {
    if (this.#pinsAreCommitting || !this.#pins.takeDirty(this.#now)) return;
    this.#pinsAreCommitting = true;
    const end = (): void => {
      this.#pinsAreCommitting = false;
    };
    // Pins that could not be stored go with the next that are made.
    this.#commit([{ key: PINS_KEY, value: this.#pins.encode(this.#now) }], { done: end, failed: end });
  }

  /** Others knew of a later run of ours than the store does: gossip has moved past it, and so must the store. */
  #storeIncarnation(): void {
    const incarnation = this.#gossip.entry(this.#config.identity.name)?.incarnation ?? 0;
    if (incarnation <= this.#incarnation || this.#stopped) return;
    this.#incarnation = incarnation;
    this.#commit([identityChange({ ...this.#config.identity, incarnation })]);
  }

  #ask(request: number, kind: 'status' | 'report'): void {
    const number = this.#config.dataPlane
      ? this.#statusRequests.add({ request, kind }, this.#now)
      : undefined;
    if (number === undefined) this.#answer({ request, kind, report: undefined });
    else this.#toData({ type: 'report-request', request: number });
  }

  #answer({ request, kind, report }: Answerable): void {
    const parts = {
      config: this.#config,
      gossip: this.#gossip,
      ipam: this.#ipam,
      links: this.#links,
      pins: this.#pins.size,
      passwords: this.#passwords.list.length,
      report,
    };
    if (kind === 'status') {
      this.#effects.push({ type: 'status', request, document: controlStatus(parts, this.#now) });
    } else {
      this.#effects.push({ type: 'report', request, document: controlReport(parts, this.#now) });
    }
  }
}

type LogLine = Extract<ToControl, { type: 'log' }>;

/** What follows from the end of a transaction. */
interface Commit {
  readonly done: (now: Millis) => void;
  readonly failed: (error: string, now: Millis) => void;
}

/** What a rotation of the passwords came to. */
export interface Rotation {
  /** Passwords that are accepted now. */
  readonly accepted: number;
  readonly added: number;
  readonly dropped: number;
  /** Connections that are re-made, because their password was dropped. */
  readonly remaking: number;
}

function refusalOf(held: number, next: number): string | undefined {
  if (next > MAX_PASSWORDS) return `${next} passwords are too many: at most ${MAX_PASSWORDS} are accepted`;
  if (held === 0 && next > 0)
    return 'no password is set: restart with one, on all hosts, to turn encryption on';
  if (held > 0 && next === 0)
    return 'no password is left: restart without one, on all hosts, to turn encryption off';
  return undefined;
}

/** The channel of removed peers. */
const REMOVED = 'removed';
/** Nobody holds an address of a node that gives none, which is no reason to fail for those who want nothing more. */
function withoutIpam({ type }: IpamRequest): IpamResult {
  if (type === 'release') return { type: 'done' };
  if (type === 'lookup') return { type: 'addresses', addresses: [] };
  if (type === 'list') return { type: 'allocations', allocations: [] };
  return { type: 'failed', error: 'this node runs without address allocation' };
}

function isDue(time: Millis | undefined, now: Millis): boolean {
  return time !== undefined && time <= now;
}
