import type { Cidr } from '../core/address.ts';
import { Counters } from '../core/counters.ts';
import type { PeerName } from '../core/peer-name.ts';
import { SECOND, earlier, type Machine, type Millis } from '../core/time.ts';
import type { Engine, EngineChange, EngineEvent, MessageBatch } from './engine/port.ts';
import { Forwarder } from './forwarder.ts';
import { LaneDetour } from './lane-detour.ts';
import { wipeLaneKeys, type FromLane, type LaneTraffic, type ToLane } from './lane-messages.ts';
import { trustedByBoth } from './link/trust.ts';
import { countSendFailure } from './send-failures.ts';
import type { LinkRoute, LinkView } from './switch/link-view.ts';
import type { SharedMac } from './switch/mac-table.ts';
import { Switch } from './switch/switch.ts';

export interface LaneNodeConfig {
  /** Between addresses that both ends trust, frames go plain. */
  readonly trustedSubnets: readonly Cidr[];
}

type Repeated = Extract<EngineEvent, { type: 'sent' | 'received' }>;

/** The first traffic after a pause is reported at once, for the heartbeats' sake. */
const REPORT_INTERVAL: Millis = 1 * SECOND;
/** After the last traffic: the engine repeats decisions for a while longer, and wakes nobody to say so. */
const REPORTS = 2;

/** The other end of a lane, and what went over it since the last report. */
interface Lane {
  readonly peer: PeerName;
  readonly sealed: boolean;
  readonly remoteTrusted: readonly Cidr[];
  sentDatagrams: number;
  sentBytes: number;
  receivedBytes: number;
}

/**
 * A worker of the data plane beside the first one: moves frames between the host and lanes of its own, by what the
 * DataNode tells it of peers. Whatever that does not decide goes to the DataNode. It shares no key with anybody.
 */
export class LaneNode implements Machine<FromLane> {
  readonly #engine: Engine;
  readonly #trusted: readonly Cidr[];
  readonly #lanes = new Map<number, Lane>();
  readonly #routes = new Map<PeerName, LinkRoute>();
  /** Peers that cannot be the ones who send plain. */
  readonly #refusesPlain = new Set<PeerName>();
  readonly #detour: LaneDetour;
  readonly #switch: Switch;
  readonly #forwarder: Forwarder;
  readonly #drops = new Counters<string>();
  #learned: SharedMac[] = [];
  #toData: FromLane[] = [];
  #reportsDue = 0;
  #reportedAt: Millis = Number.NEGATIVE_INFINITY;

  constructor(config: LaneNodeConfig, engine: Engine) {
    this.#engine = engine;
    this.#trusted = config.trustedSubnets;
    this.#detour = new LaneDetour((frames) => void this.#toData.push({ type: 'frames', frames }));
    const share = (shared: SharedMac) => void this.#learned.push(shared);
    this.#switch = new Switch(this.#linkView(), { share, detour: this.#detour });
    this.#forwarder = new Forwarder(engine, this.#switch, {
      onReceived: (batch) => this.#onReceived(batch),
      onSent: (session, datagrams, bytes) => this.#onSent(session, datagrams, bytes),
    });
  }

  /** Takes the keys in it over, and wipes them. */
  onData(message: ToLane, now: Millis): void {
    switch (message.type) {
      case 'configure':
        this.#engine.configure(message.changes);
        wipeLaneKeys(message);
        for (const change of message.changes) this.#forgetLane(change);
        break;
      case 'session': {
        const { session, peer, sealed, remoteTrusted } = message;
        const traffic = { sentDatagrams: 0, sentBytes: 0, receivedBytes: 0 };
        this.#lanes.set(session, { peer, sealed, remoteTrusted, ...traffic });
        break;
      }
      case 'route':
        this.#onRoute(message);
        break;
      case 'learned':
        this.#switch.onShared(message.macs, now);
        break;
      case 'peer-gone':
        this.#switch.onPeerGone(message.peer);
        break;
      case 'local-macs':
        this.#switch.onLocalMacs(message.macs);
        break;
      case 'frames-taken':
        this.#detour.onTaken(message.count, message.bytes);
        break;
    }
  }

  /** Moves what the engine has, up to a budget; true if that was used up and there may be more. */
  onReady(now: Millis): boolean {
    const more = this.#forwarder.moveReady(now);
    this.#detour.flush();
    this.#takeEvents();
    this.#reportIfDue(now);
    return more;
  }

  nextTimeout(): Millis | undefined {
    const report = this.#reportIsDue ? this.#reportedAt + REPORT_INTERVAL : undefined;
    return earlier(report, this.#switch.nextTimeout());
  }

  onTimeout(now: Millis): void {
    this.#switch.onTimeout(now);
    this.#takeEvents();
    this.#reportIfDue(now);
  }

  drain(): FromLane[] {
    if (this.#learned.length > 0) {
      this.#toData.push({ type: 'learned', macs: this.#learned });
      this.#learned = [];
    }
    const messages = this.#toData;
    if (messages.length > 0) this.#toData = [];
    return messages;
  }

  #onReceived(batch: MessageBatch): void {
    this.#reportsDue = REPORTS;
    for (let i = 0; i < batch.count; i++) {
      const lane = this.#lanes.get(batch.session[i]!);
      if (lane !== undefined) lane.receivedBytes += batch.wireLength[i]!;
    }
  }

  #onSent(session: number, datagrams: number, bytes: number): void {
    this.#reportsDue = REPORTS;
    const lane = this.#lanes.get(session);
    if (lane === undefined) return;
    lane.sentBytes += bytes;
    lane.sentDatagrams += datagrams;
  }

  #linkView(): LinkView {
    return {
      route: (peer) => this.#routes.get(peer),
      // Frames without a route go by the detour before anything could hold them.
      hold: () => this.#drops.add('held-frame'),
      sender: (batch, i) => this.#senderOf(batch, i),
    };
  }

  #senderOf(batch: MessageBatch, i: number): PeerName | undefined {
    const lane = this.#lanes.get(batch.session[i]!);
    if (lane === undefined || batch.plain[i] !== 1 || !lane.sealed) return lane?.peer;
    if (this.#refusesPlain.has(lane.peer)) return undefined;
    return trustedByBoth(batch.source(i).ip, this.#trusted, lane.remoteTrusted) ? lane.peer : undefined;
  }

  #forgetLane(change: EngineChange): void {
    if (change.type === 'session-removed') this.#lanes.delete(change.session);
  }

  #onRoute({ peer, route, refusesPlain }: Extract<ToLane, { type: 'route' }>): void {
    this.#engine.configure([{ type: 'decisions-void' }]);
    if (route === undefined) this.#routes.delete(peer);
    else this.#routes.set(peer, route);
    if (refusesPlain) this.#refusesPlain.add(peer);
    else this.#refusesPlain.delete(peer);
  }

  #takeEvents(): void {
    for (const event of this.#engine.drainEvents()) this.#onEvent(event);
    // A move is reported where it is shared.
    const loops = this.#switch.drainEvents().filter(({ type }) => type === 'mac-loop');
    if (loops.length > 0) this.#toData.push({ type: 'mac-events', events: loops });
    const dropped = this.#detour.takeDropped();
    if (dropped > 0) this.#drops.add('detour-queue-full', dropped);
  }

  #onEvent(event: EngineEvent): void {
    switch (event.type) {
      case 'too-big':
        this.#toData.push({ type: 'too-big', path: event.path, size: event.size });
        break;
      case 'send-failed':
        countSendFailure(event, (reason, by) => this.#drops.add(reason, by));
        break;
      case 'sent':
      case 'received':
        this.#onRepeated(event);
        break;
      case 'dropped':
        this.#drops.add(event.reason, event.count);
        // The engine calls for the first of a flood only: the rest is asked for.
        this.#reportsDue = REPORTS;
        break;
      case 'failed':
        this.#toData.push({ type: 'failed', error: event.error });
        break;
      // Of direct indexes and relay labels, which are worker 0's.
      case 'roamed':
      case 'label-used':
        break;
    }
  }

  /** The engine moved frames by itself. */
  #onRepeated({ type, session, datagrams, bytes }: Repeated): void {
    const lane = this.#lanes.get(session);
    if (lane === undefined) return;
    this.#reportsDue = REPORTS;
    if (type === 'received') lane.receivedBytes += bytes;
    else this.#onSent(session, datagrams, bytes);
  }

  get #reportIsDue(): boolean {
    return this.#reportsDue > 0 || !this.#drops.empty || !this.#switch.drops.empty;
  }

  #reportIfDue(now: Millis): void {
    if (!this.#reportIsDue || now < this.#reportedAt + REPORT_INTERVAL) return;
    this.#reportsDue = Math.max(0, this.#reportsDue - 1);
    this.#reportedAt = now;
    this.#report();
  }

  #report(): void {
    const lanes = [...this.#lanes].flatMap(([session, lane]) => takeTraffic(session, lane));
    if (lanes.length > 0) this.#toData.push({ type: 'traffic', lanes });
    for (const drops of [this.#drops, this.#switch.drops]) {
      for (const [reason, count] of Object.entries(drops.toObject()))
        this.#toData.push({ type: 'dropped', reason, count });
      drops.clear();
    }
  }
}

/** What went over the lane since the last time, if anything did. */
function takeTraffic(session: number, lane: Lane): LaneTraffic[] {
  const { sentDatagrams, sentBytes, receivedBytes } = lane;
  if (sentBytes === 0 && receivedBytes === 0) return [];
  lane.sentDatagrams = lane.sentBytes = lane.receivedBytes = 0;
  return [{ session, sentDatagrams, sentBytes, receivedBytes }];
}
