import type { Endpoint } from '../core/address.ts';
import { fromHex, toHex } from '../core/bytes.ts';
import { compareNames, type PeerName } from '../core/peer-name.ts';
import { randomFraction, type RandomSource } from '../core/random.ts';
import type { RoutesSnapshot } from '../core/routes.ts';
import { earlier, SECOND, type Machine, type Millis } from '../core/time.ts';
import { Backbone } from './backbone-upkeep.ts';
import { MalformedDelta, type Channel } from './channel.ts';
import { Channels, type GossipMessage } from './channels.ts';
import { candidateAddresses, ownEntry, ownHello, type GossipConfig } from './gossip-config.ts';
import type { GossipEffect } from './gossip-effect.ts';
import { DEAD_AFTER } from './connection.ts';
import { DirectFlags } from './direct-flags.ts';
import { encodeMessage, MAX_KIND, MAX_UNICAST, type NeighbourMessage, type Unicast } from './messages.ts';
import type { Neighbour } from './neighbour.ts';
import { Neighbourhood, type NeighbourhoodDeps } from './neighbourhood.ts';
import type { NeighbourhoodEvent } from './neighbourhood-event.ts';
import { OwnAddresses } from './own-addresses.ts';
import { OwnNeighbours } from './own-neighbours.ts';
import { RouteView } from './route-view.ts';
import { computeRoutes, sameRoutes } from './routes.ts';
import type { CryptoResult } from './secure-channel.ts';
import * as status from './status.ts';
import { dialAddress } from './target-address.ts';
import type { TopologyEntry } from './topology-entry.ts';
import { DUPLICATE_WINDOW, Topology, type SelfChange } from './topology.ts';

/** Changes are collected for this long before they go out and routes are computed. */
const COALESCE: Millis = 100;
/** While changes keep coming, as when many peers start at once, they are collected for this long. */
const FLUSH_GAP: Millis = 250;
/** Who has so many edges in a sparse mesh has ways enough to wait for more. */
const ENOUGH_EDGES = 4;
const REPAIR_EVERY: Millis = 30 * SECOND;
const REPAIR_IN_DOUBT_EVERY: Millis = 2 * SECOND;
/** After a neighbour was lost, with what it may not have passed on. */
const REPAIR_AFTER_LOSS: Millis = SECOND;
const MAX_HOPS = 64;
const TOPOLOGY = 'topology';
const NAME_PING = 'name-ping';
const NAME_PONG = 'name-pong';

export type GossipDeps = Omit<NeighbourhoodDeps, 'reachablePeer' | 'findSpare'> & {
  readonly random: RandomSource;
};

/** What parts above gossip may change in this peer's entry. */
export type Announcement = Pick<SelfChange, 'capabilities' | 'generation' | 'bridgeMtu' | 'info'>;

/**
 * The control plane: neighbours, the topology and the routes that follow from it, channels, unicasts. The edge numbers
 * the connections that it accepts with odd numbers; dials get even ones.
 */
export class Gossip implements Machine<GossipEffect> {
  readonly #config: GossipConfig;
  readonly #neighbourhood: Neighbourhood;
  readonly #topology: Topology;
  readonly #channels: Channels;
  readonly #backbone: Backbone;
  readonly #addresses: OwnAddresses;
  readonly #ownNeighbours = new OwnNeighbours();
  /** Peers that the UDP link is up to, and those of them that our entry calls direct. */
  readonly #up = new Set<PeerName>();
  readonly #direct = new DirectFlags();
  /** A connection may have stalled; while it is not found to be dead, others cannot know what does not get through. */
  #doubtUntil = Number.NEGATIVE_INFINITY;
  readonly #random: RandomSource;
  #routes: RouteView;
  #effects: GossipEffect[] = [];
  #flushAt: Millis | undefined;
  #flushedAt = Number.NEGATIVE_INFINITY;
  #repairAt: Millis;
  #revision = -1;
  /** With the last routes. */
  #toldSparse = false;
  #stopped = false;
  #hasTargets = false;
  #sayDuplicateAt = Number.NEGATIVE_INFINITY;

  constructor(config: GossipConfig, deps: GossipDeps, now: Millis) {
    this.#config = config;
    this.#random = deps.random;
    this.#addresses = new OwnAddresses(config.addresses);
    this.#topology = new Topology(ownEntry(config));
    this.#routes = new RouteView(computeRoutes(this.#topology.entries(), config.name, 1));
    this.#effects.push({ type: 'routes', snapshot: this.#routes.snapshot });
    const reachablePeer = (name: PeerName): TopologyEntry | undefined =>
      this.isReachable(name) ? this.entry(name) : undefined;
    this.#neighbourhood = new Neighbourhood(
      { hello: ownHello(config), connLimit: config.connLimit, discovery: config.discovery },
      { ...deps, reachablePeer, findSpare: () => this.#backbone.findSpare() },
    );
    const neighboursOf = (name: PeerName): ReadonlySet<PeerName> => this.#routes.neighboursOf(name);
    this.#channels = new Channels({ random: deps.random, neighboursOf });
    this.#channels.register(TOPOLOGY, this.#topology);
    this.#backbone = new Backbone(config, this.#neighbourhood, this.#topology, neighboursOf);
    this.#repairAt = now + REPAIR_EVERY * randomFraction(deps.random);
    for (const candidate of config.discovery ? config.candidates : []) {
      const addresses = candidateAddresses(candidate, config.port);
      this.#neighbourhood.maker.restore(candidate.name, addresses, candidate.remaining, now);
    }
  }

  /** The edge accepted a TCP connection and numbered it with an odd number. */
  onAccepted(conn: number, remote: Endpoint, now: Millis): void {
    if (this.#stopped) return void this.#effects.push({ type: 'close', conn });
    this.#neighbourhood.onAccepted(conn, remote, now);
    this.#pump(now);
  }

  /** A dial succeeded; `remote` is the address that was reached. */
  onConnected(conn: number, remote: Endpoint, now: Millis): void {
    if (this.#stopped) return void this.#effects.push({ type: 'close', conn });
    this.#neighbourhood.onConnected(conn, remote, now);
    this.#pump(now);
  }

  onDialFailed(conn: number, error: string, now: Millis): void {
    this.#neighbourhood.onDialFailed(conn, error, now);
    this.#pump(now);
  }

  onBytes(conn: number, bytes: Uint8Array, now: Millis): void {
    this.#neighbourhood.onBytes(conn, bytes, now);
    this.#pump(now);
  }

  /**
   * All that was written to `conn` has left this process's buffers. Until then at most 256 KiB are written to it:
   * gossip waits and is merged, unicasts are refused.
   */
  onWritable(conn: number, now: Millis): void {
    if (this.#neighbourhood.onWritable(conn) && this.#channels.hasWork) this.#touch(now);
  }

  /** The stream ended without our asking. */
  onClosed(conn: number, error: string | undefined, now: Millis): void {
    this.#neighbourhood.onClosed(conn, error, now);
    this.#pump(now);
  }

  onTaskDone(task: number, result: CryptoResult, now: Millis): void {
    this.#neighbourhood.onTaskDone(task, result, now);
    this.#pump(now);
  }

  /**
   * Adds targets ("HOST", "HOST:PORT", addresses likewise), or makes them the only ones. Those known are tried at
   * once. Returns the sentence for the user, and changes nothing, if one is malformed.
   */
  connect(targets: readonly string[], replace: boolean, now: Millis): string | undefined {
    const error = this.#neighbourhood.maker.connect(targets, replace, now);
    this.#hasTargets = true;
    if (error === undefined) this.#persistTargets(now);
    return error;
  }

  /** Removes targets; connections that they led to live on. Errors as in {@link connect}. */
  forget(targets: readonly string[], now: Millis): string | undefined {
    const error = this.#neighbourhood.maker.forget(targets, now);
    if (error === undefined) this.#persistTargets(now);
    return error;
  }

  /**
   * The host has these addresses from now on; the connections that began at one that is gone have been closed. `moved`:
   * whoever is not connected is tried at once.
   */
  onAddresses(addresses: readonly Endpoint[], moved: boolean, now: Millis): void {
    if (this.#addresses.replace(addresses, now)) {
      for (const neighbour of this.#neighbourhood.neighbours.values()) this.#noteSeenBy(neighbour, now);
    }
    if (moved) this.#neighbourhood.maker.onMoved(now);
    this.#touch(now);
  }

  /** Whether the UDP link to `peer` is up, and whether on a direct path. */
  onLinkChanged(peer: PeerName, { up, direct }: { up: boolean; direct: boolean }, now: Millis): void {
    if (!up && this.#up.has(peer)) this.#onPathLost(peer, now);
    if (up) this.#up.add(peer);
    else this.#up.delete(peer);
    if (this.#direct.set(peer, direct, now) && this.#neighbourhood.neighbours.has(peer)) this.#touch(now);
  }

  /**
   * Changes what this peer's topology entry says beyond its connections. Throws, and changes nothing, if others would
   * refuse the entry: see the bounds in topology-entry.ts.
   */
  announce(announcement: Announcement, now: Millis): void {
    if (this.#topology.updateSelf(announcement)) this.#touch(now);
  }

  /**
   * The list of passwords changed: `newIndexOf[i]` is where the one that was at position i is now, undefined if it is
   * dropped. Connections made with a dropped one are made afresh, and closed if that fails for 35 s. Returns their
   * number.
   */
  onPasswordsChanged(newIndexOf: readonly (number | undefined)[], now: Millis): number {
    const remaking = this.#neighbourhood.onPasswordsChanged(newIndexOf, now);
    this.#pump(now);
    return remaking;
  }

  /** Before the first connection. */
  registerChannel(name: string, channel: Channel): void {
    this.#channels.register(name, channel);
  }

  /** Spreads a change of a channel's state that this peer made, as its channel names it. */
  publish(channel: string, news: unknown, now: Millis): void {
    this.#channels.publish(channel, news);
    this.#touch(now);
  }

  /**
   * Sends up to 64 KiB to a peer, hop by hop; no delivery is promised. `kind` (at most 32 characters) says for whom.
   * False if it cannot leave: no route, or a stream that takes no more. `attempt`: how often the like of it was sent in
   * vain; later ones leave by other neighbours.
   */
  unicast(to: PeerName, kind: string, bytes: Uint8Array, now: Millis, attempt = 0): boolean {
    const fits = bytes.length <= MAX_UNICAST && kind.length <= MAX_KIND;
    const sent = fits && this.#originate(to, kind, bytes, now, attempt);
    this.#pump(now);
    return sent;
  }

  /** Says bye on all connections. Nothing but draining the last effects may follow. */
  stop(now: Millis): void {
    this.#stopped = true;
    this.#neighbourhood.stop(now);
    this.#pump(now);
  }

  nextTimeout(): Millis | undefined {
    if (this.#stopped) return undefined;
    const due = earlier(this.#flushAt, earlier(this.#repairAt, this.#backbone.nextTimeout()));
    const own = earlier(earlier(due, this.#persistAt), this.#direct.nextTimeout());
    return earlier(own, earlier(this.#topology.nextTimeout(), this.#neighbourhood.nextTimeout()));
  }

  onTimeout(now: Millis): void {
    if (this.#stopped) return;
    this.#neighbourhood.onTimeout(now);
    this.#pump(now);
    this.#topology.onTimeout(now);
    this.#channels.askAgain(now);
    this.#report(now);
    if (this.#topology.revision !== this.#revision) this.#touch(now);
    if (this.#direct.onTimeout(now)) this.#touch(now);
    if (this.#flushAt !== undefined && now >= this.#flushAt) this.#flush(now);
    if (now >= this.#repairAt) this.#repair(now);
    this.#backbone.onTimeout(now);
    this.#pump(now);
    if (this.#persistAt !== undefined && now >= this.#persistAt) this.#persistTargets(now);
  }

  drain(): GossipEffect[] {
    const effects = this.#effects;
    if (effects.length > 0) this.#effects = [];
    return effects;
  }

  routes(): RoutesSnapshot {
    return this.#routes.snapshot;
  }

  /** Whether the backbone is sparse; routes are told anew when that changes. */
  get isSparse(): boolean {
    return this.#backbone.isSparse;
  }

  entry(name: PeerName): TopologyEntry | undefined {
    return this.#topology.entry(name);
  }

  /** Known peers, this one included, ascending; some may not be reachable. */
  entries(): TopologyEntry[] {
    return Array.from(this.#topology.entries(), ({ entry }) => entry);
  }

  /** Who has a connection with this peer, in any order; not yet established until the other end has accepted it. */
  neighbours(): Iterable<Pick<Neighbour, 'name' | 'isEstablished'>> {
    return this.#neighbourhood.neighbours.values();
  }

  isReachable(name: PeerName): boolean {
    return this.#topology.isReachable(name);
  }

  targetsStatus(): status.TargetStatus[] {
    return status.targetsStatus(this.#neighbourhood.maker);
  }

  connectionsStatus(now: Millis): status.ConnectionStatus[] {
    return status.connectionsStatus(this.#neighbourhood, (name) => this.entry(name)?.nickname ?? '', now);
  }

  peersStatus(): status.PeerStatus[] {
    return status.peersStatus(this.#routes.snapshot, (name) => this.entry(name));
  }

  /** What was refused before anybody said who it is, by reason. */
  refusals(): Record<string, number> {
    return this.#neighbourhood.refusals.toObject();
  }

  /** How connections and dials ended, by reason. */
  failures(): Record<string, number> {
    return this.#neighbourhood.failures.toObject();
  }

  #touch(now: Millis): void {
    const at = Math.max(now + COALESCE, this.#flushedAt + FLUSH_GAP);
    if (this.#flushAt === undefined || at < this.#flushAt) this.#flushAt = at;
  }

  #pump(now: Millis): void {
    const neighbourhood = this.#neighbourhood;
    for (let events = neighbourhood.drain(now); events.length > 0; events = neighbourhood.drain(now)) {
      for (const event of events) this.#onEvent(event, now);
    }
  }

  #onEvent(event: NeighbourhoodEvent, now: Millis): void {
    switch (event.type) {
      case 'up':
        return this.#onUp(event.neighbour, event.mutual, now);
      case 'established':
        return this.#touch(now);
      case 'down':
        return this.#onDown(event.neighbour, event.reason, now);
      case 'message':
        return this.#onMessage(event.neighbour, event.message, now);
      case 'ping':
        return this.#pingName(event.name, event.uid, now);
      case 'dial':
      case 'write':
      case 'close':
      case 'task':
      case 'log':
        this.#effects.push(event);
    }
  }

  #onUp(neighbour: Neighbour, mutual: boolean, now: Millis): void {
    this.#noteSeenBy(neighbour, now);
    this.#channels.addNeighbour(neighbour, mutual, now);
    this.#touch(now);
  }

  #noteSeenBy({ hello: { seenAt }, connection }: Neighbour, now: Millis): void {
    const port = connection.outbound ? this.#config.port : seenAt.port;
    this.#addresses.onSeen({ ip: seenAt.ip, port }, now);
  }

  #onDown(neighbour: Neighbour, reason: string, now: Millis): void {
    if (reason === 'shed') this.#backbone.onShed(neighbour, now);
    // Who was accepted had to make room; who was not is tried again.
    if (reason === 'connection-limit' && neighbour.isEstablished) this.#backbone.onRoomMade(neighbour, now);
    this.#channels.removeNeighbour(neighbour.name);
    this.#repairAt = Math.min(this.#repairAt, now + REPAIR_AFTER_LOSS);
    this.#touch(now);
  }

  #onPathLost(peer: PeerName, now: Millis): void {
    if (!this.#neighbourhood.neighbours.has(peer)) return;
    this.#doubtUntil = now + DEAD_AFTER;
    this.#repairAt = Math.min(this.#repairAt, now + REPAIR_AFTER_LOSS);
  }

  #onMessage(neighbour: Neighbour, message: NeighbourMessage, now: Millis): void {
    if (this.#neighbourhood.neighbours.get(neighbour.name) !== neighbour) return; // ended meanwhile
    if (message.type === 'spare') this.#backbone.onSpare(neighbour, now);
    else if (message.type === 'keep') this.#backbone.onKeep(neighbour);
    else if (message.type !== 'unicast') this.#onGossip(neighbour, message, now);
    else if (message.to === this.#config.name) this.#deliver(message, neighbour.name, now);
    else if (message.ttl > 0) this.#forward({ ...message, ttl: message.ttl - 1 }, now);
  }

  #onGossip(neighbour: Neighbour, message: GossipMessage, now: Millis): void {
    try {
      this.#channels.onMessage(neighbour.name, message, now);
    } catch (error) {
      if (!(error instanceof MalformedDelta)) throw error;
      const sentence = `${neighbour.address} sent malformed gossip (${error.message})`;
      this.#neighbourhood.refuse(neighbour, { reason: 'malformed', error: sentence }, now);
    }
    if (this.#topology.revision !== this.#revision || this.#channels.hasWork) this.#touch(now);
  }

  #originate(to: PeerName, kind: string, bytes: Uint8Array, now: Millis, attempt = 0): boolean {
    const unicast: Unicast = { type: 'unicast', from: this.#config.name, to, ttl: MAX_HOPS, kind, bytes };
    return to === this.#config.name
      ? this.#deliver(unicast, undefined, now)
      : this.#forward(unicast, now, attempt);
  }

  #deliver(unicast: Unicast, via: PeerName | undefined, now: Millis): true {
    const { from, kind, bytes } = unicast;
    if (kind === NAME_PING) this.#answerPing(from, bytes, now);
    else if (kind === NAME_PONG) this.#neighbourhood.onAlive(from, toHex(bytes), now);
    else this.#effects.push({ type: 'unicast', from, via, kind, bytes });
    return true;
  }

  #forward(unicast: Unicast, now: Millis, attempt = 0): boolean {
    const { neighbours } = this.#neighbourhood;
    const hop = this.#routes.hopOfAttempt(unicast.to, attempt);
    // A neighbour that is new or about to be lost has no route, but perhaps a connection.
    const neighbour = (hop && neighbours.get(hop)) ?? neighbours.get(unicast.to);
    if (!neighbour?.isWritable) return false;
    neighbour.send(encodeMessage(unicast), now);
    return true;
  }

  #pingName(name: PeerName, uid: string, now: Millis): void {
    this.#originate(name, NAME_PING, fromHex(uid)!, now);
  }

  #answerPing(from: PeerName, uid: Uint8Array, now: Millis): void {
    if (toHex(uid) === this.#config.uid) this.#originate(from, NAME_PONG, uid, now);
  }

  /** Brings our entry, the routes and what was passed on up to date, at most once in {@link FLUSH_GAP}. */
  #flush(now: Millis): void {
    this.#flushedAt = now;
    const neighbours = this.#ownNeighbours.update(this.#ownEdges(), (name) => this.#isSpare(name, now), now);
    this.#topology.updateSelf({ addresses: this.#addresses.list(), neighbours });
    const tellAt = this.#ownNeighbours.nextTimeout();
    this.#flushAt = tellAt === undefined ? undefined : Math.max(tellAt, now + FLUSH_GAP);
    if (this.#topology.revision !== this.#revision) this.#refreshRoutes(now);
    this.#report(now);
    for (const { from, names } of this.#topology.takeFresh()) {
      this.#channels.publish(TOPOLOGY, names, from as PeerName | undefined);
    }
    this.#channels.flush(now);
    this.#backbone.refresh(now);
  }

  /** Those who have accepted the connection, too. */
  #ownEdges(): TopologyEntry['neighbours'] {
    const edges = Array.from(this.neighbours()).flatMap(({ name, isEstablished: established }) =>
      established ? { name, established, direct: this.#direct.has(name) } : [],
    );
    return edges.sort((a, b) => compareNames(a.name, b.name));
  }

  /** Whether an edge to `name` would only make ways shorter. In a full mesh it is the way to that peer. */
  #isSpare(name: PeerName, now: Millis): boolean {
    if (!this.#backbone.isSparse || now < this.#doubtUntil) return false;
    const edges = this.#routes.neighboursOf(this.#config.name).size;
    return edges >= ENOUGH_EDGES && this.#topology.isReachable(name);
  }

  #refreshRoutes(now: Millis): void {
    this.#revision = this.#topology.revision;
    const before = this.#routes.snapshot;
    const after = computeRoutes(this.#topology.entries(), this.#config.name, before.version + 1);
    this.#topology.onReachable(after.names, now);
    this.#backbone.judge();
    if (sameRoutes(before, after) && this.#backbone.isSparse === this.#toldSparse) return;
    this.#toldSparse = this.#backbone.isSparse;
    this.#routes = new RouteView(after);
    // An edge that waits to be told of may be the only way now.
    if (this.#ownNeighbours.nextTimeout() !== undefined) this.#touch(now);
    this.#effects.push({ type: 'routes', snapshot: after });
  }

  #report(now: Millis): void {
    const { changed, gone, duplicate } = this.#topology.takeNews();
    for (const entry of changed) this.#effects.push({ type: 'peer-changed', entry });
    for (const { name, addresses } of gone) {
      this.#effects.push({ type: 'peer-gone', name });
      if (this.#config.discovery) this.#neighbourhood.maker.onGone(name, addresses.map(dialAddress), now);
    }
    if (duplicate && now >= this.#sayDuplicateAt) {
      this.#sayDuplicateAt = now + DUPLICATE_WINDOW;
      const fields = { name: this.#config.name };
      this.#effects.push({ type: 'log', level: 'error', message: 'another live peer uses our name', fields });
    }
  }

  #repair(now: Millis): void {
    this.#repairAt = now + (now < this.#doubtUntil ? REPAIR_IN_DOUBT_EVERY : REPAIR_EVERY);
    this.#channels.startRepair(this.#routes.snapshot.names.length, now);
  }

  /** Before it is known what we are to connect to, what an earlier run was told must stay. */
  get #persistAt(): Millis | undefined {
    return this.#hasTargets ? this.#neighbourhood.maker.persistAt : undefined;
  }

  #persistTargets(now: Millis): void {
    const { maker } = this.#neighbourhood;
    const candidates = maker.takeCandidates(now);
    this.#effects.push({ type: 'persist-targets', targets: maker.given(), candidates });
  }
}
