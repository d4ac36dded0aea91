import { secretCopy } from '../../core/bytes.ts';
import type { RandomSource } from '../../core/random.ts';
import { SECOND } from '../../core/time.ts';
import type { Millis } from '../../core/time.ts';
import { MAX_PASSWORDS } from '../../gossip/secure-channel.ts';
import type {
  ChannelFailure,
  CryptoJob,
  CryptoResult,
  SecureChannel,
  SecureChannelEffect,
} from '../../gossip/secure-channel.ts';
import { ByteQueue } from './byte-queue.ts';
import { connectionId, streamKeys } from './channel-keys.ts';
import { ClearFrames, SealedFrames } from './frame-stream.ts';
import type { FrameStream } from './frame-stream.ts';
import { AcceptorExchange } from './acceptor-exchange.ts';
import { DiallerExchange } from './dialler-exchange.ts';
import type { ExchangeContext, ExchangeEvents, PasswordExchange } from './password-exchange.ts';
import {
  PREAMBLE_BYTES,
  PREAMBLE_NONCE_BYTES,
  PROTOCOL_VERSIONS,
  encodePreamble,
  mayBePreamble,
  parsePreamble,
  versionsMeet,
} from './preamble.ts';
import type { Preamble, VersionRange } from './preamble.ts';
import { STREAM_HEADER_BYTES } from './primitives.ts';
import type { Primitives } from './primitives.ts';

const HANDSHAKE_TIMEOUT: Millis = 10 * SECOND;
const HANDSHAKE_BYTES = 4_096;
const SEED_BYTES = 64;

export interface SecureChannelOptions {
  readonly role: 'dialler' | 'acceptor';
  /** None, or one or two that are accepted; the channel keeps copies and wipes them. */
  readonly passwords: readonly Uint8Array[];
  /** Which of them a dialler proves; another one takes another connection. */
  readonly dialPassword?: number;
  readonly primitives: Primitives;
  readonly random: RandomSource;
  /** For tests of other versions. */
  readonly versions?: VersionRange;
}

/**
 * One end of a control connection: preamble, password exchange, then sealed frames; without passwords the preamble
 * and clear frames. Writes its preamble at once.
 */
export function createSecureChannel(options: SecureChannelOptions, now: Millis): SecureChannel {
  return new Channel(options, now);
}

type State =
  | { readonly name: 'preamble' }
  | { readonly name: 'exchange'; readonly exchange: PasswordExchange; readonly sid: Uint8Array }
  | { readonly name: 'open'; readonly frames: FrameStream }
  | { readonly name: 'dead' };

class Channel implements SecureChannel {
  readonly #options: SecureChannelOptions;
  readonly #passwords: readonly Uint8Array[];
  readonly #preamble: Uint8Array;
  readonly #nonce: Uint8Array;
  readonly #deadline: Millis;
  readonly #queue = new ByteQueue();
  #effects: SecureChannelEffect[] = [];
  #state: State = { name: 'preamble' };
  #handshakeBytes = 0;
  #lastTask = 0;
  #pendingTask: number | undefined;

  constructor(options: SecureChannelOptions, now: Millis) {
    checkPasswords(options);
    this.#options = options;
    this.#passwords = options.passwords.map((password) => secretCopy(password));
    this.#nonce = options.random.bytes(PREAMBLE_NONCE_BYTES);
    this.#deadline = now + HANDSHAKE_TIMEOUT;
    this.#preamble = encodePreamble({
      versions: this.#versions(),
      password: this.#passwords.length > 0,
      nonce: this.#nonce,
    });
    this.#write(this.#preamble);
  }

  onBytes(bytes: Uint8Array): void {
    if (this.#state.name === 'dead') return;
    this.#queue.push(bytes);
    this.#proceed();
  }

  onTaskDone(task: number, result: CryptoResult): void {
    if (this.#state.name !== 'exchange' || task !== this.#pendingTask) return;
    this.#pendingTask = undefined;
    this.#state.exchange.onTaskDone(result);
    this.#proceed();
  }

  nextTimeout(): Millis | undefined {
    return this.#state.name === 'preamble' || this.#state.name === 'exchange' ? this.#deadline : undefined;
  }

  onTimeout(now: Millis): void {
    const deadline = this.nextTimeout();
    if (deadline === undefined || now < deadline) return;
    this.#fail(
      'handshake-timeout',
      `ADDRESS did not complete the handshake in ${HANDSHAKE_TIMEOUT / SECOND} s`,
    );
  }

  /** A message of more than 1 MiB is a bug and throws, as is one before `open`. On a dead channel it is forgotten. */
  send(message: Uint8Array): void {
    if (this.#state.name === 'dead') return;
    if (this.#state.name !== 'open') throw new Error('The channel is not open yet.');
    this.#write(this.#state.frames.encode(message));
  }

  close(): void {
    if (this.#state.name === 'exchange') this.#state.exchange.wipe();
    if (this.#state.name === 'open') this.#state.frames.wipe();
    this.#wipePasswords();
    this.#queue.clear();
    this.#state = { name: 'dead' };
  }

  drain(): SecureChannelEffect[] {
    const effects = this.#effects;
    if (effects.length > 0) this.#effects = [];
    return effects;
  }

  /** Takes steps until bytes or a task's result are missing. */
  #proceed(): void {
    while (this.#step());
    if (this.nextTimeout() !== undefined && this.#handshakeBytes + this.#queue.length > HANDSHAKE_BYTES) {
      this.#fail(
        'handshake-too-long',
        `ADDRESS sent more than ${HANDSHAKE_BYTES} bytes before it proved itself`,
      );
    }
  }

  /** False if nothing more can be done for now. */
  #step(): boolean {
    switch (this.#state.name) {
      case 'preamble':
        return this.#readPreamble();
      case 'exchange':
        return this.#readExchange(this.#state.exchange);
      case 'open':
        return this.#readFrame(this.#state.frames);
      case 'dead':
        return false;
    }
  }

  #readPreamble(): boolean {
    const begun = this.#queue.peek(Math.min(this.#queue.length, PREAMBLE_BYTES));
    if (!mayBePreamble(begun))
      return this.#fail('not-weave-ts', 'ADDRESS does not speak the weave-ts protocol');
    if (begun.length < PREAMBLE_BYTES) return false;
    const bytes = this.#takeHandshake(PREAMBLE_BYTES);
    const theirs = parsePreamble(bytes);
    if (!versionsMeet(this.#versions(), theirs.versions)) {
      return this.#fail('version-mismatch', versionDetail(this.#versions(), theirs.versions));
    }
    if (theirs.password && this.#passwords.length === 0) {
      return this.#fail('password-required-there', 'ADDRESS requires a password, none is set here');
    }
    if (!theirs.password && this.#passwords.length > 0) {
      return this.#fail('password-required-here', 'ADDRESS has no password, one is set here');
    }
    this.#begin(theirs, bytes);
    return true;
  }

  /** Both preambles are known and fit together. */
  #begin(theirs: Preamble, theirPreamble: Uint8Array): void {
    const { primitives, role } = this.#options;
    const dialler = role === 'dialler';
    const [nonceA, nonceB] = dialler ? [this.#nonce, theirs.nonce] : [theirs.nonce, this.#nonce];
    const sid = connectionId(primitives, nonceA, nonceB);
    if (this.#passwords.length === 0) return this.#open(new ClearFrames(), sid, false, 0);
    const context: ExchangeContext = {
      primitives,
      sid,
      preambleA: dialler ? this.#preamble : theirPreamble,
      preambleB: dialler ? theirPreamble : this.#preamble,
    };
    this.#state = { name: 'exchange', exchange: this.#startExchange(context), sid };
  }

  #startExchange(context: ExchangeContext): PasswordExchange {
    const { random, role, dialPassword: index = 0 } = this.#options;
    const events: ExchangeEvents = {
      onWrite: (bytes) => this.#write(bytes),
      onTask: (job, guesses) => this.#startTask(job, guesses),
      onConfirmed: (isk, passwordIndex) => this.#openSealed(isk, passwordIndex, context.sid),
      onFailed: (reason, detail) => this.#fail(reason, detail),
    };
    if (role === 'acceptor') {
      const seeds = this.#passwords.map(() => random.bytes(SEED_BYTES));
      return new AcceptorExchange(context, events, this.#passwords, seeds);
    }
    return new DiallerExchange(context, events, this.#passwords[index]!, index, random.bytes(SEED_BYTES));
  }

  #readExchange(exchange: PasswordExchange): boolean {
    const wanted = exchange.wants();
    if (wanted === undefined || this.#queue.length < wanted) return false;
    exchange.onBytes(this.#takeHandshake(wanted));
    return true;
  }

  #openSealed(isk: Uint8Array, passwordIndex: number, sid: Uint8Array): void {
    const { primitives, random, role } = this.#options;
    const { aToB, bToA } = streamKeys(primitives, isk);
    primitives.wipe(isk);
    const keys = role === 'dialler' ? { send: aToB, receive: bToA } : { send: bToA, receive: aToB };
    const frames = new SealedFrames(primitives, keys, random.bytes(STREAM_HEADER_BYTES));
    this.#open(frames, sid, true, passwordIndex);
  }

  #open(frames: FrameStream, sid: Uint8Array, encrypted: boolean, passwordIndex: number): void {
    this.#state = { name: 'open', frames };
    this.#wipePasswords();
    if (frames.opening.length > 0) this.#write(frames.opening);
    this.#effects.push({ type: 'open', sid, encrypted, passwordIndex });
  }

  #readFrame(frames: FrameStream): boolean {
    const read = frames.read(this.#queue);
    if (read.type === 'incomplete') return false;
    if (read.type === 'failed') return this.#fail(read.reason, read.detail);
    this.#effects.push(read);
    return true;
  }

  #takeHandshake(count: number): Uint8Array {
    this.#handshakeBytes += count;
    return this.#queue.take(count);
  }

  #startTask(job: CryptoJob, guesses: number): void {
    this.#lastTask += 1;
    this.#pendingTask = this.#lastTask;
    this.#effects.push({ type: 'task', task: this.#lastTask, job, guesses });
  }

  #write(bytes: Uint8Array): void {
    this.#effects.push({ type: 'write', bytes });
  }

  /** The result says that there is nothing more to do. */
  #fail(reason: ChannelFailure, detail: string): false {
    this.close();
    this.#effects.push({ type: 'failed', reason, detail });
    return false;
  }

  #wipePasswords(): void {
    for (const password of this.#passwords) this.#options.primitives.wipe(password);
  }

  #versions(): VersionRange {
    return this.#options.versions ?? PROTOCOL_VERSIONS;
  }
}

function checkPasswords({ passwords, dialPassword = 0 }: SecureChannelOptions): void {
  if (passwords.length > MAX_PASSWORDS) throw new RangeError('At most two passwords are held.');
  if (passwords.length > 0 && passwords[dialPassword] === undefined) {
    throw new RangeError('There is no such password to dial with.');
  }
}

function versionDetail(ours: VersionRange, theirs: VersionRange): string {
  const text = ({ min, max }: VersionRange): string => (min === max ? `${min}` : `${min} to ${max}`);
  return `ADDRESS speaks protocol version ${text(theirs)}, this node ${text(ours)}`;
}
