import { secretCopy } from '../../core/bytes.ts';
import { sodium } from './libsodium.ts';

/** The group ristretto255 (RFC 9496). Points and scalars have 32 bytes, scalars with the least significant first. */
const BYTES = 32;

/** The one-way map of 64 uniform bytes to a point. */
export function pointFromHash(hash: Uint8Array): Uint8Array {
  return sodium.crypto_core_ristretto255_from_hash(hash);
}

/** 64 bytes modulo the order of the group. */
export function reducedScalar(bytes: Uint8Array): Uint8Array {
  const reduced = sodium.crypto_core_ristretto255_scalar_reduce(bytes);
  const scalar = secretCopy(reduced);
  reduced.fill(0);
  return scalar;
}

/** scalar * point; undefined if the point is not canonically encoded, or the product is the identity. */
export function multiplied(scalar: Uint8Array, point: Uint8Array): Uint8Array | undefined {
  if (scalar.length !== BYTES) throw new RangeError('A scalar has 32 bytes.');
  if (point.length !== BYTES) return undefined;
  try {
    return sodium.crypto_scalarmult_ristretto255(scalar, point);
  } catch {
    // libsodium's own way of saying so.
    return undefined;
  }
}
