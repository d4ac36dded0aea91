/** Two digits per byte: names and ids are written and read with every message. */
const HEX_PAIRS = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));
const NO_DIGIT = 255;
/** The value of a digit by its character code. */
const DIGITS = new Uint8Array(128).fill(NO_DIGIT);
for (let value = 0; value < 16; value++) {
  const digit = value.toString(16);
  DIGITS[digit.charCodeAt(0)] = value;
  DIGITS[digit.toUpperCase().charCodeAt(0)] = value;
}

/** The lower-case hexadecimal digits of a byte. */
export function hexPair(byte: number): string {
  return HEX_PAIRS[byte]!;
}

/** Lower-case hexadecimal digits of `bytes`. */
export function toHex(bytes: Uint8Array): string {
  let out = '';
  for (const byte of bytes) out += HEX_PAIRS[byte]!;
  return out;
}

/** The byte that the two hexadecimal digits at `at` stand for; above 255 if they are anything else. */
export function hexByteAt(text: string, at: number): number {
  const high = DIGITS[text.charCodeAt(at)] ?? NO_DIGIT;
  const low = DIGITS[text.charCodeAt(at + 1)] ?? NO_DIGIT;
  return low === NO_DIGIT ? 256 : high * 16 + low;
}

/** The bytes that an even number of hexadecimal digits stands for; undefined if `text` is anything else. */
export function fromHex(text: string): Uint8Array | undefined {
  if (text.length % 2 !== 0) return undefined;
  const out = new Uint8Array(text.length / 2);
  for (let i = 0; i < out.length; i++) {
    const byte = hexByteAt(text, 2 * i);
    if (byte > 255) return undefined;
    out[i] = byte;
  }
  return out;
}

export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  return concatAll(parts);
}

/** The same for any number of parts: as arguments there can only be some ten thousand. */
export function concatAll(parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const out = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Plain equality, not in constant time: for public values only. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Order of byte strings: first difference decides, a prefix comes first. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const n = Math.min(a.length, b.length);
  for (let i = 0; i < n; i++) {
    const difference = a[i]! - b[i]!;
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** UTF-8. TextEncoder and TextDecoder are platform-neutral and without effects. */
export function utf8(text: string): Uint8Array {
  return encoder.encode(text);
}

const encoder = new TextEncoder();

/**
 * Room for a secret outside of the heap that V8 tidies up: there, arrays of up to 64 bytes are moved, and copied when
 * another thread or the addon is to see them, and what they leave behind cannot be wiped. Taking a subarray copies, too.
 */
export function secretRoom(length: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new ArrayBuffer(length));
}

/** UTF-8 in such room, with no copy elsewhere. */
export function secretUtf8(text: string): Uint8Array<ArrayBuffer> {
  // No UTF-16 unit takes more than three bytes.
  const room = secretRoom(3 * text.length);
  const secret = secretCopy(room, encoder.encodeInto(text, room).written);
  room.fill(0);
  return secret;
}

/** The first `length` of `bytes` in such room; the caller wipes `bytes`. */
export function secretCopy(bytes: Uint8Array, length = bytes.length): Uint8Array<ArrayBuffer> {
  const copy = secretRoom(length);
  for (let i = 0; i < length; i++) copy[i] = bytes[i]!;
  return copy;
}
