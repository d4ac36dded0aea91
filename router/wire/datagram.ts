/**
 * The datagram that carries one inner message (all integers little-endian):
 *
 *      0       1       2       3       4               8                              16
 *     +-------+-------+---------------+---------------+------------------------------+---------------+--------+
 *     | type  | phase | reserved = 0  | receiver index| counter                      | ciphertext .. | tag 16 |
 *     +-------+-------+---------------+---------------+------------------------------+---------------+--------+
 *
 * Sealed: ChaCha20-Poly1305-IETF (RFC 8439), no associated data, so that a relay may rewrite the index.
 * Plain: the payload in clear, the receiver's cookie in place of the tag.
 */
export const TYPE_SEALED = 1;
export const TYPE_PLAIN = 2;

export const HEADER_BYTES = 16;
export const TAG_BYTES = 16;
/** What a datagram adds to its inner message. */
export const DATAGRAM_OVERHEAD = HEADER_BYTES + TAG_BYTES;
/** Inner kind and flags: no datagram carries less. */
const SHORTEST = DATAGRAM_OVERHEAD + 2;
/** Largest UDP payload over IPv4. */
export const LONGEST_DATAGRAM = 65_507;

/**
 * One past the largest counter of a key. Keys are replaced long before; 2^53 is where doubles stop being exact.
 */
export const COUNTER_LIMIT = 2 ** 53 - 1;

export type DatagramFault = 'datagram-too-short' | 'datagram-type-unknown' | 'datagram-reserved-bits';

const AT_PHASE = 1;
const AT_RESERVED = 2;
const AT_INDEX = 4;
const AT_COUNTER = 8;

/** What is wrong with the header, or undefined: the accessors below are safe then. */
export function datagramFault(datagram: Uint8Array): DatagramFault | undefined {
  if (datagram.length < SHORTEST) return 'datagram-too-short';
  if (datagram[0] !== TYPE_SEALED && datagram[0] !== TYPE_PLAIN) return 'datagram-type-unknown';
  if (datagram[AT_RESERVED] !== 0 || datagram[AT_RESERVED + 1] !== 0) return 'datagram-reserved-bits';
  return undefined;
}

export function datagramType(datagram: Uint8Array): number {
  return datagram[0]!;
}

export function datagramPhase(datagram: Uint8Array): number {
  return datagram[AT_PHASE]!;
}

export function datagramIndex(datagram: Uint8Array): number {
  return readU32(datagram, AT_INDEX);
}

/** Exact below 2^53; what is above is not below {@link COUNTER_LIMIT} either, and no sender gets there. */
export function datagramCounter(datagram: Uint8Array): number {
  return readU32(datagram, AT_COUNTER) + readU32(datagram, AT_COUNTER + 4) * 2 ** 32;
}

export function writeDatagramHeader(
  out: Uint8Array,
  type: number,
  phase: number,
  index: number,
  counter: number,
): void {
  out[0] = type;
  out[AT_PHASE] = phase;
  out[AT_RESERVED] = 0;
  out[AT_RESERVED + 1] = 0;
  writeU32(index, out, AT_INDEX);
  writeU32(counter % 2 ** 32, out, AT_COUNTER);
  writeU32(Math.floor(counter / 2 ** 32), out, AT_COUNTER + 4);
}

/** What a relay does: all else stays as it is. */
export function rewriteDatagramIndex(datagram: Uint8Array, index: number): void {
  writeU32(index, datagram, AT_INDEX);
}

/** The caller has checked the length. */
export function readU32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}

export function writeU32(value: number, out: Uint8Array, at: number): void {
  out[at] = value;
  out[at + 1] = value >>> 8;
  out[at + 2] = value >>> 16;
  out[at + 3] = value >>> 24;
}

export function readU16(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8);
}

export function writeU16(value: number, out: Uint8Array, at: number): void {
  out[at] = value;
  out[at + 1] = value >>> 8;
}
