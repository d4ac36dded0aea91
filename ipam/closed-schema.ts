import { toHex } from '../core/bytes.ts';
import { unpack } from '../core/msgpack.ts';
import type { PeerName } from '../core/peer-name.ts';
import { PEER_NAME_BYTES, readPeerName } from '../core/peer-name.ts';

/** Bytes that are not of the schema that they should be of. The message says where. */
export class SchemaViolation extends Error {
  override name = 'SchemaViolation';
}

/** Reads bytes from outside. Throws {@link SchemaViolation}. */
export function decoded(bytes: Uint8Array): unknown {
  const value = unpack(bytes);
  if (value === undefined) throw new SchemaViolation('bytes that are no MessagePack of the closed set');
  return value;
}

export function asList(value: unknown, what: string): readonly unknown[] {
  if (!Array.isArray(value)) throw new SchemaViolation(`${what} is not a list`);
  return value;
}

/** An integer in [min, max]. */
export function asInteger(value: unknown, min: number, max: number, what: string): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < min || value > max) {
    throw new SchemaViolation(`${what} is not an integer in its bounds`);
  }
  return value;
}

function asBytes(value: unknown, length: number, what: string): Uint8Array {
  if (!(value instanceof Uint8Array) || value.length !== length) {
    throw new SchemaViolation(`${what} is not ${length} bytes`);
  }
  return value;
}

export function asHex(value: unknown, length: number, what: string): string {
  return toHex(asBytes(value, length, what));
}

export function asText(value: unknown, maxLength: number, what: string): string {
  if (typeof value !== 'string' || value.length > maxLength) {
    throw new SchemaViolation(`${what} is not a text of at most ${maxLength} characters`);
  }
  return value;
}

export function asPeerName(value: unknown, what: string): PeerName {
  return readPeerName(asBytes(value, PEER_NAME_BYTES, what), 0);
}
