import type { Machine, Millis } from '../core/time.ts';

/** Held at once: the one in use, and during a rotation its successor or predecessor. */
export const MAX_PASSWORDS = 2;

/**
 * The secure channel as gossip's connections see it: a machine between the bytes of one TCP stream and whole,
 * authenticated messages. Supplied by router/control-node, so that gossip knows nothing of cryptography.
 *
 * Order of events: any number of `write` and `task`, then at most one `open`, then `message`s, then at most one
 * `failed`, after which the channel is dead. Nothing that the other side sent is reported before `open`.
 */
export interface SecureChannel extends Machine<SecureChannelEffect> {
  /** Bytes as they arrive from the stream, in order, in any pieces. */
  onBytes(bytes: Uint8Array, now: Millis): void;
  /** The result of a `task` effect. Unknown ids are ignored. */
  onTaskDone(task: number, result: CryptoResult, now: Millis): void;
  /** Seals one message of at most 1 MiB. Only after `open`. */
  send(message: Uint8Array): void;
  /** Wipes all keys. */
  close(): void;
}

export type SecureChannelEffect =
  | { readonly type: 'write'; readonly bytes: Uint8Array }
  /**
   * Expensive public-key work, which others may have to wait for. `guesses`: how many passwords, held by us, the other end can
   * test a guess against once it has what follows from the result; 0 if that was said of an earlier task.
   */
  | { readonly type: 'task'; readonly task: number; readonly job: CryptoJob; readonly guesses: number }
  /** Both ends hold the same password (or none). `sid` identifies the connection on both ends. */
  | {
      readonly type: 'open';
      readonly sid: Uint8Array;
      readonly encrypted: boolean;
      readonly passwordIndex: number;
    }
  | { readonly type: 'message'; readonly bytes: Uint8Array }
  | { readonly type: 'failed'; readonly reason: ChannelFailure; readonly detail: string };

/**
 * Why a channel died. `detail` is the sentence for the operator, with the word ADDRESS where the other end's address
 * belongs: "password mismatch with ADDRESS".
 */
export type ChannelFailure =
  | 'not-weave-ts'
  | 'version-mismatch'
  | 'password-required-here'
  | 'password-required-there'
  | 'password-mismatch'
  | 'handshake-timeout'
  | 'handshake-too-long'
  | 'handshake-malformed'
  | 'frame-too-long'
  | 'frame-forged';

/** Half a millisecond of public-key work, as plain data: see {@link TaskQueue}. */
export type CryptoJob =
  | {
      readonly type: 'cpace-start';
      readonly password: Uint8Array;
      readonly channelId: Uint8Array;
      readonly sid: Uint8Array;
      /** 64 random bytes from which the secret scalar is derived. */
      readonly seed: Uint8Array;
    }
  | {
      readonly type: 'cpace-answer';
      readonly password: Uint8Array;
      readonly channelId: Uint8Array;
      readonly sid: Uint8Array;
      readonly seed: Uint8Array;
      readonly associatedA: Uint8Array;
      readonly associatedB: Uint8Array;
      readonly elementA: Uint8Array;
    }
  | {
      readonly type: 'cpace-finish';
      readonly sid: Uint8Array;
      readonly scalar: Uint8Array;
      readonly associatedA: Uint8Array;
      readonly associatedB: Uint8Array;
      readonly elementA: Uint8Array;
      readonly elementB: Uint8Array;
    };

export type CryptoResult =
  | { readonly type: 'cpace-started'; readonly scalar: Uint8Array; readonly element: Uint8Array }
  | { readonly type: 'cpace-answered'; readonly element: Uint8Array; readonly isk: Uint8Array }
  | { readonly type: 'cpace-finished'; readonly isk: Uint8Array }
  /** A point that is invalid or the identity. */
  | { readonly type: 'refused' };
