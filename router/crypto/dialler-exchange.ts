import { concatBytes, secretCopy } from '../../core/bytes.ts';
import { MAX_PASSWORDS } from '../../gossip/secure-channel.ts';
import type { ChannelFailure, CryptoJob, CryptoResult } from '../../gossip/secure-channel.ts';
import { CHANNEL_ID } from './channel-keys.ts';
import {
  ELEMENT_BYTES,
  ELEMENT_DETAIL,
  MALFORMED_DETAIL,
  MATCH,
  MISMATCH_DETAIL,
  NO_MATCH,
  TAG_BYTES,
  associatedB,
  tagsOf,
} from './password-exchange.ts';
import type { ExchangeContext, ExchangeEvents, PasswordExchange } from './password-exchange.ts';
import { equalTags } from './primitives.ts';

const OFFER_BYTES = ELEMENT_BYTES + TAG_BYTES;

interface Offer {
  readonly element: Uint8Array;
  readonly tag: Uint8Array;
}

/** A: proves that it knows one password to an acceptor that proves the same for one of its own. */
export class DiallerExchange implements PasswordExchange {
  readonly #context: ExchangeContext;
  readonly #events: ExchangeEvents;
  readonly #passwordIndex: number;
  readonly #seed: Uint8Array;
  #state: 'start-task' | 'count' | 'offers' | 'finish-task' | 'over' = 'start-task';
  #scalar: Uint8Array = new Uint8Array(0);
  #element: Uint8Array = new Uint8Array(0);
  #offers: Offer[] = [];
  #count = 0;
  #tried = 0;

  /** `seed`: 64 random bytes, wiped at the end. */
  constructor(
    context: ExchangeContext,
    events: ExchangeEvents,
    password: Uint8Array,
    passwordIndex: number,
    seed: Uint8Array,
  ) {
    this.#context = context;
    this.#events = events;
    this.#passwordIndex = passwordIndex;
    this.#seed = seed;
    events.onTask({ type: 'cpace-start', password, channelId: CHANNEL_ID, sid: context.sid, seed }, 0);
  }

  wants(): number | undefined {
    if (this.#state === 'count') return 1;
    return this.#state === 'offers' ? this.#count * OFFER_BYTES : undefined;
  }

  onBytes(bytes: Uint8Array): void {
    if (this.#state === 'count') this.#onCount(bytes[0]!);
    else if (this.#state === 'offers') this.#onOffers(bytes);
  }

  onTaskDone(result: CryptoResult): void {
    if (this.#state === 'start-task' && result.type === 'cpace-started') {
      this.#scalar = secretCopy(result.scalar);
      this.#element = result.element;
      this.#state = 'count';
      this.#events.onWrite(this.#element);
    } else if (this.#state === 'finish-task' && result.type === 'cpace-finished') {
      this.#onFinished(secretCopy(result.isk));
    } else {
      this.#fail('handshake-malformed', ELEMENT_DETAIL);
    }
  }

  wipe(): void {
    this.#state = 'over';
    this.#context.primitives.wipe(this.#seed);
    this.#context.primitives.wipe(this.#scalar);
  }

  #onCount(count: number): void {
    if (count < 1 || count > MAX_PASSWORDS) return this.#fail('handshake-malformed', MALFORMED_DETAIL);
    this.#count = count;
    this.#state = 'offers';
  }

  #onOffers(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += OFFER_BYTES) {
      const element = bytes.slice(at, at + ELEMENT_BYTES);
      this.#offers.push({ element, tag: bytes.slice(at + ELEMENT_BYTES, at + OFFER_BYTES) });
    }
    this.#tryNext();
  }

  #tryNext(): void {
    const offer = this.#offers[this.#tried];
    if (offer === undefined) {
      this.#events.onWrite(Uint8Array.of(NO_MATCH));
      return this.#fail('password-mismatch', MISMATCH_DETAIL);
    }
    this.#state = 'finish-task';
    const job: CryptoJob = {
      type: 'cpace-finish',
      sid: this.#context.sid,
      scalar: this.#scalar,
      associatedA: this.#context.preambleA,
      associatedB: associatedB(this.#context, this.#tried),
      elementA: this.#element,
      elementB: offer.element,
    };
    this.#events.onTask(job, 1);
  }

  #onFinished(isk: Uint8Array): void {
    const offer = this.#offers[this.#tried]!;
    const tags = tagsOf(this.#context, isk, this.#element, offer.element, this.#tried);
    if (!equalTags(tags.b, offer.tag)) {
      this.#context.primitives.wipe(isk);
      this.#tried += 1;
      return this.#tryNext();
    }
    this.wipe();
    this.#events.onWrite(concatBytes(Uint8Array.of(MATCH, this.#tried), tags.a));
    this.#events.onConfirmed(isk, this.#passwordIndex);
  }

  #fail(reason: ChannelFailure, detail: string): void {
    this.wipe();
    this.#events.onFailed(reason, detail);
  }
}
