import { concatBytes, secretCopy, utf8 } from '../../core/bytes.ts';
import { lengthPrefixed } from './length-prefixed.ts';
import { KEY_BYTES } from './primitives.ts';
import type { Primitives } from './primitives.ts';

/** The channel identifier CI of CPace: keeps this protocol's keys apart from any other's. */
export const CHANNEL_ID = utf8('weave-ts/1');

const MAC_LABEL = utf8('CPaceMac');
const LABEL_A_TO_B = utf8('weave-ts a>b');
const LABEL_B_TO_A = utf8('weave-ts b>a');

/** Identifies a connection on both ends: SHA-512(nonce of the dialler | nonce of the acceptor), 64 bytes. */
export function connectionId(primitives: Primitives, nonceA: Uint8Array, nonceB: Uint8Array): Uint8Array {
  return primitives.sha512(concatBytes(nonceA, nonceB));
}

export interface ConfirmationTags {
  /** 64 bytes each. */
  readonly a: Uint8Array;
  readonly b: Uint8Array;
}

/** One end's part of the exchange: its element and its associated data. */
export interface Share {
  readonly element: Uint8Array;
  readonly associated: Uint8Array;
}

/** Key confirmation as the draft recommends it: T = HMAC-SHA-512(mac_key, lv_cat(own element, own data)). */
export function confirmationTags(
  primitives: Primitives,
  sid: Uint8Array,
  isk: Uint8Array,
  a: Share,
  b: Share,
): ConfirmationTags {
  const secret = concatBytes(MAC_LABEL, sid, isk);
  const macKey = primitives.sha512(secret);
  primitives.wipe(secret);
  const tags = {
    a: primitives.hmacSha512(macKey, lengthPrefixed(a.element, a.associated)),
    b: primitives.hmacSha512(macKey, lengthPrefixed(b.element, b.associated)),
  };
  primitives.wipe(macKey);
  return tags;
}

/** Keys of 32 bytes for the secret streams of the two directions. */
export function streamKeys(primitives: Primitives, isk: Uint8Array): { aToB: Uint8Array; bToA: Uint8Array } {
  return { aToB: streamKey(primitives, LABEL_A_TO_B, isk), bToA: streamKey(primitives, LABEL_B_TO_A, isk) };
}

function streamKey(primitives: Primitives, label: Uint8Array, isk: Uint8Array): Uint8Array {
  const secret = concatBytes(label, isk);
  const hash = primitives.sha512(secret);
  const key = secretCopy(hash, KEY_BYTES);
  primitives.wipe(secret);
  primitives.wipe(hash);
  return key;
}
