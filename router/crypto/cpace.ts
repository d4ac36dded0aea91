import { concatBytes, secretCopy, utf8 } from '../../core/bytes.ts';
import type { CryptoJob, CryptoResult } from '../../gossip/secure-channel.ts';
import { leb128, lengthPrefixed } from './length-prefixed.ts';
import { multiplied, pointFromHash, reducedScalar } from './ristretto.ts';
import { sha512 } from '../../core/sha512.ts';

/**
 * CPace, a balanced password-authenticated key exchange: draft-irtf-cfrg-cpace, cipher suite
 * CPACE-RISTR255-SHA512 in its initiator-responder setting. Names follow the draft.
 */

const DSI = utf8('CPaceRistretto255');
const DSI_ISK = utf8('CPaceRistretto255_ISK');
/** Input block of SHA-512: the password is padded to fill the first one, so that its length does not show in time. */
const BLOCK_BYTES = 128;

const refused: CryptoResult = { type: 'refused' };

/** Does one job. Never throws on elements that others sent: the answer is `refused`. */
export function runCpaceJob(job: CryptoJob): CryptoResult {
  switch (job.type) {
    case 'cpace-start': {
      const scalar = sampleScalar(job.seed);
      const element = ownElement(job, scalar);
      return element === undefined ? refused : { type: 'cpace-started', scalar, element };
    }
    case 'cpace-answer': {
      const scalar = sampleScalar(job.seed);
      const element = ownElement(job, scalar);
      const shared = sharedElement(scalar, job.elementA);
      scalar.fill(0);
      if (element === undefined || shared === undefined) return refused;
      return { type: 'cpace-answered', element, isk: lastKey(shared, { ...job, elementB: element }) };
    }
    case 'cpace-finish': {
      const shared = sharedElement(job.scalar, job.elementB);
      return shared === undefined ? refused : { type: 'cpace-finished', isk: lastKey(shared, job) };
    }
  }
}

/** Overwrites what a result holds of secrets; those of the job are its owner's. */
export function wipeResult(result: CryptoResult): void {
  if (result.type === 'cpace-started') result.scalar.fill(0);
  else if (result.type !== 'refused') result.isk.fill(0);
}

function ownElement(
  job: Extract<CryptoJob, { password: Uint8Array }>,
  scalar: Uint8Array,
): Uint8Array | undefined {
  const base = generator(job.password, job.channelId, job.sid);
  const element = publicElement(base, scalar);
  base.fill(0);
  return element;
}

/** The session key; wipes `shared`. */
function lastKey(shared: Uint8Array, transcript: CpaceTranscript): Uint8Array {
  const isk = sessionKey(shared, transcript);
  shared.fill(0);
  return isk;
}

/** calculate_generator(PRS, CI, sid): the encoded point that stands for the password. */
export function generator(password: Uint8Array, channelId: Uint8Array, sid: Uint8Array): Uint8Array {
  const text = generatorString(password, channelId, sid);
  const hash = sha512(text);
  text.fill(0);
  const point = pointFromHash(hash);
  hash.fill(0);
  return point;
}

/** A scalar below the group's order from 64 random bytes; 32 bytes, least significant first. */
export function sampleScalar(seed: Uint8Array): Uint8Array {
  if (seed.length !== 64) throw new RangeError('A scalar is sampled from 64 bytes.');
  return reducedScalar(seed);
}

/** Y = scalar * g; undefined for the scalar zero or an invalid generator. */
export function publicElement(encodedGenerator: Uint8Array, scalar: Uint8Array): Uint8Array | undefined {
  return sharedElement(scalar, encodedGenerator);
}

/** scalar_mult_vfy: K = scalar * Y; undefined if Y is no canonical encoding (RFC 9496) or K is the identity. */
export function sharedElement(scalar: Uint8Array, element: Uint8Array): Uint8Array | undefined {
  return multiplied(scalar, element);
}

export interface CpaceTranscript {
  readonly sid: Uint8Array;
  readonly elementA: Uint8Array;
  readonly associatedA: Uint8Array;
  readonly elementB: Uint8Array;
  readonly associatedB: Uint8Array;
}

/** ISK, 64 bytes, over the ordered transcript. */
export function sessionKey(shared: Uint8Array, transcript: CpaceTranscript): Uint8Array {
  const { sid, elementA, associatedA, elementB, associatedB } = transcript;
  const secret = lengthPrefixed(DSI_ISK, sid, shared);
  const input = concatBytes(
    secret,
    lengthPrefixed(elementA, associatedA),
    lengthPrefixed(elementB, associatedB),
  );
  const hash = sha512(input);
  const isk = secretCopy(hash);
  for (const bytes of [secret, input, hash]) bytes.fill(0);
  return isk;
}

function generatorString(password: Uint8Array, channelId: Uint8Array, sid: Uint8Array): Uint8Array {
  const used = [DSI, password].reduce((sum, { length }) => sum + leb128(length).length + length, 0);
  const padding = new Uint8Array(Math.max(0, BLOCK_BYTES - 1 - used));
  return lengthPrefixed(DSI, password, padding, channelId, sid);
}
