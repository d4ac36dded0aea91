import { concatBytes, equalBytes, utf8 } from '../../core/bytes.ts';

/**
 * The first bytes of a control connection, sent both ways at once. Their layout is the same in every version:
 *
 *    0        8             9             10      11           12       44
 *   | magic 8 | min version | max version | flags | reserved 0 | nonce 32 |
 *
 * Magic is "weave-ts". Flag bit 0: a password is set. Other flags and the reserved byte are ignored on receipt; with a
 * password the whole preamble is authenticated, so that nobody in between can take a version or a flag away.
 */

export const PREAMBLE_BYTES = 44;
export const PREAMBLE_NONCE_BYTES = 32;

/** The versions of the control protocol that this program speaks. */
export const PROTOCOL_VERSIONS: VersionRange = { min: 1, max: 1 };

const MAGIC = utf8('weave-ts');
const FLAG_PASSWORD = 1;

export interface VersionRange {
  readonly min: number;
  readonly max: number;
}

export interface Preamble {
  readonly versions: VersionRange;
  readonly password: boolean;
  /** 32 random bytes. */
  readonly nonce: Uint8Array;
}

/** False as soon as these first bytes of a stream, few or many, cannot be a preamble. */
export function mayBePreamble(bytes: Uint8Array): boolean {
  const length = Math.min(bytes.length, MAGIC.length);
  return equalBytes(bytes.subarray(0, length), MAGIC.subarray(0, length));
}

/** Exactly {@link PREAMBLE_BYTES} bytes that begin with the magic. */
export function parsePreamble(bytes: Uint8Array): Preamble {
  const versions = { min: bytes[8]!, max: bytes[9]! };
  return { versions, password: (bytes[10]! & FLAG_PASSWORD) !== 0, nonce: bytes.slice(12, PREAMBLE_BYTES) };
}

export function encodePreamble(preamble: Preamble): Uint8Array {
  const { versions, password, nonce } = preamble;
  return concatBytes(
    MAGIC,
    Uint8Array.of(versions.min, versions.max, password ? FLAG_PASSWORD : 0, 0),
    nonce.subarray(0, PREAMBLE_NONCE_BYTES),
  );
}

/** True if some version lies in both ranges; none lies in one whose ends are the wrong way round. */
export function versionsMeet(a: VersionRange, b: VersionRange): boolean {
  return Math.max(a.min, b.min) <= Math.min(a.max, b.max);
}
