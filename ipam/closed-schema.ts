import { Packr, Unpackr } from 'msgpackr';
import { toHex } from '../core/bytes.ts';
import type { PeerName } from '../core/peer-name.ts';
import { PEER_NAME_BYTES, readPeerName } from '../core/peer-name.ts';

/** Bytes that are not of the schema that they should be of. The message says where. */
export class SchemaViolation extends Error {
  override name = 'SchemaViolation';
}

const MAX_DEPTH = 8;
const packr = new Packr({ useRecords: false, variableMapSize: true });
const unpackr = new Unpackr({ useRecords: false });

/** msgpack of arrays, integers below 2^53, booleans, strings, byte strings and nulls. */
export function pack(value: unknown): Uint8Array {
  return new Uint8Array(packr.pack(value));
}

/**
 * Reads bytes from outside. They are scanned before they are decoded: no extension types, and no count that the
 * bytes do not hold, so a few bytes never allocate much. Throws {@link SchemaViolation}.
 */
export function unpack(bytes: Uint8Array): unknown {
  if (scan(bytes, 0, MAX_DEPTH) !== bytes.length) throw new SchemaViolation('bytes after the end');
  return unpackr.unpack(bytes);
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

/** Returns the offset after the value at `at`. */
function scan(bytes: Uint8Array, at: number, depth: number): number {
  const tag = bytes[at];
  if (tag === undefined) throw new SchemaViolation('bytes end early');
  if (tag <= 0x7f || tag >= 0xe0) return at + 1;
  if (tag <= 0x8f) throw new SchemaViolation('a map');
  if (tag <= 0x9f) return scanList(bytes, at + 1, tag & 0x0f, depth);
  if (tag <= 0xbf) return within(bytes, at + 1 + (tag & 0x1f));
  if (tag === 0xdc) return scanList(bytes, at + 3, readLength(bytes, at + 1, 2), depth);
  if (tag === 0xdd) return scanList(bytes, at + 5, readLength(bytes, at + 1, 4), depth);
  const width = LENGTH_WIDTH.get(tag);
  if (width !== undefined) return within(bytes, at + 1 + width + readLength(bytes, at + 1, width));
  const fixed = FIXED_SIZE.get(tag);
  if (fixed === undefined) throw new SchemaViolation('a type outside the schema');
  return within(bytes, at + 1 + fixed);
}

/** Byte strings (0xc4..0xc6) and texts (0xd9..0xdb): bytes of their length field. */
const LENGTH_WIDTH = new Map([
  [0xc4, 1],
  [0xc5, 2],
  [0xc6, 4],
  [0xd9, 1],
  [0xda, 2],
  [0xdb, 4],
]);

/** nil, false, true, float64 and the integers: bytes after the tag. */
const FIXED_SIZE = new Map([
  [0xc0, 0],
  [0xc2, 0],
  [0xc3, 0],
  [0xcb, 8],
  [0xcc, 1],
  [0xcd, 2],
  [0xce, 4],
  [0xcf, 8],
  [0xd0, 1],
  [0xd1, 2],
  [0xd2, 4],
  [0xd3, 8],
]);

function scanList(bytes: Uint8Array, start: number, count: number, depth: number): number {
  if (depth === 0) throw new SchemaViolation('lists nested too deeply');
  if (count > bytes.length - start) throw new SchemaViolation('bytes end early');
  let at = start;
  for (let i = 0; i < count; i++) at = scan(bytes, at, depth - 1);
  return at;
}

function readLength(bytes: Uint8Array, at: number, width: number): number {
  within(bytes, at + width);
  let length = 0;
  for (let i = 0; i < width; i++) length = length * 256 + bytes[at + i]!;
  return length;
}

function within(bytes: Uint8Array, end: number): number {
  if (end > bytes.length) throw new SchemaViolation('bytes end early');
  return end;
}
