import type { Endpoint } from '../../core/address.ts';
import { compareNames, type PeerName } from '../../core/peer-name.ts';
import type { Millis } from '../../core/time.ts';
import type { EngineChange } from '../engine/port.ts';
import type { LinkReport, ToControl, ToData } from '../node-messages.ts';
import { sessionOfLane } from '../wire/lanes.ts';
import type { LinkEffect, LinkEnvironment } from './context.ts';
import { Deadlines } from './deadlines.ts';
import type { EngineQueue } from './engine-queue.ts';
import { LaneMirror, type LaneMirrorOptions } from './lane-mirror.ts';
import { Link } from './link.ts';
import { RelayLabels } from './relay-labels.ts';

/** What the links want of their node. */
export interface LinksOwner {
  /** Of this node; each but the first has an engine of its own. */
  readonly workers: number;
  readonly tellLane: LaneMirrorOptions['tell'];
  tell(message: ToControl): void;
  /** There is a route to the peer now. */
  onSendable(peer: PeerName, now: Millis): void;
  /** The peer is down or has no session: what waits for it will not go. */
  onHopeless(peer: PeerName): void;
  onPeerMacs(peer: PeerName, macs: Uint8Array, now: Millis): void;
}

/** What concerns one link. */
export type LinkOrder = Extract<ToData, { peer: PeerName }>;

/** All links of a node and its relay labels: finds them, runs their timers, and carries out their effects. */
export class Links {
  readonly labels: RelayLabels;
  readonly #environment: LinkEnvironment;
  readonly #engine: EngineQueue;
  readonly #owner: LinksOwner;
  readonly #byPeer = new Map<PeerName, Link>();
  /** By the engine's number of the session. */
  readonly #bySession: (Link | undefined)[] = [];
  /** By the engine's number of the path. */
  readonly #byPath: (Link | undefined)[] = [];
  readonly #deadlines = new Deadlines<Link>();
  readonly #touched = new Set<Link>();
  /** Those with circuits, which follow the direct paths to other peers. */
  readonly #withCircuits = new Set<Link>();
  readonly #mirror: LaneMirror;
  #localMacs: Uint8Array = new Uint8Array(0);
  /** The peers that the mesh asks for a link to; undefined until it is known: all. */
  #kept: ReadonlySet<PeerName> | undefined;

  constructor(environment: Omit<LinkEnvironment, 'directEndpoint'>, engine: EngineQueue, owner: LinksOwner) {
    const directPath = (peer: PeerName) => this.#byPeer.get(peer)?.directPath();
    const directEndpoint = (peer: PeerName): Endpoint | undefined => directPath(peer)?.endpoint;
    this.#environment = { ...environment, directEndpoint };
    this.#engine = engine;
    this.#owner = owner;
    const { workers, tellLane: tell } = owner;
    this.#mirror = new LaneMirror({ workers, tell, change: (change) => engine.change(change) });
    this.labels = new RelayLabels((peer) => directPath(peer)?.id);
  }

  get(peer: PeerName): Link | undefined {
    return this.#byPeer.get(peer);
  }

  /** `session`: the engine's number, of any lane. */
  ofSession(session: number): Link | undefined {
    return this.#bySession[sessionOfLane(session)];
  }

  /** The link to `peer`, made if there is none; to be settled after an input. */
  touch(peer: PeerName, now: Millis): Link {
    let link = this.#byPeer.get(peer);
    if (link === undefined) {
      link = new Link(peer, this.#environment, this.#localMacs, this.#kept?.has(peer) ?? true, now);
      this.#byPeer.set(peer, link);
    }
    this.#touched.add(link);
    return link;
  }

  /** The link got an input: its effects and its deadline are to be looked at. */
  onInput(link: Link): void {
    this.#touched.add(link);
  }

  /** Links to other peers than these end when nothing uses them. */
  setKept(peers: readonly PeerName[], now: Millis): void {
    this.#kept = new Set(peers);
    for (const link of this.#inOrder()) {
      link.setKept(this.#kept.has(link.peer), now);
      this.#touched.add(link);
    }
  }

  onLocalMacs(macs: Uint8Array, now: Millis): void {
    this.#localMacs = macs;
    for (const link of this.#inOrder()) {
      link.onLocalMacs(macs, now);
      this.#touched.add(link);
    }
  }

  /** What the ControlNode says to one link. A link is made for a session only. */
  onControl(message: LinkOrder, now: Millis): void {
    const link = message.type === 'session' ? this.touch(message.peer, now) : this.#byPeer.get(message.peer);
    if (link === undefined) {
      if (message.type === 'circuit') this.#refuseCircuit(message);
      return;
    }
    obey(link, message, now);
    if (message.type === 'circuit') this.#withCircuits.add(link);
    this.#touched.add(link);
  }

  onRoamed(session: number, from: Endpoint, now: Millis): void {
    const link = this.#bySession[session];
    if (link === undefined) return;
    link.onRoamed(session, from, now);
    this.#touched.add(link);
  }

  /** The addresses of this host changed. */
  onMoved(now: Millis): void {
    for (const link of this.#inOrder()) {
      link.onMoved(now);
      this.#touched.add(link);
    }
  }

  onTooBig(path: number, size: number, now: Millis): void {
    const link = this.#byPath[path];
    if (link === undefined) return;
    link.onTooBig(path, size, now);
    this.#touched.add(link);
  }

  nextTimeout(): Millis | undefined {
    return this.#deadlines.earliest();
  }

  onTimeout(now: Millis): void {
    for (const link of this.#deadlines.due(now)) {
      link.onTimeout(now);
      this.#touched.add(link);
    }
  }

  /** Carries out what the inputs since the last call led to, until nothing follows any more. */
  settle(now: Millis): void {
    while (this.#touched.size > 0) {
      const touched = [...this.#touched];
      this.#touched.clear();
      for (const link of touched) this.#settleLink(link, now);
    }
    this.#engine.flush();
  }

  reports(): LinkReport[] {
    return this.#inOrder().map((link) => link.report());
  }

  #settleLink(link: Link, now: Millis): void {
    for (const effect of link.drain()) this.#perform(link, effect, now);
    if (this.#withCircuits.has(link) && !link.hasCircuit) this.#withCircuits.delete(link);
    if (link.state === 'idle' || link.state === 'down') this.#owner.onHopeless(link.peer);
    this.#mirror.onRoute(link.peer, link.laneRoute, link.refusesPlain);
    const next = link.nextTimeout();
    this.#deadlines.set(link, next);
    if (link.state === 'idle' && next === undefined) this.#byPeer.delete(link.peer);
  }

  #perform(link: Link, effect: LinkEffect, now: Millis): void {
    switch (effect.type) {
      case 'configure':
        this.#configure(link, effect.change);
        break;
      case 'released':
        // Not before: effects wait link by link, and another one that took it would be undone by the removal.
        this.#environment[effect.of].release(effect.number);
        break;
      case 'lanes':
      case 'lane-key':
      case 'lane-phase':
        this.#mirrorLanes(link, effect);
        break;
      case 'send':
        link.onMessageSent(this.#engine.send(effect));
        break;
      case 'control':
        this.#owner.tell(effect.message);
        break;
      case 'sendable':
        this.#engine.flush();
        this.#owner.onSendable(link.peer, now);
        break;
      case 'direct-path':
        this.#onDirectPath(link.peer, now);
        break;
      case 'peer-macs':
        this.#owner.onPeerMacs(link.peer, effect.macs, now);
        break;
    }
  }

  #configure(link: Link, change: EngineChange): void {
    if (change.type === 'session') this.#bySession[change.session] = link;
    if (change.type === 'session-removed') this.#bySession[change.session] = undefined;
    if (change.type === 'path') this.#byPath[change.path] = link;
    if (change.type === 'path-removed') this.#byPath[change.path] = undefined;
    this.#engine.change(change);
    this.#mirror.onChange(change);
  }

  #mirrorLanes(link: Link, effect: Extract<LinkEffect, { type: 'lanes' | 'lane-key' | 'lane-phase' }>): void {
    switch (effect.type) {
      case 'lanes':
        return this.#mirror.onSession(link.peer, effect.lanes);
      case 'lane-key':
        return this.#mirror.onKey(effect.lane, effect.change);
      case 'lane-phase':
        return this.#mirror.onPhase(effect.session, effect.phase);
    }
  }

  /** Circuits and labels through a neighbour go where its direct path goes. */
  #onDirectPath(peer: PeerName, now: Millis): void {
    for (const change of this.labels.onDirectPath(peer)) this.#engine.change(change);
    for (const link of [...this.#withCircuits].sort((a, b) => compareNames(a.peer, b.peer))) {
      if (link.peer === peer) continue;
      link.onFirstHopMoved(peer, now);
      this.#touched.add(link);
    }
  }

  #refuseCircuit({ peer, circuit, alias }: Extract<LinkOrder, { type: 'circuit' }>): void {
    this.#owner.tell({ type: 'circuit-ended', peer, circuit });
    this.#owner.tell({ type: 'indexes-released', indexes: [alias] });
  }

  #inOrder(): Link[] {
    return [...this.#byPeer.values()].sort((a, b) => compareNames(a.peer, b.peer));
  }
}

function obey(link: Link, message: LinkOrder, now: Millis): void {
  switch (message.type) {
    case 'session':
      link.onSession(message.session, now);
      break;
    case 'session-closed':
      link.onSessionClosed(message.notify, now);
      break;
    case 'rekey':
      link.onRekeyRequest(now);
      break;
    case 'rekey-message':
      link.onRekeyMessage(message, now);
      break;
    case 'rekey-keys':
      link.onRekeyKeys(message, now);
      break;
    case 'circuit':
      link.onCircuit(message, now);
      break;
    case 'circuit-failed':
      link.onCircuitFailed();
      break;
    case 'circuit-closed':
      link.onCircuitClosed(message.circuit, now);
      break;
  }
}
