import { Packr } from 'msgpackr';

/**
 * MessagePack restricted to nil, booleans, numbers, text, byte strings and arrays. Everything from outside is read by
 * this decoder and no other: it knows nothing of extensions and maps, and trusts no count that the bytes do not hold.
 */

/** What {@link unpack} gives. Byte strings are views of the bytes that were decoded. */
export type Packed = null | boolean | number | string | Uint8Array | readonly Packed[];

/** Arrays within arrays; what is spoken needs five. */
const MAX_DEPTH = 8;
/** Up to here an array is made at once: growing one item by item reserves more than it holds, and a count may lie. */
const SHORT_ARRAY = 64;
/** Up to here text is read byte by byte, which is faster than the decoder while all of it is ASCII. */
const SHORT_TEXT = 48;

const packr = new Packr({ useRecords: false });
const textDecoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** Encodes one value made of null, booleans, numbers, strings, byte arrays and arrays. The bytes are the caller's. */
export function pack(value: unknown): Uint8Array {
  return new Uint8Array(packr.pack(value));
}

/** Writes MessagePack piece by piece, where some of it is there as bytes already. */
export class PackWriter {
  readonly #bytes: Uint8Array;
  #at = 0;

  /** With room for `bytes` bytes, which are to be enough. */
  constructor(bytes: number) {
    this.#bytes = new Uint8Array(bytes);
  }

  /** All that was written. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#at);
  }

  /** Of an array whose items follow. */
  array(items: number): void {
    if (items < 16) return this.byte(0x90 | items);
    this.byte(items < 0x10000 ? 0xdc : 0xdd);
    this.#integer(items, items < 0x10000 ? 2 : 4);
  }

  /** A whole number of at most 53 bits. */
  unsigned(value: number): void {
    if (value < 0x80) return this.byte(value);
    const log = value < 0x100 ? 0 : value < 0x10000 ? 1 : value < 2 ** 32 ? 2 : 3;
    this.byte(0xcc + log);
    if (log === 3) this.#integer(Math.floor(value / 2 ** 32), 4);
    this.#integer(value % 2 ** 32, Math.min(4, 1 << log));
  }

  blob(bytes: Uint8Array): void {
    this.blobHeader(bytes.length);
    this.raw(bytes);
  }

  /** Of a byte string whose `length` bytes follow. */
  blobHeader(length: number): void {
    const log = length < 0x100 ? 0 : length < 0x10000 ? 1 : 2;
    this.byte(0xc4 + log);
    this.#integer(length, 1 << log);
  }

  /** As they are. */
  raw(bytes: Uint8Array): void {
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  byte(value: number): void {
    this.#bytes[this.#at++] = value;
  }

  #integer(value: number, width: number): void {
    for (let shift = 8 * (width - 1); shift >= 0; shift -= 8) this.byte((value >>> shift) & 255);
  }
}

/**
 * Decodes exactly one value; undefined if the bytes are anything else. It costs time and memory in proportion to the
 * bytes: at most some 40 times as many. Text that is no UTF-8 has U+FFFD in the place of what is wrong.
 */
export function unpack(bytes: Uint8Array): Packed | undefined {
  const reader = new Reader(bytes);
  const value = reader.value(MAX_DEPTH);
  return reader.at === bytes.length ? value : undefined;
}

/** A value that cannot be read is undefined, and ends the reading. */
class Reader {
  at = 0;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** `depth`: how many arrays may lie within each other from here on. */
  value(depth: number): Packed | undefined {
    if (this.at >= this.#bytes.length) return undefined;
    const token = this.#bytes[this.at++]!;
    if (token <= 0x7f) return token;
    if (token >= 0xe0) return token - 0x100;
    if (token === 0xcd) return this.#unsigned(2);
    if (token >= 0xc0) return this.#tagged(token, depth);
    if (token >= 0xa0) return this.#text(token & 0x1f);
    return token >= 0x90 ? this.#array(token & 0x0f, depth) : undefined;
  }

  #tagged(token: number, depth: number): Packed | undefined {
    switch (token) {
      case 0xc0:
        return null;
      case 0xc2:
      case 0xc3:
        return token === 0xc3;
      case 0xc4:
      case 0xc5:
      case 0xc6:
        return this.#blob(this.#unsigned(1 << (token - 0xc4)));
      case 0xd9:
      case 0xda:
      case 0xdb:
        return this.#text(this.#unsigned(1 << (token - 0xd9)));
      case 0xdc:
      case 0xdd:
        return this.#array(this.#unsigned(2 << (token - 0xdc)), depth);
      default:
        return this.#number(token);
    }
  }

  #number(token: number): number | undefined {
    if (token === 0xcb) return this.#float();
    if (token >= 0xcc && token <= 0xcf) return this.#unsigned(1 << (token - 0xcc));
    if (token >= 0xd0 && token <= 0xd3) return this.#signed(1 << (token - 0xd0));
    return undefined;
  }

  /** Undefined above 2^53 - 1, which a double does not hold exactly. */
  #unsigned(width: number): number | undefined {
    if (width > this.#bytes.length - this.at) return undefined;
    const bytes = this.#bytes;
    let value = bytes[this.at++]!;
    for (let i = 1; i < width; i++) value = value * 256 + bytes[this.at++]!;
    return value <= Number.MAX_SAFE_INTEGER ? value : undefined;
  }

  #signed(width: number): number | undefined {
    const negative = this.#bytes[this.at]! >= 0x80;
    if (!negative) return this.#unsigned(width);
    if (width > this.#bytes.length - this.at) return undefined;
    let below = 0;
    for (let i = 0; i < width; i++) below = below * 256 + (255 - this.#bytes[this.at + i]!);
    this.at += width;
    return below < Number.MAX_SAFE_INTEGER ? -1 - below : undefined;
  }

  #float(): number | undefined {
    const { buffer, byteOffset, length } = this.#bytes;
    if (length - this.at < 8) return undefined;
    this.at += 8;
    return new DataView(buffer, byteOffset).getFloat64(this.at - 8);
  }

  #blob(length: number | undefined): Uint8Array | undefined {
    const { buffer, byteOffset } = this.#bytes;
    if (length === undefined || length > this.#bytes.length - this.at) return undefined;
    this.at += length;
    return new Uint8Array(buffer, byteOffset + this.at - length, length);
  }

  #text(length: number | undefined): string | undefined {
    if (length === undefined || length > this.#bytes.length - this.at) return undefined;
    const end = this.at + length;
    const text = length <= SHORT_TEXT ? this.#ascii(end) : undefined;
    const decoded = text ?? textDecoder.decode(this.#bytes.subarray(this.at, end));
    this.at = end;
    return decoded;
  }

  /** Undefined if there is anything else. */
  #ascii(end: number): string | undefined {
    let text = '';
    for (let i = this.at; i < end; i++) {
      const byte = this.#bytes[i]!;
      if (byte > 0x7f) return undefined;
      text += String.fromCharCode(byte);
    }
    return text;
  }

  /** An item takes a byte at least, so a count that cannot be true is refused before anything is made. */
  #array(count: number | undefined, depth: number): Packed[] | undefined {
    if (count === undefined || depth === 0 || count > this.#bytes.length - this.at) return undefined;
    const items: Packed[] = count <= SHORT_ARRAY ? new Array<Packed>(count) : [];
    for (let i = 0; i < count; i++) {
      const item = this.value(depth - 1);
      if (item === undefined) return undefined;
      items[i] = item;
    }
    return items;
  }
}
