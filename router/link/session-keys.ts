import { HOUR, SECOND, earlier, type Millis } from '../../core/time.ts';
import { TokenBucket } from '../../core/token-bucket.ts';
import type { DirectionKeys, SessionMaterial, ToData } from '../node-messages.ts';
import { keyOfLane } from '../crypto/lane-keys.ts';
import { KEY_BYTES } from '../crypto/primitives.ts';
import type { LinkContext } from './context.ts';
import type { LinkMessage } from '../wire/inner.ts';

export const REKEY_AFTER: Millis = 120 * SECOND;
const REKEY_AFTER_DATAGRAMS = 2 ** 48;
/** The responder gives the initiator so much longer before it asks. */
const ASK_AFTER: Millis = REKEY_AFTER + 30 * SECOND;
const RESEND_INTERVAL: Millis = 1 * SECOND;
const RESENDS = 10;
/** How often the responder asks in a row. */
const ASKS = 4;
const RESEND_PAUSE: Millis = 30 * SECOND;
/** Datagrams under the old key may still be on the way for so long. */
const OLD_KEY_LIFETIME: Millis = 15 * SECOND;
/** The peer's workers hear of new keys one after another: lanes above 0 seal with them so long after their proof. */
const LANES_FOLLOW: Millis = 2 * SECOND;
const KEY_LIFETIME: Millis = 1 * HOUR;
/** Messages that begin or end a handshake: each costs the ControlNode cryptography, and an honest peer sends one a second. */
const HANDSHAKES_PER_SECOND = 8;
const HANDSHAKE_BURST = 16;
/** Far from the 256 phases that would bring back the number of one that is held; who rekeys faster holds old keys for less long. */
const MOST_OLD_KEYS = 64;

type RekeyMessage = Extract<LinkMessage, { kind: 'rekey' }>;
type Keys = Extract<ToData, { type: 'rekey-keys' }>;

/** Gives the keys of one phase to the engines, each lane's to that of its worker. The caller wipes `keys`. */
export function installKeys(
  context: LinkContext,
  session: number,
  phase: number,
  { send, receive }: DirectionKeys,
): void {
  const lanes = send.length / KEY_BYTES;
  for (let lane = 0; lane < lanes; lane++) {
    const own = { send: keyOfLane(send, lane), receive: keyOfLane(receive, lane) };
    const change = { type: 'key', session, phase, ...own } as const;
    context.emit(lane === 0 ? { type: 'configure', change } : { type: 'lane-key', lane, change });
  }
}

/**
 * The key phases of one sealed session. The handshake itself is the ControlNode's; here its messages are sent and
 * resent, the phases are switched, and old keys are wiped.
 */
export class SessionKeys {
  readonly #context: LinkContext;
  /** The engine's number. */
  readonly #session: number;
  readonly #id: number;
  readonly #initiator: boolean;
  readonly #send: (message: RekeyMessage) => void;
  /** The newest phase whose keys the engine holds, and the one that we seal with. */
  #newest = 0;
  #sending = 0;
  /** The peer has sealed with the newest phase. */
  #proven = true;
  #newestSince: Millis;
  #datagrams = 0;
  #nextAsk: Millis;
  #asked = 0;
  #stepOne: { message: RekeyMessage; sent: number; nextAt: Millis } | undefined;
  #stepTwo: RekeyMessage | undefined;
  readonly #handshakes = new TokenBucket(HANDSHAKES_PER_SECOND, HANDSHAKE_BURST);
  #wipes: { phase: number; at: Millis }[] = [];
  readonly #hasLanes: boolean;
  /** Phases that lanes above 0 are yet to seal with. */
  #laneSwitches: { phase: number; at: Millis }[] = [];

  constructor(
    context: LinkContext,
    session: number,
    material: SessionMaterial,
    send: (message: RekeyMessage) => void,
    now: Millis,
  ) {
    this.#context = context;
    this.#session = session;
    this.#id = material.id;
    this.#initiator = material.initiator;
    this.#hasLanes = material.lanes > 1;
    this.#send = send;
    this.#newestSince = now;
    this.#nextAsk = now + (material.initiator ? REKEY_AFTER : ASK_AFTER);
  }

  /** A new key is in use by us alone: heartbeats should provoke a datagram under it. */
  get unproven(): boolean {
    return !this.#proven && this.#sending === this.#newest;
  }

  /** The session has gone without a new key for too long. */
  expired(now: Millis): boolean {
    return now >= this.#newestSince + KEY_LIFETIME;
  }

  /** Counts towards the limit per key; both directions together, which errs on the safe side. */
  onDatagrams(count: number, now: Millis): void {
    const had = this.#datagrams;
    this.#datagrams += count;
    if (had < REKEY_AFTER_DATAGRAMS && this.#datagrams >= REKEY_AFTER_DATAGRAMS) this.onRequest(now);
  }

  /** New keys are wanted now; if the newest are not proven yet, once they are. */
  onRequest(now: Millis): void {
    this.#nextAsk = Math.min(this.#nextAsk, now);
  }

  /** A datagram was opened with the key of `phase`; true if it is the first under the newest one. */
  onPhase(phase: number, now: Millis): boolean {
    if (this.#proven || phase !== this.#newest) return false;
    this.#proven = true;
    const old = (phase + 255) % 256;
    if (this.#sending !== phase) this.#startSending(phase);
    if (this.#hasLanes) this.#laneSwitches.push({ phase, at: now + LANES_FOLLOW });
    this.#wipes.push({ phase: old, at: now + OLD_KEY_LIFETIME });
    if (this.#wipes.length > MOST_OLD_KEYS) this.#wipeOldest();
    return true;
  }

  /** From the peer; false if it is of another phase than the next one, and none that was sent again, or if there are too many. */
  onMessage(message: RekeyMessage, now: Millis): boolean {
    const { phase, step } = message;
    const isNext = phase === this.#nextPhase();
    if (!isNext && phase !== this.#newest) return false;
    if (step === 0) return this.#onAsked(isNext, now);
    if (step === 1 && phase === this.#stepTwo?.phase) {
      this.#send(this.#stepTwo);
      return true;
    }
    // Each step 1 that was sent again brings the same step 2 again.
    if (!isNext) return step === 2 && this.#initiator;
    return this.#handshakes.take(now) && this.#passOn(message);
  }

  #onAsked(forNext: boolean, now: Millis): boolean {
    if (forNext && this.#initiator && !this.#stepOne) this.#nextAsk = now;
    return this.#initiator;
  }

  #passOn({ phase, step, bytes }: RekeyMessage): true {
    const { peer } = this.#context;
    const received = { peer, session: this.#id, phase, step, bytes };
    this.#context.emit({ type: 'control', message: { type: 'rekey-received', ...received } });
    return true;
  }

  /** From the ControlNode, to be sent under the current key. */
  onOutgoing(message: RekeyMessage, now: Millis): void {
    if (message.step === 1 && message.phase === this.#nextPhase()) {
      this.#stepOne = { message, sent: 0, nextAt: now };
      this.#resend(this.#stepOne, now);
    } else if (message.step === 2) {
      this.#stepTwo = message;
      this.#send(message);
    }
  }

  /** False if the phase is not the next one; the keys are then not taken. */
  onKeys({ phase, keys }: Keys, now: Millis): boolean {
    if (phase !== this.#nextPhase() || !this.#proven) return false;
    installKeys(this.#context, this.#session, phase, keys);
    this.#newest = phase;
    this.#newestSince = now;
    this.#proven = false;
    this.#datagrams = 0;
    this.#stepOne = undefined;
    this.#asked = 0;
    this.#nextAsk = now + (this.#initiator ? REKEY_AFTER : ASK_AFTER);
    if (this.#initiator) this.#startSending(phase);
    return true;
  }

  nextTimeout(): Millis | undefined {
    const ask = this.#stepOne?.nextAt ?? (this.#proven ? this.#nextAsk : undefined);
    const keyChange = earlier(this.#laneSwitches[0]?.at, this.#wipes[0]?.at);
    return earlier(earlier(ask, keyChange), this.#newestSince + KEY_LIFETIME);
  }

  onTimeout(now: Millis): void {
    while (this.#laneSwitches[0] && this.#laneSwitches[0].at <= now) this.#switchLanes();
    while (this.#wipes[0] && this.#wipes[0].at <= now) this.#wipeOldest();
    if (this.#stepOne) {
      if (this.#stepOne.nextAt <= now) this.#resend(this.#stepOne, now);
    } else if (this.#proven && this.#nextAsk <= now) {
      this.#asked++;
      const again = !this.#initiator && this.#asked % ASKS !== 0;
      this.#nextAsk = now + (again ? RESEND_INTERVAL : RESEND_PAUSE);
      this.#ask();
    }
  }

  #switchLanes(): void {
    const { phase } = this.#laneSwitches.shift()!;
    this.#context.emit({ type: 'lane-phase', session: this.#session, phase });
  }

  #wipeOldest(): void {
    const { phase } = this.#wipes.shift()!;
    // Lanes that still seal with it move on first; that takes keys that come 64 in two seconds.
    if (this.#laneSwitches[0]?.phase === (phase + 1) % 256) this.#switchLanes();
    this.#context.emit({ type: 'configure', change: { type: 'key-removed', session: this.#session, phase } });
  }

  #ask(): void {
    const phase = this.#nextPhase();
    if (!this.#initiator) {
      this.#send({ kind: 'rekey', phase, step: 0, bytes: new Uint8Array(0) });
      return;
    }
    const { peer } = this.#context;
    this.#context.emit({ type: 'control', message: { type: 'rekey-due', peer, session: this.#id, phase } });
  }

  #resend(stepOne: { message: RekeyMessage; sent: number; nextAt: Millis }, now: Millis): void {
    this.#send(stepOne.message);
    stepOne.sent++;
    stepOne.nextAt = now + (stepOne.sent % RESENDS === 0 ? RESEND_PAUSE : RESEND_INTERVAL);
  }

  #startSending(phase: number): void {
    this.#sending = phase;
    this.#context.emit({ type: 'configure', change: { type: 'send-phase', session: this.#session, phase } });
  }

  #nextPhase(): number {
    return (this.#newest + 1) % 256;
  }
}
