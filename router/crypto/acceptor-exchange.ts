import { concatBytes, secretCopy } from '../../core/bytes.ts';
import type { ChannelFailure, CryptoJob, CryptoResult } from '../../gossip/secure-channel.ts';
import { CHANNEL_ID } from './channel-keys.ts';
import type { ConfirmationTags } from './channel-keys.ts';
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

interface Answer {
  readonly element: Uint8Array;
  readonly isk: Uint8Array;
  readonly tags: ConfirmationTags;
}

/** B: answers with one element per password, and learns which of them the dialler knows, if any. */
export class AcceptorExchange implements PasswordExchange {
  readonly #context: ExchangeContext;
  readonly #events: ExchangeEvents;
  readonly #passwords: readonly Uint8Array[];
  readonly #seeds: readonly Uint8Array[];
  #state: 'element' | 'answer-task' | 'verdict' | 'proof' | 'over' = 'element';
  #elementA = new Uint8Array(0);
  #answers: Answer[] = [];

  /** `seeds`: 64 random bytes for each password, of which there are one or two; wiped at the end. */
  constructor(
    context: ExchangeContext,
    events: ExchangeEvents,
    passwords: readonly Uint8Array[],
    seeds: readonly Uint8Array[],
  ) {
    this.#context = context;
    this.#events = events;
    this.#passwords = passwords;
    this.#seeds = seeds;
  }

  wants(): number | undefined {
    if (this.#state === 'element') return ELEMENT_BYTES;
    if (this.#state === 'verdict') return 1;
    return this.#state === 'proof' ? 1 + TAG_BYTES : undefined;
  }

  onBytes(bytes: Uint8Array): void {
    if (this.#state === 'element') {
      this.#elementA = bytes.slice();
      this.#answerNext();
    } else if (this.#state === 'verdict') {
      this.#onVerdict(bytes[0]!);
    } else if (this.#state === 'proof') {
      this.#onProof(bytes[0]!, bytes.subarray(1));
    }
  }

  onTaskDone(result: CryptoResult): void {
    if (this.#state !== 'answer-task' || result.type !== 'cpace-answered') {
      return this.#fail('handshake-malformed', ELEMENT_DETAIL);
    }
    const index = this.#answers.length;
    const tags = tagsOf(this.#context, result.isk, this.#elementA, result.element, index);
    this.#answers.push({ element: result.element, isk: secretCopy(result.isk), tags });
    this.#answerNext();
  }

  wipe(): void {
    this.#state = 'over';
    for (const { isk } of this.#answers) this.#context.primitives.wipe(isk);
    for (const seed of this.#seeds) this.#context.primitives.wipe(seed);
    this.#answers = [];
  }

  #answerNext(): void {
    const index = this.#answers.length;
    const password = this.#passwords[index];
    if (password === undefined) return this.#sendAnswers();
    this.#state = 'answer-task';
    const job: CryptoJob = {
      type: 'cpace-answer',
      password,
      channelId: CHANNEL_ID,
      sid: this.#context.sid,
      seed: this.#seeds[index]!,
      associatedA: this.#context.preambleA,
      associatedB: associatedB(this.#context, index),
      elementA: this.#elementA,
    };
    // All answers leave together, so all passwords are tried or none.
    this.#events.onTask(job, index === 0 ? this.#passwords.length : 0);
  }

  #sendAnswers(): void {
    const offers = this.#answers.map(({ element, tags }) => concatBytes(element, tags.b));
    this.#state = 'verdict';
    this.#events.onWrite(concatBytes(Uint8Array.of(offers.length), ...offers));
  }

  #onVerdict(verdict: number): void {
    if (verdict === MATCH) this.#state = 'proof';
    else if (verdict === NO_MATCH) this.#fail('password-mismatch', MISMATCH_DETAIL);
    else this.#fail('handshake-malformed', MALFORMED_DETAIL);
  }

  #onProof(index: number, tag: Uint8Array): void {
    const answer = this.#answers[index];
    if (answer === undefined) return this.#fail('handshake-malformed', MALFORMED_DETAIL);
    if (!equalTags(answer.tags.a, tag)) return this.#fail('password-mismatch', MISMATCH_DETAIL);
    const isk = secretCopy(answer.isk);
    this.wipe();
    this.#events.onConfirmed(isk, index);
  }

  #fail(reason: ChannelFailure, detail: string): void {
    this.wipe();
    this.#events.onFailed(reason, detail);
  }
}
