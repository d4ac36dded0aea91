import { concatBytes, utf8 } from '../../core/bytes.ts';
import { SymmetricState } from './noise-symmetric.ts';
import { AEAD_TAG_BYTES, KEY_BYTES } from './primitives.ts';
import type { KeyPair, Primitives } from './primitives.ts';

/**
 * Noise_IK_25519_ChaChaPoly_SHA512 (noiseprotocol.org, revision 34):
 *
 *   <- s
 *   ...
 *   -> e, es, s, ss, payload 1     e 32 | s 32 + 16 | payload + 16
 *   <- e, ee, se, payload 2        e 32 | payload + 16
 */

const PROTOCOL = utf8('Noise_IK_25519_ChaChaPoly_SHA512');
const MAX_MESSAGE_BYTES = 65_535;
const SEALED_KEY_BYTES = KEY_BYTES + AEAD_TAG_BYTES;
const MESSAGE_1_OVERHEAD = KEY_BYTES + SEALED_KEY_BYTES + AEAD_TAG_BYTES;
const MESSAGE_2_OVERHEAD = KEY_BYTES + AEAD_TAG_BYTES;

/** What both ends share once the handshake is complete. Whoever takes it wipes the keys. */
export interface NoiseSession {
  /** 64 bytes that name this handshake; not secret. */
  readonly handshakeHash: Uint8Array;
  /** 32 bytes each, seen from this end. */
  readonly keys: { readonly send: Uint8Array; readonly receive: Uint8Array };
}

export interface NoiseIkOptions {
  readonly primitives: Primitives;
  readonly prologue: Uint8Array;
  readonly staticKey: KeyPair;
}

/** Writes message 1, then reads message 2. */
export class NoiseIkInitiator {
  readonly #primitives: Primitives;
  readonly #staticKey: KeyPair;
  readonly #ephemeral: KeyPair;
  readonly #remoteStatic: Uint8Array;
  readonly #state: SymmetricState;
  #phase: 'new' | 'waiting' | 'over' = 'new';

  /** `ephemeralSeed`: 32 random bytes for this handshake only; wiped. */
  constructor(options: NoiseIkOptions, remoteStatic: Uint8Array, ephemeralSeed: Uint8Array) {
    this.#primitives = options.primitives;
    this.#staticKey = options.staticKey;
    this.#remoteStatic = remoteStatic.slice();
    this.#ephemeral = options.primitives.keyPairFromSeed(ephemeralSeed);
    this.#primitives.wipe(ephemeralSeed);
    this.#state = start(options, remoteStatic);
  }

  /**
   * Once only. Undefined if the remote static key is of low order: then this machine is of no more use.
   * A payload of more than 65,439 bytes is a bug and throws.
   */
  writeMessage1(payload: Uint8Array): Uint8Array | undefined {
    if (this.#phase !== 'new') throw new Error('Message 1 was written before.');
    checkPayload(payload, MESSAGE_1_OVERHEAD);
    this.#phase = 'waiting';
    const state = this.#state;
    state.mixHash(this.#ephemeral.public);
    if (!mixDh(state, this.#primitives, this.#ephemeral.secret, this.#remoteStatic)) return this.#fail();
    const sealedStatic = state.seal(this.#staticKey.public);
    if (!mixDh(state, this.#primitives, this.#staticKey.secret, this.#remoteStatic)) return this.#fail();
    return concatBytes(this.#ephemeral.public, sealedStatic, state.seal(payload));
  }

  /**
   * Undefined if the message is not the answer of the expected responder to message 1. That changes nothing: the true
   * answer may still come. After a success the machine is over and wiped.
   */
  readMessage2(message: Uint8Array): { payload: Uint8Array; session: NoiseSession } | undefined {
    if (this.#phase !== 'waiting' || !hasRoom(message, MESSAGE_2_OVERHEAD)) return undefined;
    const trial = this.#state.clone();
    const payload = this.#openMessage2(trial, message);
    const result = payload === undefined ? undefined : { payload, session: finish(trial, true) };
    trial.wipe();
    if (result !== undefined) this.wipe();
    return result;
  }

  /** Ends the handshake. */
  wipe(): void {
    this.#phase = 'over';
    this.#state.wipe();
    this.#primitives.wipe(this.#ephemeral.secret);
  }

  #openMessage2(state: SymmetricState, message: Uint8Array): Uint8Array | undefined {
    const remoteEphemeral = message.subarray(0, KEY_BYTES);
    state.mixHash(remoteEphemeral);
    if (!mixDh(state, this.#primitives, this.#ephemeral.secret, remoteEphemeral)) return undefined;
    if (!mixDh(state, this.#primitives, this.#staticKey.secret, remoteEphemeral)) return undefined;
    return state.open(message.subarray(KEY_BYTES));
  }

  #fail(): undefined {
    this.wipe();
    return undefined;
  }
}

/** Reads message 1, then, if the caller trusts the key that it was shown, writes message 2. */
export class NoiseIkResponder {
  readonly #primitives: Primitives;
  readonly #staticKey: KeyPair;
  readonly #state: SymmetricState;
  #remote: { readonly staticKey: Uint8Array; readonly ephemeral: Uint8Array } | undefined;
  #phase: 'new' | 'read' | 'over' = 'new';

  constructor(options: NoiseIkOptions) {
    this.#primitives = options.primitives;
    this.#staticKey = options.staticKey;
    this.#state = start(options, options.staticKey.public);
  }

  /**
   * Undefined if the message was not made for this static key and prologue; the machine is then over. The caller must
   * compare `remoteStatic` with the key it expects before it believes the payload or answers.
   */
  readMessage1(message: Uint8Array): { remoteStatic: Uint8Array; payload: Uint8Array } | undefined {
    if (this.#phase !== 'new' || !hasRoom(message, MESSAGE_1_OVERHEAD)) return this.#fail();
    const state = this.#state;
    const ephemeral = message.slice(0, KEY_BYTES);
    state.mixHash(ephemeral);
    if (!mixDh(state, this.#primitives, this.#staticKey.secret, ephemeral)) return this.#fail();
    const remoteStatic = state.open(message.subarray(KEY_BYTES, KEY_BYTES + SEALED_KEY_BYTES));
    if (remoteStatic === undefined) return this.#fail();
    if (!mixDh(state, this.#primitives, this.#staticKey.secret, remoteStatic)) return this.#fail();
    const payload = state.open(message.subarray(KEY_BYTES + SEALED_KEY_BYTES));
    if (payload === undefined) return this.#fail();
    this.#phase = 'read';
    this.#remote = { staticKey: remoteStatic, ephemeral };
    return { remoteStatic: remoteStatic.slice(), payload };
  }

  /**
   * Once, after message 1; the machine is then over and wiped. `ephemeralSeed`: 32 random bytes for this handshake only;
   * wiped. Undefined if the initiator sent a key of low order. A payload of more than 65,487 bytes is a bug and throws.
   */
  writeMessage2(
    payload: Uint8Array,
    ephemeralSeed: Uint8Array,
  ): { message: Uint8Array; session: NoiseSession } | undefined {
    if (this.#phase !== 'read' || this.#remote === undefined)
      throw new Error('There is no message 1 to answer.');
    checkPayload(payload, MESSAGE_2_OVERHEAD);
    const state = this.#state;
    const own = this.#primitives.keyPairFromSeed(ephemeralSeed);
    this.#primitives.wipe(ephemeralSeed);
    state.mixHash(own.public);
    const agreed =
      mixDh(state, this.#primitives, own.secret, this.#remote.ephemeral) &&
      mixDh(state, this.#primitives, own.secret, this.#remote.staticKey);
    this.#primitives.wipe(own.secret);
    if (!agreed) return this.#fail();
    const message = concatBytes(own.public, state.seal(payload));
    const session = finish(state, false);
    this.wipe();
    return { message, session };
  }

  /** Ends the handshake. */
  wipe(): void {
    this.#phase = 'over';
    this.#remote = undefined;
    this.#state.wipe();
  }

  #fail(): undefined {
    this.wipe();
    return undefined;
  }
}

function start(options: NoiseIkOptions, responderStatic: Uint8Array): SymmetricState {
  const state = new SymmetricState(options.primitives, PROTOCOL);
  state.mixHash(options.prologue);
  state.mixHash(responderStatic);
  return state;
}

function finish(state: SymmetricState, initiator: boolean): NoiseSession {
  const [fromInitiator, fromResponder] = state.split();
  const keys = initiator
    ? { send: fromInitiator, receive: fromResponder }
    : { send: fromResponder, receive: fromInitiator };
  return { handshakeHash: state.handshakeHash(), keys };
}

function mixDh(
  state: SymmetricState,
  primitives: Primitives,
  secret: Uint8Array,
  other: Uint8Array,
): boolean {
  const shared = primitives.dh(secret, other);
  if (shared !== undefined) state.mixKey(shared);
  return shared !== undefined;
}

function hasRoom(message: Uint8Array, overhead: number): boolean {
  return message.length >= overhead && message.length <= MAX_MESSAGE_BYTES;
}

function checkPayload(payload: Uint8Array, overhead: number): void {
  if (payload.length > MAX_MESSAGE_BYTES - overhead)
    throw new RangeError('The payload is too long for Noise.');
}
