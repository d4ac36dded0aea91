import { concatBytes, secretCopy, secretRoom, utf8 } from '../../core/bytes.ts';
import { KEY_BYTES, type Primitives } from './primitives.ts';

const LABEL = utf8('weave-ts lane');

/**
 * The keys of one direction of a session with `lanes` lanes, 32 bytes each, one behind the other. Lane 0 has the key
 * that Split gives; lane n > 0 the first 32 bytes of HMAC-SHA512(that key, "weave-ts lane" | n u8), so that no key seals
 * for two counters. `key` is wiped, unless it is all that is needed: then it is the result.
 */
export function keysOfLanes(primitives: Primitives, key: Uint8Array, lanes: number): Uint8Array {
  if (lanes === 1) return key;
  const keys = secretRoom(lanes * KEY_BYTES);
  keys.set(key);
  for (let lane = 1; lane < lanes; lane++) {
    const derived = primitives.hmacSha512(key, concatBytes(LABEL, Uint8Array.of(lane)));
    keys.set(derived.subarray(0, KEY_BYTES), lane * KEY_BYTES);
    primitives.wipe(derived);
  }
  primitives.wipe(key);
  return keys;
}

/** A copy of one lane's key, which the caller wipes. */
export function keyOfLane(keys: Uint8Array, lane: number): Uint8Array {
  return secretCopy(keys.subarray(lane * KEY_BYTES, (lane + 1) * KEY_BYTES));
}
