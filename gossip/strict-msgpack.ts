import { Packr, Unpackr } from 'msgpackr';
import { MalformedDelta } from './channel.ts';

/**
 * MessagePack restricted to what the control plane speaks: nil, booleans, numbers, text, byte strings and arrays.
 * msgpackr also decodes extensions (records, references, dates, errors, ...); none of them may come from the wire,
 * so the bytes are walked before the decoder sees them.
 */

const MAX_DEPTH = 6;

const packr = new Packr({ useRecords: false });
const unpackr = new Unpackr({ useRecords: false });

/** Encodes one value made of null, booleans, numbers, strings, byte arrays and arrays. */
export function pack(value: unknown): Uint8Array {
  return packr.pack(value);
}

/** Decodes exactly one value. Throws {@link MalformedDelta} on anything outside the closed set. */
export function unpack(bytes: Uint8Array): unknown {
  if (!isClosed(bytes)) throw new MalformedDelta('not in the closed set of MessagePack');
  return unpackr.unpack(bytes);
}

/** Bytes of a token and its fixed payload; 0 = refused. */
const FIXED = new Uint8Array(256);
/** Bytes of the length field that follows a token. */
const LENGTH_FIELD = new Uint8Array(256);
/** 1 where the length counts array items, 0 where it counts bytes. */
const HOLDS_ITEMS = new Uint8Array(256);

FIXED.fill(1, 0x00, 0x80).fill(1, 0x90, 0xc1).fill(1, 0xc2, 0xc4).fill(1, 0xe0, 0x100);
for (let n = 0; n < 32; n++) FIXED[0xa0 + n] = 1 + n;
const numberTokens: [number, number][] = [
  [0xca, 5],
  [0xcb, 9],
  [0xcc, 2],
  [0xcd, 3],
  [0xce, 5],
  [0xd0, 2],
  [0xd1, 3],
  [0xd2, 5],
];
for (const [token, size] of numberTokens) FIXED[token] = size;
const lengthTokens: [number, number, number][] = [
  [0xc4, 1, 0],
  [0xc5, 2, 0],
  [0xc6, 4, 0],
  [0xd9, 1, 0],
  [0xda, 2, 0],
  [0xdb, 4, 0],
  [0xdc, 2, 1],
  [0xdd, 4, 1],
];
for (const [token, size, items] of lengthTokens) {
  FIXED[token] = 1 + size;
  LENGTH_FIELD[token] = size;
  HOLDS_ITEMS[token] = items;
}

/** Whether `bytes` are exactly one value of the closed set, complete and not nested too deeply. */
function isClosed(bytes: Uint8Array): boolean {
  const open = [1];
  let at = 0;
  while (open.length > 0) {
    const top = open.length - 1;
    if (open[top] === 0) {
      open.pop();
      continue;
    }
    open[top]!--;
    const token = bytes[at];
    if (token === undefined || FIXED[token] === 0) return false;
    const count = lengthAt(bytes, at, token);
    at += FIXED[token]!;
    if (count > bytes.length - at) return false;
    if (token >> 4 === 0x9 || HOLDS_ITEMS[token] === 1) open.push(count);
    else at += count;
    if (open.length > MAX_DEPTH) return false;
  }
  return at === bytes.length;
}

/** Items of an array, or bytes after the length field; 0 for tokens without one. */
function lengthAt(bytes: Uint8Array, at: number, token: number): number {
  if (token >> 4 === 0x9) return token & 15;
  let length = 0;
  for (let i = 1; i <= LENGTH_FIELD[token]!; i++) length = length * 256 + (bytes[at + i] ?? 0);
  return length;
}

/** An array of exactly `length` items. This and what follows throw {@link MalformedDelta} naming `what`. */
export function tuple(value: unknown, length: number, what: string): readonly unknown[] {
  if (!Array.isArray(value) || value.length !== length) throw new MalformedDelta(what);
  return value;
}

/** An array of at most `max` items. */
export function list(value: unknown, max: number, what: string): readonly unknown[] {
  if (!Array.isArray(value) || value.length > max) throw new MalformedDelta(what);
  return value;
}

/** An integer in [0, max]. */
export function uint(value: unknown, max: number, what: string): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0 || value > max) {
    throw new MalformedDelta(what);
  }
  return value;
}

/** Text of at most `max` UTF-16 units, control characters replaced: it ends up in logs and on terminals. */
export function text(value: unknown, max: number, what: string): string {
  if (typeof value !== 'string' || value.length > max) throw new MalformedDelta(what);
  return value.replace(/[\p{Cc}\p{Cf}\p{Cs}]/gu, '?');
}

/** Between `min` and `max` bytes. A view of the decoded message: copy what is kept. */
export function blob(value: unknown, min: number, max: number, what: string): Uint8Array {
  if (!(value instanceof Uint8Array) || value.length < min || value.length > max) {
    throw new MalformedDelta(what);
  }
  return value;
}

export function flag(value: unknown, what: string): boolean {
  if (typeof value !== 'boolean') throw new MalformedDelta(what);
  return value;
}
