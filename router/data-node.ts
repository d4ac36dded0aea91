import type { Cidr } from '../core/address.ts';
import { Counters } from '../core/counters.ts';
import type { PeerName } from '../core/peer-name.ts';
import type { RandomSource } from '../core/random.ts';
import type { RoutesSnapshot } from '../core/routes.ts';
import { earlier, type Machine, type Millis } from '../core/time.ts';
import type { Engine, EngineEvent, HandedFrame, MessageBatch } from './engine/port.ts';
import { Forwarder } from './forwarder.ts';
import { BatchArrival } from './link/batch-arrival.ts';
import { EngineQueue } from './link/engine-queue.ts';
import { FrameQueues } from './link/frame-queue.ts';
import { framesTaken, type FromLane, type LaneTraffic, type ToLane } from './lane-messages.ts';
import { Links } from './link/links.ts';
import { MacEventLog } from './link/mac-event-log.ts';
import { Numbers } from './link/numbers.ts';
import { wipeKeys } from './node-messages.ts';
import type { DataReport, ToControl, ToData } from './node-messages.ts';
import { countSendFailure } from './send-failures.ts';
import type { LinkView } from './switch/link-view.ts';
import type { SharedMac } from './switch/mac-table.ts';
import { Switch } from './switch/switch.ts';
import { carriesFrame, parseLinkMessage } from './wire/inner.ts';
import { isLane, sessionOfLane } from './wire/lanes.ts';
import { WorkerCounts } from './worker-counts.ts';

export interface DataNodeConfig {
  readonly name: PeerName;
  /** MTU of the bridge, bytes. */
  readonly bridgeMtu: number;
  /** Between addresses that both ends trust, frames go plain. */
  readonly trustedSubnets: readonly Cidr[];
  /** This node is the first of so many; the others are LaneNodes. */
  readonly workers: number;
}

/** A message to the worker of that number, from 1 on. */
export interface LaneMail {
  readonly worker: number;
  readonly message: ToLane;
}

type Repeated = Extract<EngineEvent, { type: 'sent' | 'received' }>;

const NO_MESSAGES = Object.freeze([]) as unknown as ToControl[];

/**
 * The data plane of one node: moves frames between the host and the links, keeps the links, and does as the
 * ControlNode says. It owns the plans of an engine that the edge has opened.
 */
export class DataNode implements Machine<ToControl> {
  readonly #engine: Engine;
  readonly #queue: EngineQueue;
  readonly #links: Links;
  readonly #switch: Switch;
  readonly #forwarder: Forwarder;
  readonly #held = new FrameQueues();
  readonly #drops = new Counters<string>();
  #known: ReadonlySet<PeerName> = new Set();
  #arrival: BatchArrival | undefined;
  #arrivalBatch: MessageBatch | undefined;
  readonly #macEventLog = new MacEventLog();
  #toControl: ToControl[] = [];
  readonly #workers: number;
  readonly #counts: WorkerCounts;
  #toLanes: LaneMail[] = [];
  #learned: SharedMac[] = [];
  #now: Millis;

  constructor(config: DataNodeConfig, engine: Engine, random: RandomSource, now: Millis) {
    const { name: self, bridgeMtu, trustedSubnets, workers } = config;
    this.#workers = workers;
    this.#counts = new WorkerCounts(workers);
    this.#now = now;
    this.#engine = engine;
    this.#queue = new EngineQueue(engine);
    const numbers = { paths: new Numbers(), sessions: new Numbers() };
    this.#links = new Links({ self, bridgeMtu, trustedSubnets, random, ...numbers }, this.#queue, {
      workers,
      tellLane: (worker, message) => void this.#toLanes.push({ worker, message }),
      tell: (message) => void this.#toControl.push(message),
      onSendable: (peer, at) => this.#sendHeld(peer, at),
      onHopeless: (peer) => this.#dropHeld(peer),
      onPeerMacs: (peer, macs, at) => this.#switch.onPeerMacs(peer, macs, at),
    });
    const share = (shared: SharedMac) => void this.#learned.push(shared);
    this.#switch = new Switch(this.#linkView(), workers > 1 ? { share, detour: undefined } : undefined);
    this.#forwarder = new Forwarder(engine, this.#switch, {
      onReceived: (batch, at) => this.#onReceived(batch, at),
      onSent: (session, datagrams, bytes) => this.#onSent(session, datagrams, bytes),
    });
  }

  onControl(message: ToData, now: Millis): void {
    this.#now = now;
    this.#obey(message, now);
    this.#links.settle(now);
    // The engine has copies of those that were taken.
    wipeKeys(message);
  }

  /** Moves what the engine has, up to a budget; true if that was used up and there may be more. */
  onReady(now: Millis): boolean {
    this.#now = now;
    const more = this.#forwarder.moveReady(now);
    this.#takeEvents(now);
    this.#links.settle(now);
    return more;
  }

  /** What another worker of this node says. */
  onLane(worker: number, message: FromLane, now: Millis): void {
    this.#now = now;
    switch (message.type) {
      case 'frames':
        this.#counts.onDetour(worker, message.frames.length);
        this.#adopt(message.frames, now);
        this.#toLanes.push({ worker, message: framesTaken(message.frames) });
        break;
      case 'learned':
        this.#switch.onShared(message.macs, now);
        this.#tellLanes({ type: 'learned', macs: message.macs }, worker);
        break;
      case 'mac-events':
        this.#toControl.push(...this.#macEventLog.linesFor(message.events, now));
        break;
      case 'traffic':
        for (const lane of message.lanes) this.#onLaneTraffic(worker, lane, now);
        break;
      case 'too-big':
        this.#links.onTooBig(message.path, message.size, now);
        break;
      case 'dropped':
        this.#drops.add(message.reason, message.count);
        break;
      case 'failed':
        this.#toControl.push({ type: 'failed', error: message.error });
        break;
    }
    this.#takeEvents(now);
    this.#links.settle(now);
  }

  /** What the other workers are to be told. */
  drainLanes(): LaneMail[] {
    if (this.#learned.length > 0) {
      this.#tellLanes({ type: 'learned', macs: this.#learned }, 0);
      this.#learned = [];
    }
    const mail = this.#toLanes;
    if (mail.length > 0) this.#toLanes = [];
    return mail;
  }

  nextTimeout(): Millis | undefined {
    const links = earlier(this.#links.nextTimeout(), this.#links.labels.nextTimeout());
    return earlier(links, this.#switch.nextTimeout());
  }

  onTimeout(now: Millis): void {
    this.#now = now;
    // Engines wake nobody to say that a label is used.
    this.#takeEvents(now);
    this.#switch.onTimeout(now);
    this.#links.onTimeout(now);
    for (const index of this.#links.labels.onTimeout(now))
      this.#toControl.push({ type: 'label-idle', index });
    this.#links.settle(now);
  }

  drain(): ToControl[] {
    const messages = this.#toControl;
    // Most packets cause none, and none of them is to cost an array.
    if (messages.length === 0) return NO_MESSAGES;
    this.#toControl = [];
    return messages;
  }

  #onReceived(batch: MessageBatch, now: Millis): void {
    const arrival = this.#arrivalOf(batch);
    for (let i = 0; i < batch.count; i++) {
      arrival.moveTo(i);
      this.#takeEntry(batch, i, arrival, now);
    }
    this.#links.settle(now);
  }

  #takeEntry(batch: MessageBatch, i: number, arrival: BatchArrival, now: Millis): void {
    const session = batch.session[i]!;
    const link = this.#links.ofSession(session);
    if (link === undefined) return;
    this.#counts.receivedBytes += batch.wireLength[i]!;
    // A lane above 0 carries frames and nothing else, and brings no session alive.
    if (isLane(session)) return link.onLaneReceived(batch.wireLength[i]!, now);
    if (link.onArrival(arrival, now)) this.#links.onInput(link);
    const kind = batch.kind[i]!;
    if (carriesFrame(kind)) return link.onUse(now);
    const message = parseLinkMessage(kind, batch.flags[i]!, batch.data, batch.offset[i]!, batch.length[i]!);
    if (message === undefined) {
      this.#drops.add('link-message-malformed');
      return;
    }
    const drop = link.onMessage(arrival, message, now);
    if (drop !== undefined) this.#drops.add(drop);
    this.#links.onInput(link);
  }

  /** Engines use one batch again and again. */
  #arrivalOf(batch: MessageBatch): BatchArrival {
    if (this.#arrival === undefined || this.#arrivalBatch !== batch) {
      this.#arrival = new BatchArrival(batch);
      this.#arrivalBatch = batch;
    }
    return this.#arrival;
  }

  #onSent(session: number, datagrams: number, bytes: number): void {
    const link = this.#links.ofSession(session);
    if (link === undefined) return;
    this.#counts.sentBytes += bytes;
    if (link.onDataSent(session, datagrams, bytes, this.#now)) this.#links.onInput(link);
  }

  /** Frames that another worker read, as if they had been read here. */
  #adopt(frames: readonly HandedFrame[], now: Millis): void {
    // They take the place of what the engine may have read ahead.
    const held = this.#engine.readFrames();
    if (held.count > 0) this.#forwarder.moveFrames(held, now);
    for (let at = 0; at < frames.length;) {
      const batch = this.#engine.adoptFrames(frames.slice(at));
      if (batch.count === 0) return;
      at += batch.count;
      this.#forwarder.moveFrames(batch, now);
    }
  }

  #onLaneTraffic(worker: number, lane: LaneTraffic, now: Millis): void {
    this.#counts.onTraffic(worker, lane);
    const link = this.#links.ofSession(lane.session);
    if (link === undefined) return;
    link.onLaneReceived(lane.receivedBytes, now);
    if (lane.sentBytes === 0) return;
    const session = sessionOfLane(lane.session);
    if (link.onDataSent(session, lane.sentDatagrams, lane.sentBytes, now)) this.#links.onInput(link);
  }

  #tellLanes(message: ToLane, except: number): void {
    for (let worker = 1; worker < this.#workers; worker++) {
      if (worker !== except) this.#toLanes.push({ worker, message });
    }
  }

  #linkView(): LinkView {
    return {
      route: (peer) => this.#links.get(peer)?.route,
      hold: (peer, message) => this.#hold(peer, message),
      sender: (batch, i) => this.#senderOf(batch, i),
    };
  }

  #senderOf(batch: MessageBatch, i: number): PeerName | undefined {
    const link = this.#links.ofSession(batch.session[i]!);
    if (link === undefined || batch.plain[i] !== 1) return link?.peer;
    const arrival = this.#arrivalOf(batch);
    arrival.moveTo(i);
    return link.takesPlain(arrival) ? link.peer : undefined;
  }

  #hold(peer: PeerName, message: Uint8Array | undefined): void {
    if (!this.#known.has(peer)) {
      this.#drops.add('peer-unknown');
      return;
    }
    const dropped = message === undefined ? 0 : this.#held.push(peer, message, this.#now);
    if (dropped > 0) this.#drops.add('held-frame', dropped);
    this.#links.touch(peer, this.#now).onNeeded(this.#now);
  }

  #sendHeld(peer: PeerName, now: Millis): void {
    const expired = this.#held.expire(peer, now);
    if (expired > 0) this.#drops.add('held-frame', expired);
    const { plans } = this.#forwarder;
    for (const message of this.#held.take(peer)) this.#switch.planHeld(peer, message, plans, now);
    plans.flush();
  }

  #dropHeld(peer: PeerName): void {
    const dropped = this.#held.take(peer).length;
    if (dropped > 0) this.#drops.add('held-frame', dropped);
  }

  #obey(message: ToData, now: Millis): void {
    if ('peer' in message) {
      this.#links.onControl(message, now);
      return;
    }
    switch (message.type) {
      case 'routes':
        this.#onRoutes(message.routes, now);
        break;
      case 'links-kept':
        this.#links.setKept(message.peers, now);
        break;
      case 'local-macs':
        this.#switch.onLocalMacs(message.macs);
        this.#links.onLocalMacs(message.macs, now);
        this.#tellLanes(message, 0);
        break;
      case 'moved':
        this.#links.onMoved(now);
        break;
      case 'label':
        for (const change of this.#links.labels.add(message, now)) this.#queue.change(change);
        break;
      case 'label-removed':
        for (const change of this.#links.labels.remove(message.index)) this.#queue.change(change);
        break;
      case 'report-request':
        this.#takeEvents(now);
        this.#toControl.push({ type: 'report', request: message.request, report: this.#report(now) });
        break;
    }
  }

  #onRoutes(routes: RoutesSnapshot, now: Millis): void {
    const known = new Set(routes.names);
    for (const peer of this.#known) {
      if (known.has(peer)) continue;
      this.#switch.onPeerGone(peer);
      this.#tellLanes({ type: 'peer-gone', peer }, 0);
      this.#dropHeld(peer);
    }
    this.#known = known;
    this.#switch.onRoutes(routes, now);
  }

  #takeEvents(now: Millis): void {
    for (const event of this.#engine.drainEvents()) this.#onEvent(event, now);
    const macEvents = this.#switch.drainEvents();
    if (macEvents.length > 0) this.#toControl.push(...this.#macEventLog.linesFor(macEvents, now));
  }

  #onEvent(event: EngineEvent, now: Millis): void {
    switch (event.type) {
      case 'roamed':
        this.#links.onRoamed(event.session, event.from, now);
        break;
      case 'too-big':
        this.#links.onTooBig(event.path, event.size, now);
        break;
      case 'send-failed':
        countSendFailure(event, (reason, by) => this.#drops.add(reason, by));
        break;
      case 'label-used':
        this.#links.labels.onUsed(event.index, now);
        break;
      case 'sent':
      case 'received':
        this.#onRepeated(event, now);
        break;
      case 'dropped':
        this.#drops.add(event.reason, event.count);
        break;
      case 'failed':
        this.#toControl.push({ type: 'failed', error: event.error });
        break;
    }
  }

  /** What the engine moved by itself counts as what it moved by a plan. */
  #onRepeated({ type, session, datagrams, bytes }: Repeated, now: Millis): void {
    const link = this.#links.ofSession(session);
    if (link === undefined) return;
    if (type === 'received') {
      this.#counts.receivedBytes += bytes;
      if (isLane(session)) link.onLaneReceived(bytes, now);
      else link.onFramesReceived(session, datagrams, bytes, now);
      return;
    }
    this.#counts.sentBytes += bytes;
    if (link.onDataSent(session, datagrams, bytes, now)) this.#links.onInput(link);
  }

  #report(now: Millis): DataReport {
    return {
      links: this.#links.reports(),
      drops: { ...this.#drops.toObject(), ...this.#switch.drops.toObject() },
      macs: this.#switch.macCount(now),
      labels: this.#links.labels.size,
      workers: this.#counts.reports(),
    };
  }
}
