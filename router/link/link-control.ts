import { Counters } from '../../core/counters.ts';
import type { LogLevel } from '../../core/log.ts';
import { compareNames } from '../../core/peer-name.ts';
import type { PeerName } from '../../core/peer-name.ts';
import type { RoutesSnapshot } from '../../core/routes.ts';
import { MINUTE, SECOND, earlier } from '../../core/time.ts';
import type { Machine, Millis } from '../../core/time.ts';
import type { ToControl, ToData } from '../node-messages.ts';
import { Circuits } from './circuit.ts';
import type { CircuitDrop, CircuitEffect } from './circuit.ts';
import { IndexAllocator } from './index-allocator.ts';
import { meshOf } from './mesh-choice.ts';
import { Offers } from './offer.ts';
import type { OfferDrop, OfferEffect, OfferState } from './offer.ts';
import type { LocalEnd, RemoteEnd } from './offer-handshake.ts';
import type { Pins } from './pins.ts';
import { RekeyHandshakes } from './rekey-handshake.ts';
import type { RekeyDrop } from './rekey-handshake.ts';

/** A session does not outlive its peer's membership by more than this... */
const SESSION_WITHOUT_MEMBERSHIP: Millis = 10 * MINUTE;
/** ... or this, if the peer may know nothing but a password that was dropped: with the 35 s of its connections, under a minute. */
const SESSION_OF_DROPPED_PASSWORD: Millis = 15 * SECOND;
/** A rotation takes the operator so long: until all hosts have dropped the password, the peer comes in through others. */
const ROTATION: Millis = 10 * MINUTE;

/** What is sent to a peer under this name over the control plane. */
type LinkMessageKind = 'offer' | 'answer' | 'circuit';

export type LinkControlEffect =
  | {
      readonly type: 'unicast';
      readonly to: PeerName;
      readonly kind: LinkMessageKind;
      readonly bytes: Uint8Array;
      /** How often the like of it was sent in vain. */
      readonly attempt: number;
    }
  | { readonly type: 'to-data'; readonly message: ToData }
  | {
      readonly type: 'link-changed';
      readonly peer: PeerName;
      readonly up: boolean;
      readonly direct: boolean;
    }
  | {
      readonly type: 'log';
      readonly level: LogLevel;
      readonly message: string;
      readonly fields: Readonly<Record<string, string | number>>;
    };

export type LinkControlDrop = OfferDrop | CircuitDrop | RekeyDrop | 'link-kind-unknown' | 'circuit-indirect';

/** A unicast as gossip hands it over. */
export interface LinkUnicast {
  readonly from: PeerName;
  readonly via: PeerName | undefined;
  readonly kind: string;
  readonly bytes: Uint8Array;
}

export interface LinkControlOptions {
  readonly local: LocalEnd;
  readonly pins: Pins;
  /** In a mesh that is not sparse every pair keeps a link. */
  readonly isSparse: () => boolean;
}

/** All that the control plane does for links: sessions are offered, rekeyed and ended, circuits opened and relayed. */
export class LinkControl implements Machine<LinkControlEffect> {
  readonly #indexes: IndexAllocator;
  readonly #offers: Offers;
  readonly #rekeys: RekeyHandshakes;
  readonly #circuits: Circuits;
  readonly #isSparse: () => boolean;
  readonly #counters = new Counters<LinkControlDrop>();
  /** Peers with a session that the graph does not reach, and since when, in order of that. */
  readonly #absent = new Map<PeerName, Millis>();
  /** Peers with a session. */
  readonly #sessions = new Set<PeerName>();
  #reachable: ReadonlySet<PeerName> = new Set();
  /** The peers that the data plane was told to keep a link to. */
  #kept: ReadonlySet<PeerName> | undefined;
  #passwordDroppedAt = Number.NEGATIVE_INFINITY;
  #effects: LinkControlEffect[] = [];

  constructor(options: LinkControlOptions) {
    const { local, pins } = options;
    const { random, name: self } = local;
    const counters = this.#counters;
    this.#indexes = new IndexAllocator(random);
    this.#isSparse = options.isSparse;
    this.#offers = new Offers({ local, pins, indexes: this.#indexes, counters });
    this.#rekeys = new RekeyHandshakes({ ...local, counters });
    this.#circuits = new Circuits({
      self,
      random,
      counters,
      indexes: this.#indexes,
      sessions: this.#rekeys,
    });
  }

  /** Problems with what peers sent, by reason. */
  get drops(): Record<string, number> {
    return this.#counters.toObject();
  }

  /** Circuits that begin, end or pass here. */
  get circuits(): number {
    return this.#circuits.size;
  }

  /** In order of name: peers that are being offered a session, and those that cannot have one. */
  offerStates(): OfferState[] {
    return this.#offers.states();
  }

  /** The entry of a peer that runs a data plane, new or changed. */
  onPeer(remote: RemoteEnd, now: Millis): void {
    this.#offers.onPeer(remote, now);
    this.#collect(now);
  }

  onPeerGone(peer: PeerName, now: Millis): void {
    this.#offers.onPeerGone(peer, now);
    this.#collect(now);
  }

  onRoutes(routes: RoutesSnapshot, now: Millis): void {
    this.#circuits.onRoutes(routes, now);
    const mesh = meshOf(routes, this.#isSparse());
    this.#offers.setMesh(mesh, now);
    this.#reachable = new Set(routes.names);
    this.#noteAbsent(now);
    this.#effects.push({ type: 'to-data', message: { type: 'routes', routes } });
    this.#tellKept(mesh);
    this.#collect(now);
  }

  /** Who leaves the graph before it or not long after may know no other password. */
  onPasswordDropped(now: Millis): void {
    this.#passwordDroppedAt = now;
  }

  /** A message that was routed to this node; `from` is what its envelope says, `via` the neighbour that it came from. */
  onUnicast({ from, via, kind, bytes }: LinkUnicast, now: Millis): void {
    if (kind === 'offer') this.#offers.onOffer(from, bytes, now);
    else if (kind === 'answer') this.#offers.onAnswer(from, bytes, now);
    else if (kind !== 'circuit') this.#counters.add('link-kind-unknown');
    // Each relay tells its neighbours: whoever else uses their names has its own ends in view.
    else if (from !== via) this.#counters.add('circuit-indirect');
    else this.#circuits.onMessage(from, bytes, now);
    this.#collect(now);
  }

  /** What the data plane says, as far as it concerns links. */
  onData(message: LinkNews, now: Millis): void {
    switch (message.type) {
      case 'need-session':
        this.#offers.onNeed(message.peer, now);
        break;
      case 'session-live':
        this.#offers.onSessionLive(message.peer);
        this.#rekeys.onSessionLive(message.peer, message.id);
        break;
      case 'indexes-released':
        for (const index of message.indexes) this.#indexes.release(index, now);
        break;
      case 'need-circuit':
        this.#circuits.onNeed(message.peer, message.session, message.avoid, now);
        break;
      case 'circuit-ended':
        this.#circuits.onCircuitEnded(message.peer, message.circuit, now);
        break;
      case 'label-idle':
        this.#circuits.onLabelIdle(message.index, now);
        break;
      case 'rekey-due':
        this.#rekeys.onDue(message.peer, message.session, message.phase);
        break;
      case 'rekey-received':
        this.#onRekeyReceived(message);
        break;
      case 'link-unused':
        this.#offers.onUnused(message.peer);
        break;
      case 'link-changed':
        this.#onLinkChanged(message, now);
        break;
    }
    this.#collect(now);
  }

  /** Ends all sessions; the peers are told, and what handshakes under way have of secrets is wiped. */
  stop(now: Millis): void {
    for (const peer of [...this.#sessions].sort(compareNames)) {
      this.#effects.push({ type: 'to-data', message: { type: 'session-closed', peer, notify: true } });
      this.#rekeys.forget(peer);
    }
    this.#sessions.clear();
    this.#offers.stop(now);
  }

  nextTimeout(): Millis | undefined {
    const next = earlier(this.#offers.nextTimeout(), this.#circuits.nextTimeout());
    // Who was missed first is closed first, whatever password was dropped meanwhile.
    for (const since of this.#absent.values()) return earlier(next, this.#closesAt(since));
    return next;
  }

  onTimeout(now: Millis): void {
    this.#offers.onTimeout(now);
    this.#circuits.onTimeout(now);
    for (const [peer, since] of this.#absent) {
      if (this.#closesAt(since) > now) break;
      this.#closeSession(peer, now);
    }
    this.#collect(now);
  }

  drain(): LinkControlEffect[] {
    const effects = this.#effects;
    if (effects.length > 0) this.#effects = [];
    return effects;
  }

  #tellKept(mesh: ReadonlySet<PeerName>): void {
    const before = this.#kept;
    this.#kept = mesh;
    if (before?.size === mesh.size && [...mesh].every((peer) => before.has(peer))) return;
    this.#effects.push({
      type: 'to-data',
      message: { type: 'links-kept', peers: [...mesh].sort(compareNames) },
    });
  }

  #onLinkChanged(message: Extract<ToControl, { type: 'link-changed' }>, now: Millis): void {
    const { peer, state, direct } = message;
    this.#effects.push({ type: 'link-changed', peer, up: state === 'up', direct });
    // A link that is down may still hold its session, and with it its circuits.
    if (state === 'idle') this.#circuits.onSessionEnded(peer, now);
    if (state === 'idle' || state === 'down') this.#offers.onSessionEnded(peer, now);
  }

  #onRekeyReceived(message: Extract<ToControl, { type: 'rekey-received' }>): void {
    const { peer, session, phase, step, bytes } = message;
    this.#rekeys.onReceived(peer, session, phase, step, bytes);
  }

  /** When the session with a peer ends that is out of the graph since then. */
  #closesAt(since: Millis): Millis {
    const mayBeOut = since < this.#passwordDroppedAt + ROTATION;
    return since + (mayBeOut ? SESSION_OF_DROPPED_PASSWORD : SESSION_WITHOUT_MEMBERSHIP);
  }

  #noteAbsent(now: Millis): void {
    for (const peer of this.#sessions) {
      if (this.#reachable.has(peer)) this.#absent.delete(peer);
      else if (!this.#absent.has(peer)) this.#absent.set(peer, now);
    }
  }

  #closeSession(peer: PeerName, now: Millis): void {
    this.#absent.delete(peer);
    this.#sessions.delete(peer);
    this.#rekeys.forget(peer);
    this.#circuits.onSessionEnded(peer, now);
    this.#offers.onSessionEnded(peer, now);
    this.#effects.push({ type: 'to-data', message: { type: 'session-closed', peer, notify: true } });
  }

  /** Takes over what the parts want done. */
  #collect(now: Millis): void {
    for (const effect of this.#offers.drain()) this.#onOfferEffect(effect, now);
    for (const message of this.#rekeys.drain()) this.#effects.push({ type: 'to-data', message });
    for (const effect of this.#circuits.drain()) this.#onCircuitEffect(effect);
  }

  #onOfferEffect(effect: OfferEffect, now: Millis): void {
    switch (effect.type) {
      case 'send':
        this.#effects.push({ ...effect, type: 'unicast' });
        break;
      case 'refused': {
        const fields = { peer: effect.peer, error: effect.error };
        this.#effects.push({ type: 'log', level: 'warn', message: 'no session with a peer', fields });
        break;
      }
      case 'session':
        this.#onSession(effect, now);
        break;
    }
  }

  #onSession({ peer, id, made }: Extract<OfferEffect, { type: 'session' }>, now: Millis): void {
    const { material, handshakeHash, remoteStatic } = made;
    const { initiator, lanes } = material;
    this.#sessions.add(peer);
    if (!this.#reachable.has(peer) && !this.#absent.has(peer)) this.#absent.set(peer, now);
    this.#rekeys.onSession(peer, id, { initiator, lanes, remoteStatic, handshakeHash });
    const message: ToData = { type: 'session', peer, session: { ...material, id } };
    this.#effects.push({ type: 'to-data', message });
  }

  #onCircuitEffect(effect: CircuitEffect): void {
    if (effect.type === 'to-data') this.#effects.push(effect);
    else
      this.#effects.push({
        type: 'unicast',
        to: effect.to,
        kind: 'circuit',
        bytes: effect.bytes,
        attempt: 0,
      });
  }
}

/** What the data plane reports about links; its reports, logs and failure are its node's business. */
export type LinkNews = Exclude<ToControl, { type: 'report' | 'log' | 'failed' }>;
