import { addressBits } from '../../core/address.ts';
import type { Cidr, Endpoint } from '../../core/address.ts';
import { MOST_LANES, baseIndex } from '../wire/lanes.ts';
import { ByteReader, ByteWriter } from './byte-cursor.ts';

/** How many candidates a handshake names at most. */
export const MAX_CANDIDATES = 16;
const MAX_TRUSTED_SUBNETS = 64;
export const COOKIE_BYTES = 16;

const FORMAT = 1;
const FLAG_ENCRYPTED = 1;

/**
 * What each end tells the other inside the Noise handshake of a session:
 *
 *   format u8 = 1 | flags u8 | offer id u64 LE | direct index u32 LE | bridge MTU u16 LE | workers u8
 *   | cookie 16
 *   | candidates u8 | n x (family u8 | address 4 or 16 | port u16 LE)
 *   | trusted subnets u8 | n x (family u8 | address 4 or 16 | prefix u8)
 *
 * flags bit 0: the sender has a password, so the session has keys. Bytes after it are left to later versions.
 */
export interface HandshakePayload {
  readonly encrypted: boolean;
  /** Of the envelope, repeated here where nobody can change it. */
  readonly offer: number;
  /** Receiver index at which the sender takes this session's datagrams directly, on lane 0. Never 0. */
  readonly index: number;
  readonly bridgeMtu: number;
  /** The session has so many lanes, or as many as the other end has workers if those are more. */
  readonly workers: number;
  /** What the sender wants to see in place of the tag in plain datagrams. */
  readonly cookie: Uint8Array;
  /** Where the sender may be reached, best first. */
  readonly candidates: readonly Endpoint[];
  readonly trusted: readonly Cidr[];
}

/** Candidates and trusted subnets beyond the limits are left out. */
export function encodePayload(payload: HandshakePayload): Uint8Array {
  const candidates = payload.candidates.slice(0, MAX_CANDIDATES);
  const trusted = payload.trusted.slice(0, MAX_TRUSTED_SUBNETS);
  const writer = new ByteWriter()
    .u8(FORMAT)
    .u8(payload.encrypted ? FLAG_ENCRYPTED : 0)
    .u64(payload.offer)
    .u32(payload.index)
    .u16(payload.bridgeMtu)
    .u8(payload.workers)
    .bytes(payload.cookie);
  writer.u8(candidates.length);
  for (const { ip, port } of candidates) writer.ip(ip).u16(port);
  writer.u8(trusted.length);
  for (const { ip, prefix } of trusted) writer.ip(ip).u8(prefix);
  return writer.done();
}

/** Undefined if malformed or out of bounds. */
export function parsePayload(bytes: Uint8Array): HandshakePayload | undefined {
  const reader = new ByteReader(bytes);
  if (reader.u8() !== FORMAT) return undefined;
  const payload = {
    encrypted: (reader.u8() & FLAG_ENCRYPTED) !== 0,
    offer: reader.u64(),
    index: readDirectIndex(reader),
    bridgeMtu: reader.u16(),
    workers: readWorkers(reader),
    cookie: reader.bytes(COOKIE_BYTES),
    candidates: readList(reader, MAX_CANDIDATES, readEndpoint),
    trusted: readList(reader, MAX_TRUSTED_SUBNETS, readCidr),
  };
  return reader.failed ? undefined : payload;
}

function readDirectIndex(reader: ByteReader): number {
  const index = reader.index();
  if (index !== baseIndex(index)) reader.fail();
  return index;
}

function readWorkers(reader: ByteReader): number {
  const workers = reader.u8();
  if (workers < 1 || workers > MOST_LANES) reader.fail();
  return workers;
}

function readList<T>(reader: ByteReader, limit: number, read: (reader: ByteReader) => T): T[] {
  const count = reader.u8();
  if (count > limit) reader.fail();
  const out: T[] = [];
  for (let i = 0; i < count && !reader.failed; i++) out.push(read(reader));
  return out;
}

function readEndpoint(reader: ByteReader): Endpoint {
  const endpoint = { ip: reader.ip(), port: reader.u16() };
  if (endpoint.port === 0) reader.fail();
  return endpoint;
}

function readCidr(reader: ByteReader): Cidr {
  const cidr = { ip: reader.ip(), prefix: reader.u8() };
  if (cidr.prefix > addressBits(cidr.ip.family)) reader.fail();
  return cidr;
}
