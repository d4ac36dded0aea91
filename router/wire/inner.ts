import { readU16, readU32, writeU16, writeU32 } from './datagram.ts';
import { ETHERNET_HEADER_BYTES } from './ethernet.ts';
import { MAC_BYTES, readMac, writeMac, type Mac } from './mac.ts';

/**
 * The inner message, plaintext of a datagram (integers little-endian):
 *
 *      0      1       2
 *     +------+-------+-----------+
 *     | kind | flags | payload ..|
 *     +------+-------+-----------+
 *
 *     frame                      Ethernet frame
 *     broadcast                  originator 6 | sequence u32 | ttl u8 | epoch u8 | Ethernet frame
 *     fragment                   id u32 | offset u16 | total u16 | bytes of an inner message of `total` bytes
 *     heartbeat, probe           path u32 | token 8 | zero padding
 *     heartbeat-ack, probe-ack   path u32 | token 8
 *     rekey                      phase u8 | step u8 | bytes
 *     macs                       version u32 | part u16 | parts u16 | 6 bytes each
 *     macs-ack                   version u32
 *     close                      reason u8
 *
 * The first three are the hot path: checked once, then read by offset and written as prefixes of plan entries.
 * The others are parsed to {@link LinkMessage}. Payload offsets in this file count from after kind and flags.
 */
export const KIND_FRAME = 1;
export const KIND_BROADCAST = 2;
export const KIND_FRAGMENT = 3;
const KIND_HEARTBEAT = 4;
const KIND_HEARTBEAT_ACK = 5;
const KIND_PROBE = 6;
const KIND_PROBE_ACK = 7;
const KIND_REKEY = 8;
const KIND_MACS = 9;
const KIND_MACS_ACK = 10;
const KIND_CLOSE = 11;

/** Kind and flags. */
export const INNER_HEADER_BYTES = 2;
export const BROADCAST_HEADER_BYTES = 12;
export const FRAGMENT_HEADER_BYTES = 8;
export const TOKEN_BYTES = 8;

/** On heartbeat-ack and probe-ack: frames on this path may come plain. */
const FLAG_PLAIN_WELCOME = 1;

const PATH_MESSAGE_BYTES = 4 + TOKEN_BYTES;
const MACS_HEADER_BYTES = 8;

/** Whether messages of this kind are for the switch; the others are for the link itself. */
export function carriesFrame(kind: number): boolean {
  return kind >= KIND_FRAME && kind <= KIND_FRAGMENT;
}

/** What the two ends of a link say to each other, apart from frames. */
export type LinkMessage =
  | PathRequest
  | PathAck
  /** Step 0 asks the initiator to begin; 1 and 2 carry the handshake. */
  | { readonly kind: 'rekey'; readonly phase: number; readonly step: number; readonly bytes: Uint8Array }
  | MacsPart
  | { readonly kind: 'macs-ack'; readonly version: number }
  | { readonly kind: 'close'; readonly reason: number };

/** Asks the other end to echo `path` (the sender's own number of the path) and `token` (8 random bytes). */
export interface PathRequest {
  readonly kind: 'heartbeat' | 'probe';
  readonly path: number;
  readonly token: Uint8Array;
}

export interface PathAck {
  readonly kind: 'heartbeat-ack' | 'probe-ack';
  readonly path: number;
  readonly token: Uint8Array;
  /** The request came from an address that both ends trust: frames on that path may come plain. */
  readonly plainWelcome: boolean;
}

/** One part of the list of MACs behind the sender; the parts of one version are numbered from 0. */
export interface MacsPart {
  readonly kind: 'macs';
  readonly version: number;
  readonly part: number;
  readonly parts: number;
  /** 6 bytes each. */
  readonly macs: Uint8Array;
}

/**
 * Parses the payload of `length` bytes at `offset` of a received inner message that is not on the hot path.
 * Undefined if the kind is unknown or hot, or the payload malformed. The result holds copies, not views.
 */
export function parseLinkMessage(
  kind: number,
  flags: number,
  data: Uint8Array,
  offset: number,
  length: number,
): LinkMessage | undefined {
  const payload = data.subarray(offset, offset + length);
  if (payload.length !== length) return undefined;
  switch (kind) {
    case KIND_HEARTBEAT:
      return parsePathRequest('heartbeat', payload);
    case KIND_PROBE:
      return parsePathRequest('probe', payload);
    case KIND_HEARTBEAT_ACK:
      return parsePathAck('heartbeat-ack', flags, payload);
    case KIND_PROBE_ACK:
      return parsePathAck('probe-ack', flags, payload);
    case KIND_REKEY:
      return parseRekey(payload);
    case KIND_MACS:
      return parseMacs(payload);
    case KIND_MACS_ACK:
      return length === 4 ? { kind: 'macs-ack', version: readU32(payload, 0) } : undefined;
    case KIND_CLOSE:
      return length === 1 ? { kind: 'close', reason: payload[0]! } : undefined;
    default:
      return undefined;
  }
}

/** Bytes of the encoded message, kind and flags included, without padding. */
export function linkMessageBytes(message: LinkMessage): number {
  switch (message.kind) {
    case 'heartbeat':
    case 'probe':
    case 'heartbeat-ack':
    case 'probe-ack':
      return INNER_HEADER_BYTES + PATH_MESSAGE_BYTES;
    case 'rekey':
      return INNER_HEADER_BYTES + 2 + message.bytes.length;
    case 'macs':
      return INNER_HEADER_BYTES + MACS_HEADER_BYTES + message.macs.length;
    case 'macs-ack':
      return INNER_HEADER_BYTES + 4;
    case 'close':
      return INNER_HEADER_BYTES + 1;
  }
}

/**
 * Writes the whole inner message, kind and flags included, at `at`; returns its length.
 * `size` pads heartbeats and probes with zeros to so many bytes in all, if that is more. Throws RangeError where
 * `out` is too short: the caller's mistake.
 */
export function writeLinkMessage(message: LinkMessage, out: Uint8Array, at: number, size = 0): number {
  const bytes = linkMessageBytes(message);
  const padded = message.kind === 'heartbeat' || message.kind === 'probe' ? Math.max(bytes, size) : bytes;
  if (at + padded > out.length) throw new RangeError(`No room for ${padded} bytes of ${message.kind}.`);
  out.fill(0, at + bytes, at + padded);
  out[at] = KIND_OF[message.kind];
  out[at + 1] = 'plainWelcome' in message && message.plainWelcome ? FLAG_PLAIN_WELCOME : 0;
  writePayload(message, out, at + INNER_HEADER_BYTES);
  return padded;
}

const KIND_OF: Readonly<Record<LinkMessage['kind'], number>> = {
  heartbeat: KIND_HEARTBEAT,
  'heartbeat-ack': KIND_HEARTBEAT_ACK,
  probe: KIND_PROBE,
  'probe-ack': KIND_PROBE_ACK,
  rekey: KIND_REKEY,
  macs: KIND_MACS,
  'macs-ack': KIND_MACS_ACK,
  close: KIND_CLOSE,
};

/** Prefix of a frame entry; returns its length. */
export function writeFramePrefix(out: Uint8Array, at: number, flags: number): number {
  out[at] = KIND_FRAME;
  out[at + 1] = flags;
  return INNER_HEADER_BYTES;
}

/** A `broadcast` payload that holds its header and an Ethernet header; the accessors are safe then. */
export function isBroadcast(length: number): boolean {
  return length >= BROADCAST_HEADER_BYTES + ETHERNET_HEADER_BYTES;
}

/** The originator's name as a number, see macOfName. */
export function broadcastOriginator(data: Uint8Array, offset: number): Mac {
  return readMac(data, offset);
}

export function broadcastSequence(data: Uint8Array, offset: number): number {
  return readU32(data, offset + 6);
}

export function broadcastTtl(data: Uint8Array, offset: number): number {
  return data[offset + 10]!;
}

export function broadcastEpoch(data: Uint8Array, offset: number): number {
  return data[offset + 11]!;
}

export interface BroadcastHeader {
  readonly originator: Mac;
  readonly sequence: number;
  readonly ttl: number;
  readonly epoch: number;
}

/** Prefix of a broadcast entry; returns its length. */
export function writeBroadcastPrefix(
  out: Uint8Array,
  at: number,
  flags: number,
  { originator, sequence, ttl, epoch }: BroadcastHeader,
): number {
  out[at] = KIND_BROADCAST;
  out[at + 1] = flags;
  writeMac(originator, out, at + 2);
  writeU32(sequence, out, at + 8);
  out[at + 12] = ttl;
  out[at + 13] = epoch;
  return INNER_HEADER_BYTES + BROADCAST_HEADER_BYTES;
}

/** A `fragment` payload whose bytes lie within its total and do not begin another fragment; the accessors are safe then. */
export function isFragment(data: Uint8Array, offset: number, length: number): boolean {
  const bytes = length - FRAGMENT_HEADER_BYTES;
  if (bytes < 1) return false;
  const total = fragmentTotal(data, offset);
  const start = fragmentOffset(data, offset);
  if (total < INNER_HEADER_BYTES || start + bytes > total) return false;
  return start > 0 || data[offset + FRAGMENT_HEADER_BYTES] !== KIND_FRAGMENT;
}

export function fragmentId(data: Uint8Array, offset: number): number {
  return readU32(data, offset);
}

/** Where in the whole inner message these bytes belong. */
export function fragmentOffset(data: Uint8Array, offset: number): number {
  return readU16(data, offset + 4);
}

/** Bytes of the whole inner message, kind and flags included. */
export function fragmentTotal(data: Uint8Array, offset: number): number {
  return readU16(data, offset + 6);
}

/** Prefix of a fragment entry; returns its length. The first fragment's prefix goes on with the inner message's own. */
export function writeFragmentPrefix(
  out: Uint8Array,
  at: number,
  id: number,
  start: number,
  total: number,
): number {
  out[at] = KIND_FRAGMENT;
  out[at + 1] = 0;
  writeU32(id, out, at + 2);
  writeU16(start, out, at + 6);
  writeU16(total, out, at + 8);
  return INNER_HEADER_BYTES + FRAGMENT_HEADER_BYTES;
}

function parsePathRequest(kind: PathRequest['kind'], payload: Uint8Array): PathRequest | undefined {
  if (payload.length < PATH_MESSAGE_BYTES) return undefined;
  return { kind, path: readU32(payload, 0), token: payload.slice(4, PATH_MESSAGE_BYTES) };
}

function parsePathAck(kind: PathAck['kind'], flags: number, payload: Uint8Array): PathAck | undefined {
  if (payload.length !== PATH_MESSAGE_BYTES) return undefined;
  const plainWelcome = (flags & FLAG_PLAIN_WELCOME) !== 0;
  return { kind, path: readU32(payload, 0), token: payload.slice(4), plainWelcome };
}

function parseRekey(payload: Uint8Array): LinkMessage | undefined {
  if (payload.length < 2 || payload[1]! > 2) return undefined;
  return { kind: 'rekey', phase: payload[0]!, step: payload[1]!, bytes: payload.slice(2) };
}

function parseMacs(payload: Uint8Array): MacsPart | undefined {
  const listBytes = payload.length - MACS_HEADER_BYTES;
  if (listBytes < 0 || listBytes % MAC_BYTES !== 0) return undefined;
  const part = readU16(payload, 4);
  const parts = readU16(payload, 6);
  if (part >= parts) return undefined;
  return { kind: 'macs', version: readU32(payload, 0), part, parts, macs: payload.slice(MACS_HEADER_BYTES) };
}

function writePayload(message: LinkMessage, out: Uint8Array, at: number): void {
  switch (message.kind) {
    case 'heartbeat':
    case 'probe':
    case 'heartbeat-ack':
    case 'probe-ack':
      writeU32(message.path, out, at);
      out.set(message.token.subarray(0, TOKEN_BYTES), at + 4);
      return;
    case 'rekey':
      out[at] = message.phase;
      out[at + 1] = message.step;
      out.set(message.bytes, at + 2);
      return;
    case 'macs':
      writeU32(message.version, out, at);
      writeU16(message.part, out, at + 4);
      writeU16(message.parts, out, at + 6);
      out.set(message.macs, at + MACS_HEADER_BYTES);
      return;
    case 'macs-ack':
      writeU32(message.version, out, at);
      return;
    case 'close':
      out[at] = message.reason;
      return;
  }
}
