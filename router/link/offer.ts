import { equalBytes } from '../../core/bytes.ts';
import type { Counters } from '../../core/counters.ts';
import { compareNames } from '../../core/peer-name.ts';
import type { PeerName } from '../../core/peer-name.ts';
import { MINUTE, SECOND, earlier } from '../../core/time.ts';
import type { Machine, Millis } from '../../core/time.ts';
import { TokenBucket } from '../../core/token-bucket.ts';
import { backOffAfter } from './back-off.ts';
import { Deadlines } from './deadlines.ts';
import type { IndexAllocator } from './index-allocator.ts';
import { encodeEnvelope, parseEnvelope } from './offer-envelope.ts';
import type { OfferEnvelope } from './offer-envelope.ts';
import { OutgoingOffer, openOffer } from './offer-handshake.ts';
import type { HandshakeFault, LocalEnd, MadeSession, OpenedOffer, RemoteEnd } from './offer-handshake.ts';
import { HeldOffers } from './held-offers.ts';
import type { Pins } from './pins.ts';

/** The lower name's own offer has precedence for this long. */
const GLARE: Millis = 5 * SECOND;
/** What the higher name leaves the lower one to begin, where both want a session at the same moment. */
const COURTESY: Millis = 2 * SECOND;
/** A request of the data plane that comes so soon after a session was made did not know of it. */
const CROSSING: Millis = 1 * SECOND;
/** To one run of a peer: each costs cryptography and probes, and who is honest waits longer between most offers. */
const ANSWERS_PER_SECOND = 1;
const ANSWER_BURST = 4;
/** Peers that are gone and whose offers are still remembered; the oldest are forgotten. */
const REMEMBERED_PEERS = 1_024;
/** How long one request of the data plane keeps offers going; it repeats it while it lasts. */
const NEED: Millis = MINUTE;

export type OfferEffect =
  | {
      readonly type: 'send';
      readonly to: PeerName;
      readonly kind: 'offer' | 'answer';
      readonly bytes: Uint8Array;
      /** Offers, or answers, to this peer before it since a session came alive. */
      readonly attempt: number;
    }
  | { readonly type: 'session'; readonly peer: PeerName; readonly id: number; readonly made: MadeSession }
  | { readonly type: 'refused'; readonly peer: PeerName; readonly error: string };

export type OfferDrop =
  | 'offer-malformed'
  | 'offer-undecipherable'
  | 'offer-wrong-key'
  | 'offer-password-mismatch'
  | 'offer-replayed'
  | 'offer-glare'
  | 'offer-too-soon'
  | 'offer-key-changed'
  | 'offer-early'
  | 'answer-malformed'
  | 'answer-undecipherable'
  | 'answer-password-mismatch'
  | 'answer-unexpected';

export interface OfferOptions {
  readonly local: LocalEnd;
  readonly pins: Pins;
  readonly indexes: IndexAllocator;
  readonly counters: Pick<Counters<OfferDrop>, 'add'>;
}

interface PeerState {
  remote: RemoteEnd;
  /** Part of the mesh that this node keeps links to, whether or not there is traffic. */
  meshed: boolean;
  /** The peer gave the last link up, as nothing used it: it sees no part of the mesh in it, and is not pressed. */
  unused: boolean;
  neededUntil: Millis;
  /** The peer's run that the newest session was made with. */
  sessionUid: Uint8Array | undefined;
  /** When that was. */
  madeAt: Millis;
  outgoing: OutgoingOffer | undefined;
  sentAt: Millis;
  /** Offers since a session of this peer last came alive. */
  attempts: number;
  /** Answers since then. */
  answers: number;
  /** The next offer leaves no earlier. */
  notBefore: Millis;
  /** The highest offer number that was answered, of this run of the peer: an offer is answered once. */
  answered: number;
  readonly answerable: TokenBucket;
  error: string | undefined;
}

/** What is to be said of a peer without a link, or of one that gets no new session. */
export interface OfferState {
  readonly peer: PeerName;
  readonly offering: boolean;
  readonly error: string | undefined;
}

/**
 * Set-up of sessions: Noise IK between pinned static keys, carried by the control plane. Decides when to offer, whose
 * offer wins when two cross, and what is answered. A completed handshake leaves as `session`; its keys are then forgotten.
 */
export class Offers implements Machine<OfferEffect> {
  readonly #options: OfferOptions;
  readonly #self: PeerName;
  readonly #peers = new Map<PeerName, PeerState>();
  readonly #held = new HeldOffers();
  /** Runs of peers that are gone, as they may come back: what was answered then is not answered again. */
  readonly #gone = new Map<PeerName, { readonly uid: Uint8Array; readonly answered: number }>();
  /** When something is to be done for a peer: see {@link isBusy}. */
  readonly #deadlines = new Deadlines<PeerName>();
  /** The peers that this node keeps a link to, traffic or not. */
  #mesh: ReadonlySet<PeerName> = new Set();
  #lastOffer = 0;
  #lastSession = 0;
  #effects: OfferEffect[] = [];

  constructor(options: OfferOptions) {
    this.#options = options;
    this.#self = options.local.name;
  }

  /** A reachable peer's entry, new or changed. A later run of the peer is offered a session at once. */
  onPeer(remote: RemoteEnd, now: Millis): void {
    const state = this.#peers.get(remote.name);
    if (state !== undefined && equalBytes(state.remote.uid, remote.uid)) {
      state.remote = remote;
      this.#checkPin(state, now);
      return;
    }
    if (state === undefined) this.#onNewPeer(remote, now);
    else this.#onRestarted(state, remote, now);
    this.#checkPin(this.#peers.get(remote.name)!, now);
    this.#joinMesh(this.#peers.get(remote.name)!, now);
    const held = this.#held.take(remote.name, now);
    if (held !== undefined) this.#onEnvelope(held, now);
    this.onTimeout(now);
  }

  onPeerGone(peer: PeerName, now: Millis): void {
    const state = this.#peers.get(peer);
    if (state === undefined) return;
    this.#withdraw(state, now);
    this.#peers.delete(peer);
    this.#deadlines.set(peer, undefined);
    this.#options.pins.onGone(peer, now);
    if (state.answered === 0) return;
    this.#gone.set(peer, { uid: state.remote.uid, answered: state.answered });
    if (this.#gone.size > REMEMBERED_PEERS) this.#gone.delete(this.#gone.keys().next().value!);
  }

  /** The peers that this node keeps a link to, traffic or not. */
  setMesh(mesh: ReadonlySet<PeerName>, now: Millis): void {
    this.#mesh = mesh;
    for (const state of this.#peers.values()) this.#joinMesh(state, now);
    this.onTimeout(now);
  }

  /** The data plane has frames for the peer, or lost its path to it; it repeats that while it lasts. */
  onNeed(peer: PeerName, now: Millis): void {
    const state = this.#peers.get(peer);
    if (state === undefined || now < state.madeAt + CROSSING) return;
    state.unused = false;
    state.neededUntil = now + NEED;
    if (state.attempts === 0) state.notBefore = now;
    this.#schedule(state);
    this.onTimeout(now);
  }

  /** The peer gave its link to us up; that its session ended is told apart. */
  onUnused(peer: PeerName): void {
    const state = this.#peers.get(peer);
    if (state === undefined) return;
    state.unused = true;
    this.#schedule(state);
  }

  onSessionLive(peer: PeerName): void {
    const state = this.#peers.get(peer);
    if (state !== undefined) state.attempts = state.answers = 0;
  }

  /** The data plane has no session with the peer any more. */
  onSessionEnded(peer: PeerName, now: Millis): void {
    const state = this.#peers.get(peer);
    if (state?.sessionUid === undefined) return;
    state.sessionUid = undefined;
    this.#schedule(state);
    this.onTimeout(now);
  }

  /** `from` is what the control plane says of the sender: a hint, like the envelope itself. */
  onOffer(from: PeerName, bytes: Uint8Array, now: Millis): void {
    const envelope = this.#parse(from, bytes);
    if (envelope === undefined) this.#options.counters.add('offer-malformed');
    else this.#onEnvelope(envelope, now);
  }

  onAnswer(from: PeerName, bytes: Uint8Array, now: Millis): void {
    const envelope = this.#parse(from, bytes);
    const state = this.#peers.get(from);
    if (envelope === undefined) {
      this.#options.counters.add('answer-malformed');
    } else if (state?.outgoing?.offer !== envelope.offer) {
      this.#options.counters.add('answer-unexpected');
    } else {
      const made = state.outgoing.readAnswer(envelope.bytes);
      if (typeof made === 'string') this.#onAnswerFault(state, made);
      else this.#finish(state, made, now);
    }
  }

  /** In order of name: peers that are being offered a session, and those that cannot have one. */
  states(): OfferState[] {
    return [...this.#peers.values()]
      .filter((state) => state.outgoing !== undefined || state.error !== undefined)
      .map(({ remote, outgoing, error }) => ({ peer: remote.name, offering: outgoing !== undefined, error }))
      .sort((a, b) => compareNames(a.peer, b.peer));
  }

  nextTimeout(): Millis | undefined {
    return earlier(this.#held.nextTimeout(), this.#deadlines.earliest());
  }

  onTimeout(now: Millis): void {
    const expired = this.#held.expire(now);
    if (expired > 0) this.#options.counters.add('offer-early', expired);
    for (const peer of this.#deadlines.due(now).sort(compareNames)) {
      const state = this.#peers.get(peer)!;
      if (isWanted(state, now)) this.#offer(state, now);
      else this.#giveUp(state, now);
      this.#schedule(state);
    }
  }

  /** Gives up what is under way, and wipes its secrets. */
  stop(now: Millis): void {
    for (const state of this.#peers.values()) this.#withdraw(state, now);
  }

  drain(): OfferEffect[] {
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  /** To be called after every change of what {@link isBusy} looks at. */
  #schedule(state: PeerState): void {
    this.#deadlines.set(state.remote.name, isBusy(state) ? state.notBefore : undefined);
  }

  #joinMesh(state: PeerState, now: Millis): void {
    const { name } = state.remote;
    const meshed = this.#mesh.has(name);
    if (meshed && !state.meshed) {
      // Offers made in its absence were lost; what they made wait is void.
      state.unused = false;
      state.attempts = 0;
      state.notBefore = now + this.#courtesy(name);
    }
    state.meshed = meshed;
    this.#schedule(state);
  }

  #parse(from: PeerName, bytes: Uint8Array): OfferEnvelope | undefined {
    const envelope = parseEnvelope(bytes);
    const fits = envelope?.from === from && envelope.to === this.#self && from !== this.#self;
    return fits ? envelope : undefined;
  }

  #onNewPeer(remote: RemoteEnd, now: Millis): void {
    const before = this.#gone.get(remote.name);
    this.#gone.delete(remote.name);
    const answered = before !== undefined && equalBytes(before.uid, remote.uid) ? before.answered : 0;
    this.#peers.set(remote.name, { ...newState(remote, now), answered });
  }

  #onRestarted(state: PeerState, remote: RemoteEnd, now: Millis): void {
    const hadSession = state.sessionUid !== undefined;
    this.#withdraw(state, now);
    const { meshed, neededUntil } = state;
    const fresh = { ...newState(remote, now), meshed, neededUntil };
    if (hadSession) fresh.neededUntil = now + NEED;
    this.#peers.set(remote.name, fresh);
  }

  /** Pins the key at first sight. False if the peer cannot have a session. */
  #checkPin(state: PeerState, now: Millis): boolean {
    const { name, staticKey } = state.remote;
    const verdict = this.#options.pins.check(name, staticKey, now);
    const errors = { pinned: undefined, changed: `key of ${name} changed`, full: 'too many pinned keys' };
    const error = errors[verdict];
    if (error !== undefined && error !== state.error)
      this.#effects.push({ type: 'refused', peer: name, error });
    state.error = error;
    return error === undefined;
  }

  #offer(state: PeerState, now: Millis): void {
    this.#withdraw(state, now);
    state.attempts++;
    state.notBefore = now + backOffAfter(state.attempts);
    if (!this.#checkPin(state, now)) return;
    const index = this.#options.indexes.allocate(now);
    const outgoing = new OutgoingOffer(this.#options.local, state.remote, ++this.#lastOffer, index);
    state.outgoing = outgoing;
    state.sentAt = now;
    if (outgoing.message === undefined) this.#withdraw(state, now);
    else this.#send('offer', state, outgoing.offer, outgoing.message, state.attempts - 1);
  }

  #onEnvelope(envelope: OfferEnvelope, now: Millis): void {
    const state = this.#peers.get(envelope.from);
    if (state === undefined) {
      this.#hold(envelope, now);
      return;
    }
    const refusal = this.#refusalOf(state, envelope, now);
    if (refusal !== undefined) {
      this.#options.counters.add(refusal);
      return;
    }
    const opened = openOffer(this.#options.local, state.remote, envelope.offer, envelope.bytes);
    if (typeof opened === 'string') this.#onOfferFault(state, opened, envelope, now);
    // Whoever uses the peer's name does not get so far.
    else if (!state.answerable.take(now)) this.#options.counters.add('offer-too-soon');
    else this.#answer(state, opened, envelope.offer, now);
  }

  /** Reasons to leave an offer alone, before any cryptography. */
  #refusalOf(state: PeerState, envelope: OfferEnvelope, now: Millis): OfferDrop | undefined {
    if (envelope.offer <= state.answered) return 'offer-replayed';
    if (!this.#checkPin(state, now)) return 'offer-key-changed';
    const precedence = this.#self < envelope.from && state.outgoing !== undefined;
    return precedence && now - state.sentAt < GLARE ? 'offer-glare' : undefined;
  }

  /** The sender may have started again, and its entry be on the way. */
  #onOfferFault(state: PeerState, fault: HandshakeFault, envelope: OfferEnvelope, now: Millis): void {
    this.#options.counters.add(`offer-${fault}`);
    if (fault === 'undecipherable') this.#hold(envelope, now);
    if (fault === 'password-mismatch') this.#onPasswordMismatch(state);
  }

  #onAnswerFault(state: PeerState, fault: HandshakeFault): void {
    this.#options.counters.add(fault === 'wrong-key' ? 'answer-undecipherable' : `answer-${fault}`);
    if (fault === 'password-mismatch') this.#onPasswordMismatch(state);
  }

  #onPasswordMismatch(state: PeerState): void {
    const { name } = state.remote;
    const encrypted = this.#options.local.encrypted;
    state.error = encrypted
      ? `${name} has no password, one is set here`
      : `${name} requires a password, none is set here`;
    this.#effects.push({ type: 'refused', peer: name, error: state.error });
  }

  #answer(state: PeerState, opened: OpenedOffer, offer: number, now: Millis): void {
    const index = this.#options.indexes.allocate(now);
    const answer = opened.answer(index);
    if (answer === undefined) {
      this.#options.indexes.release(index, now);
      this.#options.counters.add('offer-malformed');
      return;
    }
    this.#withdraw(state, now);
    state.answered = offer;
    this.#send('answer', state, offer, answer.message, state.answers++);
    this.#finish(state, answer.session, now);
  }

  /** The index goes over to the data plane with the session. */
  #finish(state: PeerState, made: MadeSession, now: Millis): void {
    state.outgoing = undefined;
    state.sessionUid = state.remote.uid;
    state.madeAt = now;
    state.unused = false;
    state.neededUntil = now;
    state.attempts = Math.max(state.attempts, 1);
    state.notBefore = Math.max(state.notBefore, now + backOffAfter(1));
    this.#schedule(state);
    this.#effects.push({ type: 'session', peer: state.remote.name, id: ++this.#lastSession, made });
  }

  #hold(envelope: OfferEnvelope, now: Millis): void {
    if (!this.#held.hold(envelope, now)) this.#options.counters.add('offer-early');
  }

  /** The wish ended while its next offer was due: a later wish begins anew. */
  #giveUp(state: PeerState, now: Millis): void {
    this.#withdraw(state, now);
    state.neededUntil = Number.NEGATIVE_INFINITY;
  }

  #withdraw(state: PeerState, now: Millis): void {
    if (state.outgoing === undefined) return;
    state.outgoing.wipe();
    this.#options.indexes.release(state.outgoing.index, now);
    state.outgoing = undefined;
    this.#schedule(state);
  }

  #courtesy(peer: PeerName): Millis {
    return this.#self < peer ? 0 : COURTESY;
  }

  #send(
    kind: 'offer' | 'answer',
    { remote }: PeerState,
    offer: number,
    bytes: Uint8Array,
    attempt: number,
  ): void {
    const to = remote.name;
    const envelope = encodeEnvelope({ from: this.#self, to, offer, bytes });
    this.#effects.push({ type: 'send', to, kind, bytes: envelope, attempt });
  }
}

function isWanted(state: PeerState, now: Millis): boolean {
  const isMissing = state.meshed && state.sessionUid === undefined && !state.unused;
  return isMissing || state.neededUntil > now;
}

/**
 * Whether something is to be done once `notBefore` has come: offer afresh, or give up. It is the same question however
 * late the timer fires, or what is due would stay due.
 */
function isBusy(state: PeerState): boolean {
  return state.outgoing !== undefined || isWanted(state, state.notBefore);
}

function newState(remote: RemoteEnd, now: Millis): PeerState {
  return {
    remote,
    meshed: false,
    unused: false,
    neededUntil: now,
    sessionUid: undefined,
    madeAt: Number.NEGATIVE_INFINITY,
    outgoing: undefined,
    sentAt: now,
    attempts: 0,
    answers: 0,
    notBefore: now,
    answered: 0,
    answerable: new TokenBucket(ANSWERS_PER_SECOND, ANSWER_BURST),
    error: undefined,
  };
}
