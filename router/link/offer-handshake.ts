import { equalEndpoint } from '../../core/address.ts';
import type { Cidr, Endpoint } from '../../core/address.ts';
import type { PeerName } from '../../core/peer-name.ts';
import type { RandomSource } from '../../core/random.ts';
import { NoiseIkInitiator, NoiseIkResponder } from '../crypto/noise-ik.ts';
import type { NoiseSession } from '../crypto/noise-ik.ts';
import { keysOfLanes } from '../crypto/lane-keys.ts';
import { linkPrologue } from '../crypto/noise-prologue.ts';
import { KEY_BYTES } from '../crypto/primitives.ts';
import type { KeyPair, Primitives } from '../crypto/primitives.ts';
import type { DirectionKeys, SessionMaterial } from '../node-messages.ts';
import { lanesBetween } from '../wire/lanes.ts';
import { COOKIE_BYTES, MAX_CANDIDATES, encodePayload, parsePayload } from './handshake-payload.ts';
import type { HandshakePayload } from './handshake-payload.ts';

/** This node, as its handshakes present it. */
export interface LocalEnd {
  readonly name: PeerName;
  /** 8 bytes, of this run of the process. */
  readonly uid: Uint8Array;
  readonly staticKey: KeyPair;
  /** Whether a password is set. */
  readonly encrypted: boolean;
  readonly bridgeMtu: number;
  /** Of the data plane. */
  readonly workers: number;
  readonly trusted: readonly Cidr[];
  readonly primitives: Primitives;
  readonly random: RandomSource;
  /** Where this node may be reached, best first. */
  candidates(): readonly Endpoint[];
}

/** A peer as its topology entry describes it. */
export interface RemoteEnd {
  readonly name: PeerName;
  readonly incarnation: number;
  /** 8 bytes. */
  readonly uid: Uint8Array;
  readonly staticKey: Uint8Array;
  readonly addresses: readonly Endpoint[];
}

/** A handshake that was completed: what the data plane gets, and what later rekeys build on. */
export interface MadeSession {
  readonly material: Omit<SessionMaterial, 'id'>;
  readonly handshakeHash: Uint8Array;
  /** The key that the peer proved to hold. */
  readonly remoteStatic: Uint8Array;
}

/** Why a handshake message is of no use. */
export type HandshakeFault = 'undecipherable' | 'wrong-key' | 'malformed' | 'password-mismatch';

/** An offer that waits for its answer. */
export class OutgoingOffer {
  readonly offer: number;
  readonly index: number;
  readonly message: Uint8Array | undefined;
  readonly #local: LocalEnd;
  readonly #remote: RemoteEnd;
  readonly #cookie: Uint8Array;
  readonly #noise: NoiseIkInitiator;

  /** `message` is undefined if the peer's static key cannot be used at all. */
  constructor(local: LocalEnd, remote: RemoteEnd, offer: number, index: number) {
    this.offer = offer;
    this.index = index;
    this.#local = local;
    this.#remote = remote;
    this.#cookie = local.random.bytes(COOKIE_BYTES);
    const seed = local.random.bytes(KEY_BYTES);
    const options = { ...noiseOptions(local), prologue: prologueOf(local, remote) };
    this.#noise = new NoiseIkInitiator(options, remote.staticKey, seed);
    this.message = this.#noise.writeMessage1(encodePayload(payloadOf(local, offer, index, this.#cookie)));
  }

  /** After a fault the offer waits on: the true answer may still come. */
  readAnswer(bytes: Uint8Array): MadeSession | HandshakeFault {
    const read = this.#noise.readMessage2(bytes);
    if (read === undefined) return 'undecipherable';
    const theirs = checkedPayload(this.#local, read.payload, this.offer);
    if (typeof theirs === 'string') {
      wipeSession(this.#local, read.session);
      return theirs;
    }
    return made(this.#local, this.#remote, read.session, theirs, this.index, this.#cookie, true);
  }

  /** Forgets the secrets. */
  wipe(): void {
    this.#noise.wipe();
  }
}

/** An offer that proved to come from the expected key; {@link answer} may be called once. */
export interface OpenedOffer {
  /** `index` is where this node will take the session's datagrams. Undefined if the offer's key is of low order. */
  answer(index: number): { readonly message: Uint8Array; readonly session: MadeSession } | undefined;
}

/** Opens a Noise message 1 that `remote` is said to have sent; `offer` is the envelope's number. */
export function openOffer(
  local: LocalEnd,
  remote: RemoteEnd,
  offer: number,
  bytes: Uint8Array,
): OpenedOffer | HandshakeFault {
  const noise = new NoiseIkResponder({ ...noiseOptions(local), prologue: prologueOf(remote, local) });
  const read = noise.readMessage1(bytes);
  const fault = read === undefined ? 'undecipherable' : undefined;
  const theirs = read === undefined ? fault! : checkedOffer(local, remote, read, offer);
  if (typeof theirs === 'string') {
    noise.wipe();
    return theirs;
  }
  return {
    answer: (index) => {
      const cookie = local.random.bytes(COOKIE_BYTES);
      const payload = encodePayload(payloadOf(local, offer, index, cookie));
      const answered = noise.writeMessage2(payload, local.random.bytes(KEY_BYTES));
      if (answered === undefined) return undefined;
      const session = made(local, remote, answered.session, theirs, index, cookie, false);
      return { message: answered.message, session };
    },
  };
}

function noiseOptions(local: LocalEnd): { primitives: Primitives; staticKey: KeyPair } {
  return { primitives: local.primitives, staticKey: local.staticKey };
}

function prologueOf(
  initiator: { name: PeerName; uid: Uint8Array },
  responder: { name: PeerName; uid: Uint8Array },
): Uint8Array {
  return linkPrologue({
    initiatorName: initiator.name,
    initiatorUid: initiator.uid,
    responderName: responder.name,
    responderUid: responder.uid,
  });
}

function payloadOf(local: LocalEnd, offer: number, index: number, cookie: Uint8Array): HandshakePayload {
  const { encrypted, bridgeMtu, workers, trusted } = local;
  const candidates = local.candidates();
  return { encrypted, offer, index, bridgeMtu, workers, cookie, candidates, trusted };
}

function checkedOffer(
  local: LocalEnd,
  remote: RemoteEnd,
  read: { remoteStatic: Uint8Array; payload: Uint8Array },
  offer: number,
): HandshakePayload | HandshakeFault {
  const same = read.remoteStatic.every((byte, i) => byte === remote.staticKey[i]);
  return same ? checkedPayload(local, read.payload, offer) : 'wrong-key';
}

function checkedPayload(
  local: LocalEnd,
  bytes: Uint8Array,
  offer: number,
): HandshakePayload | HandshakeFault {
  const payload = parsePayload(bytes);
  if (payload?.offer !== offer) return 'malformed';
  return payload.encrypted === local.encrypted ? payload : 'password-mismatch';
}

function made(
  local: LocalEnd,
  remote: RemoteEnd,
  session: NoiseSession,
  theirs: HandshakePayload,
  localIndex: number,
  cookie: Uint8Array,
  initiator: boolean,
): MadeSession {
  const plainAllowed = !local.encrypted || (local.trusted.length > 0 && theirs.trusted.length > 0);
  const lanes = lanesBetween(local.workers, theirs.workers);
  if (!local.encrypted) wipeSession(local, session);
  const material = {
    initiator,
    lanes,
    keys: local.encrypted ? lanedKeys(local.primitives, session.keys, lanes) : undefined,
    cookies: plainAllowed ? { send: theirs.cookie, receive: cookie } : undefined,
    localIndex,
    remoteIndex: theirs.index,
    candidates: distinct([...theirs.candidates, ...remote.addresses]),
    remoteBridgeMtu: theirs.bridgeMtu,
    remoteTrusted: theirs.trusted,
  };
  return { material, handshakeHash: session.handshakeHash, remoteStatic: remote.staticKey };
}

/** The keys of all lanes, in place of what Split gave. */
export function lanedKeys(primitives: Primitives, keys: DirectionKeys, lanes: number): DirectionKeys {
  return {
    send: keysOfLanes(primitives, keys.send, lanes),
    receive: keysOfLanes(primitives, keys.receive, lanes),
  };
}

/** Keys that nobody will use. */
function wipeSession({ primitives }: LocalEnd, { keys }: NoiseSession): void {
  primitives.wipe(keys.send);
  primitives.wipe(keys.receive);
}

function distinct(endpoints: readonly Endpoint[]): Endpoint[] {
  const out: Endpoint[] = [];
  for (const endpoint of endpoints) {
    if (out.length < MAX_CANDIDATES && !out.some((known) => equalEndpoint(known, endpoint)))
      out.push(endpoint);
  }
  return out;
}
