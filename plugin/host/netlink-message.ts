import { concatBytes, utf8 } from '../../core/bytes.ts';

/**
 * Messages of netlink (RFC 3549, linux/netlink.h), numbers in the order of this machine:
 *
 * ```
 * length u32 | type u16 | flags u16 | sequence u32 | port u32 | fixed part | attributes
 * attribute: length u16 | type u16 | value | zeros up to a multiple of 4
 * ```
 */
const HEADER = 16;
const ATTRIBUTE_HEADER = 4;
const ALIGNMENT = 4;
const NESTED = 0x8000;

/** NLM_F_ACK without NLM_F_REQUEST makes no sense, so both are one here. */
export const ACKNOWLEDGED = 0x0001 | 0x0004;
export const UNACKNOWLEDGED = 0x0001;
export const REPLACE = 0x0100;
export const EXCLUSIVE = 0x0200;
export const CREATE = 0x0400;

export function u8(value: number): Uint8Array {
  return Uint8Array.of(value);
}

export function u16(value: number): Uint8Array {
  return new Uint8Array(Uint16Array.of(value).buffer);
}

export function u32(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer);
}

/** With the zero byte that the kernel expects at its end. */
export function text(value: string): Uint8Array {
  return concatBytes(utf8(value), u8(0));
}

export function attribute(type: number, ...value: readonly Uint8Array[]): Uint8Array {
  const length = ATTRIBUTE_HEADER + value.reduce((sum, { length }) => sum + length, 0);
  return concatBytes(u16(length), u16(type), ...value, padding(length));
}

/** An attribute made of attributes. */
export function nested(type: number, ...attributes: readonly Uint8Array[]): Uint8Array {
  return attribute(type | NESTED, ...attributes);
}

/** `parts` = the fixed part and the attributes, each of a length that is a multiple of 4. */
export function message(type: number, flags: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const length = HEADER + parts.reduce((sum, { length }) => sum + length, 0);
  return concatBytes(u32(length), u16(type), u16(flags), u32(0), u32(0), ...parts);
}

export interface Message {
  readonly type: number;
  /** Fixed part and attributes. */
  readonly body: Uint8Array;
}

/** What came one after another; the rest is passed over where a length does not fit. */
export function parseMessages(bytes: Uint8Array): Message[] {
  return split(bytes, HEADER, (view, at) => [view.getUint32(at, LITTLE), view.getUint16(at + 4, LITTLE)]);
}

/** The attributes from `at` on; of a repeated type the last. */
export function parseAttributes(body: Uint8Array, at: number): ReadonlyMap<number, Uint8Array> {
  const read = (view: DataView, place: number): [number, number] => [
    view.getUint16(place, LITTLE),
    view.getUint16(place + 2, LITTLE) & ~NESTED,
  ];
  return new Map(
    split(body.subarray(at), ATTRIBUTE_HEADER, read).map(({ type, body: value }) => [type, value]),
  );
}

/** Without the zero byte at its end. */
export function readText(bytes: Uint8Array | undefined): string | undefined {
  if (bytes === undefined) return undefined;
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}

/** Undefined if there are not 4 bytes at `at`. */
export function readU32(bytes: Uint8Array | undefined, at = 0): number | undefined {
  if (bytes === undefined || bytes.length < at + 4) return undefined;
  return viewOf(bytes).getUint32(at, LITTLE);
}

const LITTLE = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

function split(
  bytes: Uint8Array,
  header: number,
  read: (view: DataView, at: number) => readonly [length: number, type: number],
): Message[] {
  const out: Message[] = [];
  const view = viewOf(bytes);
  for (let at = 0; bytes.length - at >= header;) {
    const [length, type] = read(view, at);
    if (length < header || length > bytes.length - at) break;
    out.push({ type, body: bytes.subarray(at + header, at + length) });
    at += length + padding(length).length;
  }
  return out;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function padding(length: number): Uint8Array {
  return new Uint8Array(-length & (ALIGNMENT - 1));
}
