import { hexByteAt, hexPair } from './bytes.ts';

/**
 * A peer's name: 48 bits, as six lower-case hexadecimal pairs with colons ("7a:01:..").
 * Comparing two names as strings compares them as numbers.
 */
export type PeerName = string & { readonly brand: 'PeerName' };

export const PEER_NAME_BYTES = 6;

/** Accepts a MAC in the usual notation and the short forms with one "::" ("::1" = 00:00:00:00:00:01). */
export function parsePeerName(text: string): PeerName | undefined {
  const groups = text.toLowerCase().split('::');
  if (groups.length > 2) return undefined;
  const head = groups[0] === '' ? [] : groups[0]!.split(':');
  const tail = groups.length < 2 || groups[1] === '' ? [] : groups[1]!.split(':');
  const missing = 6 - head.length - tail.length;
  if (groups.length === 1 ? missing !== 0 : missing < 1) return undefined;
  const all = [...head, ...Array<string>(missing).fill('0'), ...tail];
  if (!all.every((part) => /^[0-9a-f]{1,2}$/.test(part))) return undefined;
  return all.map((part) => part.padStart(2, '0')).join(':') as PeerName;
}

/** Writes the six bytes of `name` to `out` at `offset`. */
export function writePeerName(name: PeerName, out: Uint8Array, offset: number): void {
  for (let i = 0; i < PEER_NAME_BYTES; i++) out[offset + i] = hexByteAt(name, 3 * i);
}

/** The 48 bits of a name as a number. */
export function peerNameNumber(name: PeerName): number {
  let number = 0;
  for (let i = 0; i < PEER_NAME_BYTES; i++) number = number * 256 + hexByteAt(name, 3 * i);
  return number;
}

/** Reads six bytes; the caller has checked the length. */
export function readPeerName(bytes: Uint8Array, offset: number): PeerName {
  const number = numberAt(bytes, offset);
  const known = knownNames.get(number);
  if (known !== undefined) return known;
  if (knownNames.size >= MAX_KNOWN_NAMES) knownNames.clear();
  const name = formatPeerName(bytes, offset);
  knownNames.set(number, name);
  return name;
}

/** Names are read with every message: those read lately are kept, as one string each, which compares fast. */
const knownNames = new Map<number, PeerName>();
const MAX_KNOWN_NAMES = 16_384;

/** 48 bits fit a number. */
function numberAt(bytes: Uint8Array, offset: number): number {
  const low = (bytes[offset + 3]! << 16) | (bytes[offset + 4]! << 8) | bytes[offset + 5]!;
  return ((bytes[offset]! << 16) | (bytes[offset + 1]! << 8) | bytes[offset + 2]!) * 0x1000000 + low;
}

function formatPeerName(bytes: Uint8Array, offset: number): PeerName {
  let name = hexPair(bytes[offset]!);
  for (let i = 1; i < PEER_NAME_BYTES; i++) name += `:${hexPair(bytes[offset + i]!)}`;
  return name as PeerName;
}

/** Byte-wise ascending, the order of every iteration that reaches the wire or a decision. */
export function compareNames(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
