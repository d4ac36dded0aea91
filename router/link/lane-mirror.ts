import type { Cidr } from '../../core/address.ts';
import type { PeerName } from '../../core/peer-name.ts';
import type { EngineChange } from '../engine/port.ts';
import type { ToLane } from '../lane-messages.ts';
import { sameRoute, type LinkRoute } from '../switch/link-view.ts';
import { laneIndex, laneSession, workerOf } from '../wire/lanes.ts';

export type KeyChange = Extract<EngineChange, { type: 'key' }>;

/** The lanes of a session that is about to be installed. */
export interface SessionLanes {
  /** The engine's number of lane 0. */
  readonly session: number;
  readonly lanes: number;
  readonly sealed: boolean;
  readonly remoteTrusted: readonly Cidr[];
}

export interface LaneMirrorOptions {
  /** Of this node. */
  readonly workers: number;
  /** A change for this worker's own engine. */
  readonly change: (change: EngineChange) => void;
  readonly tell: (worker: number, message: ToLane) => void;
}

/** What a worker was told last of the way to a peer. */
interface ToldRoute {
  readonly route: LinkRoute | undefined;
  readonly refusesPlain: boolean;
}

const NO_ROUTE: ToldRoute = { route: undefined, refusesPlain: false };

/**
 * Keeps the lanes above 0 as lane 0 is kept: each change of the engine that concerns all lanes is repeated, with the
 * lane's numbers, in the engine of the worker that has the lane. That may be this worker's own: if the peer has more
 * workers than this node, several of its lanes end in one.
 */
export class LaneMirror {
  readonly #options: LaneMirrorOptions;
  /** Sessions with more than one lane: the number of lanes. */
  readonly #lanes = new Map<number, number>();
  readonly #told = new Map<PeerName, ToldRoute>();

  constructor(options: LaneMirrorOptions) {
    this.#options = options;
  }

  /** Comes before the `session` change of lane 0. */
  onSession(peer: PeerName, { session, lanes, sealed, remoteTrusted }: SessionLanes): void {
    if (lanes === 1) return;
    this.#lanes.set(session, lanes);
    for (let lane = 1; lane < lanes; lane++) {
      const worker = workerOf(lane, this.#options.workers);
      const number = laneSession(session, lane);
      if (worker > 0)
        this.#options.tell(worker, { type: 'session', session: number, peer, sealed, remoteTrusted });
    }
  }

  /** Keys of one lane; the callee owns them. */
  onKey(lane: number, change: KeyChange): void {
    this.#give(lane, { ...change, session: laneSession(change.session, lane) });
  }

  /** The peer has the keys of this phase: all lanes may use them. Lane 0 has a mind of its own. */
  onPhase(session: number, phase: number): void {
    this.#toAll(session, (number) => ({ type: 'send-phase', session: number, phase }));
  }

  /** A change that lane 0's engine was given. */
  onChange(change: EngineChange): void {
    if ('session' in change) this.#onSessionChange(change);
    else if (change.type === 'path')
      this.#toSenders((lane) => ({ ...change, sendIndex: laneIndex(change.sendIndex, lane) }));
    else if (change.type === 'path-removed') this.#toSenders(() => change);
    // Indexes go with their session, labels are lane 0's alone, and what is void a lane knows by its route.
  }

  /** The way to a peer, as it is now; undefined = none, or a circuit. Nothing is told twice. */
  onRoute(peer: PeerName, route: LinkRoute | undefined, refusesPlain: boolean): void {
    if (this.#options.workers === 1) return;
    const told = this.#told.get(peer) ?? NO_ROUTE;
    if (sameRoute(told.route, route) && told.refusesPlain === refusesPlain) return;
    if (route === undefined && !refusesPlain) this.#told.delete(peer);
    else this.#told.set(peer, { route: route && { ...route }, refusesPlain });
    for (let worker = 1; worker < this.#options.workers; worker++) {
      const own = route && { ...route, session: laneSession(route.session, worker) };
      this.#options.tell(worker, { type: 'route', peer, route: own, refusesPlain });
    }
  }

  #onSessionChange(change: Extract<EngineChange, { session: number }>): void {
    switch (change.type) {
      case 'session':
      case 'key-removed':
        return this.#toAll(change.session, (session) => ({ ...change, session }));
      case 'session-removed':
        this.#toAll(change.session, (session) => ({ ...change, session }));
        this.#lanes.delete(change.session);
        return;
      case 'receive-index':
        if (!change.roams) return; // an alias: circuits have lane 0 only
        return this.#toAll(change.session, (session, lane) => {
          return { ...change, session, index: laneIndex(change.index, lane), roams: false };
        });
      // Keys and their use come by onKey and onPhase, and only lane 0 looks at addresses.
      case 'key':
      case 'send-phase':
      case 'direct-address':
        return;
    }
  }

  #toAll(session: number, make: (session: number, lane: number) => EngineChange): void {
    const lanes = this.#lanes.get(session) ?? 1;
    for (let lane = 1; lane < lanes; lane++) this.#give(lane, make(laneSession(session, lane), lane));
  }

  /** A worker sends on the lane that has its number. */
  #toSenders(make: (lane: number) => EngineChange): void {
    for (let worker = 1; worker < this.#options.workers; worker++) this.#give(worker, make(worker));
  }

  #give(lane: number, change: EngineChange): void {
    const worker = workerOf(lane, this.#options.workers);
    if (worker === 0) this.#options.change(change);
    else this.#options.tell(worker, { type: 'configure', changes: [change] });
  }
}
