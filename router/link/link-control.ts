import { Counters } from '../../core/counters.ts';
import type { LogLevel } from '../../core/log.ts';
import { compareNames } from '../../core/peer-name.ts';
import type { PeerName } from '../../core/peer-name.ts';
import type { RoutesSnapshot } from '../../core/routes.ts';
import { MINUTE, earlier } from '../../core/time.ts';
import type { Machine, Millis } from '../../core/time.ts';
import type { ToControl, ToData } from '../node-messages.ts';
import { Circuits } from './circuit.ts';
import type { CircuitDrop, CircuitEffect } from './circuit.ts';
import { IndexAllocator } from './index-allocator.ts';
import { MeshChoice } from './mesh-choice.ts';
import type { SparseRule } from './mesh-choice.ts';
import { Offers } from './offer.ts';
import type { OfferDrop, OfferEffect, OfferState } from './offer.ts';
import type { LocalEnd, RemoteEnd } from './offer-handshake.ts';
import type { Pins } from './pins.ts';
import { RekeyHandshakes } from './rekey-handshake.ts';
import type { RekeyDrop } from './rekey-handshake.ts';

/** A session does not outlive its peer's membership by more than this. */
const SESSION_WITHOUT_MEMBERSHIP: Millis = 10 * MINUTE;

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

export type LinkControlDrop = OfferDrop | CircuitDrop | RekeyDrop | 'link-kind-unknown';

export interface LinkControlOptions {
  readonly local: LocalEnd;
  readonly pins: Pins;
  /** In a mesh that is not sparse every pair keeps a link. */
  readonly isSparse: SparseRule;
}

/** All that the control plane does for links: sessions are offered, rekeyed and ended, circuits opened and relayed. */
export class LinkControl implements Machine<LinkControlEffect> {
  readonly #indexes: IndexAllocator;
  readonly #offers: Offers;
  readonly #rekeys: RekeyHandshakes;
  readonly #circuits: Circuits;
  readonly #mesh: MeshChoice;
  readonly #counters = new Counters<LinkControlDrop>();
  /** Peers with a session that the graph does not reach, and since when, in that order. */
  readonly #absent = new Map<PeerName, Millis>();
  readonly #sessions = new Set<PeerName>();
  #effects: LinkControlEffect[] = [];

  constructor(options: LinkControlOptions) {
    const { local, pins } = options;
    const { random, name: self } = local;
    const counters = this.#counters;
    this.#indexes = new IndexAllocator(random);
    this.#mesh = new MeshChoice(options.isSparse);
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
    this.#collect();
  }

  onPeerGone(peer: PeerName, now: Millis): void {
    this.#offers.onPeerGone(peer, now);
    this.#collect();
  }

  onRoutes(routes: RoutesSnapshot, now: Millis): void {
    this.#circuits.onRoutes(routes, now);
    this.#offers.setMesh(this.#mesh.onRoutes(routes), now);
    this.#noteAbsent(new Set(routes.names), now);
    this.#effects.push({ type: 'to-data', message: { type: 'routes', routes } });
    this.#collect();
  }

  /** A message that was routed to this node; `from` is what its envelope says. */
  onUnicast(from: PeerName, kind: string, bytes: Uint8Array, now: Millis): void {
    if (kind === 'offer') this.#offers.onOffer(from, bytes, now);
    else if (kind === 'answer') this.#offers.onAnswer(from, bytes, now);
    else if (kind === 'circuit') this.#circuits.onMessage(from, bytes, now);
    else this.#counters.add('link-kind-unknown');
    this.#collect();
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
      case 'link-changed':
        this.#onLinkChanged(message, now);
        break;
    }
    this.#collect();
  }

  /** Ends all sessions; the peers are told. */
  stop(): void {
    for (const peer of [...this.#sessions].sort(compareNames)) {
      this.#effects.push({ type: 'to-data', message: { type: 'session-closed', peer, notify: true } });
    }
    this.#sessions.clear();
  }

  nextTimeout(): Millis | undefined {
    const next = earlier(this.#offers.nextTimeout(), this.#circuits.nextTimeout());
    for (const since of this.#absent.values()) return earlier(next, since + SESSION_WITHOUT_MEMBERSHIP);
    return next;
  }

  onTimeout(now: Millis): void {
    this.#offers.onTimeout(now);
    this.#circuits.onTimeout(now);
    for (const [peer, since] of this.#absent) {
      if (since + SESSION_WITHOUT_MEMBERSHIP <= now) this.#closeSession(peer, now);
    }
    this.#collect();
  }

  drain(): LinkControlEffect[] {
    const effects = this.#effects;
    if (effects.length > 0) this.#effects = [];
    return effects;
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

  #noteAbsent(reachable: ReadonlySet<PeerName>, now: Millis): void {
    for (const peer of this.#sessions) {
      if (reachable.has(peer)) this.#absent.delete(peer);
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
  #collect(): void {
    for (const effect of this.#offers.drain()) this.#onOfferEffect(effect);
    for (const message of this.#rekeys.drain()) this.#effects.push({ type: 'to-data', message });
    for (const effect of this.#circuits.drain()) this.#onCircuitEffect(effect);
  }

  #onOfferEffect(effect: OfferEffect): void {
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
        this.#onSession(effect);
        break;
    }
  }

  #onSession({ peer, id, made }: Extract<OfferEffect, { type: 'session' }>): void {
    const { material, handshakeHash, remoteStatic } = made;
    const { initiator } = material;
    this.#sessions.add(peer);
    this.#rekeys.onSession(peer, id, { initiator, remoteStatic, handshakeHash });
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
