import { concatBytes } from '../../core/bytes.ts';
import type { ChannelFailure, CryptoJob, CryptoResult } from '../../gossip/secure-channel.ts';
import { confirmationTags } from './channel-keys.ts';
import type { ConfirmationTags, Share } from './channel-keys.ts';
import { HASH_BYTES, KEY_BYTES } from './primitives.ts';
import type { Primitives } from './primitives.ts';

/**
 * The password exchange of a control connection, CPace with key confirmation:
 *
 *   dialler A                                   acceptor B
 *   Ya 32                              ->
 *                                      <-       n u8 (1 or 2) | n x (Yb 32 | Tb 64), one per password that B holds
 *   1 u8 | index u8 | Ta 64, or 0      ->
 *
 * Associated data: A's is its preamble, B's is its preamble | index u8.
 */

export const ELEMENT_BYTES = KEY_BYTES;
export const TAG_BYTES = HASH_BYTES;
export const NO_MATCH = 0;
export const MATCH = 1;

export const MISMATCH_DETAIL = 'password mismatch with ADDRESS';
export const MALFORMED_DETAIL = 'ADDRESS broke the protocol of the password exchange';
export const ELEMENT_DETAIL = 'ADDRESS sent an invalid element in the password exchange';

/** What both ends know when the exchange begins. */
export interface ExchangeContext {
  readonly primitives: Primitives;
  readonly sid: Uint8Array;
  readonly preambleA: Uint8Array;
  readonly preambleB: Uint8Array;
}

/** What the exchange does to its connection. `onConfirmed` hands over the ISK, to be wiped by who takes it. */
export interface ExchangeEvents {
  onWrite(bytes: Uint8Array): void;
  /** `guesses`: see the `task` effect of the channel. */
  onTask(job: CryptoJob, guesses: number): void;
  onConfirmed(isk: Uint8Array, passwordIndex: number): void;
  onFailed(reason: ChannelFailure, detail: string): void;
}

/** One end of the exchange. */
export interface PasswordExchange {
  /** How many bytes it can go on with; undefined while it waits for a task or is over. */
  wants(): number | undefined;
  /** As many bytes as it wanted. */
  onBytes(bytes: Uint8Array): void;
  onTaskDone(result: CryptoResult): void;
  wipe(): void;
}

/** B's associated data for the password at this position of its list. */
export function associatedB(context: ExchangeContext, index: number): Uint8Array {
  return concatBytes(context.preambleB, Uint8Array.of(index));
}

/** The confirmation tags of both ends for one of B's elements. */
export function tagsOf(
  context: ExchangeContext,
  isk: Uint8Array,
  elementA: Uint8Array,
  elementB: Uint8Array,
  index: number,
): ConfirmationTags {
  const a: Share = { element: elementA, associated: context.preambleA };
  const b: Share = { element: elementB, associated: associatedB(context, index) };
  return confirmationTags(context.primitives, context.sid, isk, a, b);
}
