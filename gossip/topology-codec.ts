import { ipFromBytes, ipToBytes, type Endpoint } from '../core/address.ts';
import { equalBytes, fromHex, toHex } from '../core/bytes.ts';
import { pack } from '../core/msgpack.ts';
import { PEER_NAME_BYTES, readPeerName, type PeerName } from '../core/peer-name.ts';
import { MalformedDelta } from './channel.ts';
import { blob, decoded, flag, list, text, tuple, uint } from './checked-fields.ts';
import {
  MAX_ADDRESSES,
  MAX_CAPABILITIES,
  MAX_CAPABILITY,
  MAX_INCARNATION,
  MAX_INFO,
  MAX_INFO_KEY,
  MAX_INFO_VALUE,
  MAX_NEIGHBOURS,
  MAX_NICKNAME,
  MAX_VERSION,
  type EntryStamp,
  type Neighbour,
  type TopologyEntry,
} from './topology-entry.ts';
import { sha512 } from '../core/sha512.ts';

/*
 * A topology delta:
 *
 *   [ names: 6 bytes each,
 *     [ [ name index, incarnation, version, uid 8,
 *         body, neighbours: indexes of 1 byte (2 LE if there are more than 256 names), flags: 2 bits each ], ... ] ]
 *
 *   body = [ nickname, key 32, generation 8, addresses: [4 or 16 bytes | port u16 LE], accepts inbound, bridge MTU,
 *            capabilities, [ info key, value, ... ] ]
 *
 * Names are listed once per delta, so that a neighbour costs one byte in a small mesh. The body is opaque until the
 * stamp shows that the entry is newer, and is passed on as it came. To a neighbour that has said which body it knows of a
 * peer, the hash of the body stands for it: mostly only the neighbours of an entry change.
 */

const MAX_ENTRIES = 16_384;
/** In the table of one delta. */
export const MAX_NAMES = 65_536;
const MAX_BODY = 8_192;
const UID_BYTES = 8;
const KEY_BYTES = 32;
const GENERATION_BYTES = 8;
/** The first bytes of SHA-512 over a body; no body is so short. */
export const BODY_HASH_BYTES = 4;
/** Bits of a neighbour. */
export const ESTABLISHED = 1;
export const DIRECT = 2;

/** An entry with its encoded body, which is kept so that passing it on costs nothing. Neither changes. */
export interface EncodedEntry {
  readonly entry: TopologyEntry;
  readonly body: Uint8Array;
}

/** An entry of a received delta, checked in shape; its content is decoded when it turns out to be newer. */
export interface WireEntry extends EntryStamp {
  readonly name: PeerName;
  /**
   * Shares the body with `known`, an earlier entry of the peer, if it did not change. Undefined: it came as the hash of a
   * body that `known` does not have. Throws {@link MalformedDelta}.
   */
  decode(known?: EncodedEntry): EncodedEntry | undefined;
}

export function encodeBody(entry: TopologyEntry): Uint8Array {
  return pack([
    entry.nickname,
    entry.key,
    fromHex(entry.generation),
    entry.addresses.map(encodeEndpoint),
    entry.acceptsInbound,
    entry.bridgeMtu,
    entry.capabilities,
    Object.keys(entry.info)
      .sort()
      .flatMap((key) => [key, entry.info[key]]),
  ]);
}

const hashes = new WeakMap<Uint8Array, Uint8Array>();

/** {@link BODY_HASH_BYTES}, computed once for each body. */
export function bodyHash(body: Uint8Array): Uint8Array {
  let hash = hashes.get(body);
  if (hash === undefined) hashes.set(body, (hash = sha512(body).slice(0, BODY_HASH_BYTES)));
  return hash;
}

/** Throws {@link MalformedDelta} unless the whole delta has the right shape. */
export function decodeDelta(bytes: Uint8Array): readonly WireEntry[] {
  const [names, rows] = tuple(decoded(bytes), 2, 'topology delta');
  const table = blob(names, 0, MAX_NAMES * PEER_NAME_BYTES, 'topology names');
  if (table.length % PEER_NAME_BYTES !== 0) throw new MalformedDelta('topology names');
  const named = new NamesOnWire(table);
  return list(rows, MAX_ENTRIES, 'topology entries').map((row) => decodeRow(row, named));
}

/** The table of a received delta; each name is read once, however often entries refer to it. */
class NamesOnWire {
  readonly indexWidth: 1 | 2;
  readonly #bytes: Uint8Array;
  readonly #read: (PeerName | undefined)[] = [];

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.indexWidth = indexWidth(bytes.length / PEER_NAME_BYTES);
  }

  at(index: number): PeerName {
    const known = this.#read[index];
    if (known !== undefined) return known;
    const offset = index * PEER_NAME_BYTES;
    if (offset + PEER_NAME_BYTES > this.#bytes.length) throw new MalformedDelta('topology name index');
    return (this.#read[index] = readPeerName(this.#bytes, offset));
  }
}

/** Bytes of an index into a table of so many names. */
export function indexWidth(names: number): 1 | 2 {
  return names <= 256 ? 1 : 2;
}

function decodeRow(row: unknown, names: NamesOnWire): WireEntry {
  const [index, incarnation, version, uid, body, indexes, flags] = tuple(row, 7, 'topology entry');
  const name = names.at(uint(index, MAX_NAMES, 'topology name index'));
  const stamp: EntryStamp = {
    incarnation: uint(incarnation, MAX_INCARNATION, 'incarnation'),
    version: uint(version, MAX_VERSION, 'version'),
    uid: toHex(blob(uid, UID_BYTES, UID_BYTES, 'uid')),
  };
  const bodyBytes = blob(body, 1, MAX_BODY, 'topology body');
  const indexBytes = blob(indexes, 0, 2 * MAX_NEIGHBOURS, 'neighbours');
  const flagBytes = blob(flags, 0, MAX_NEIGHBOURS, 'neighbour flags');
  return {
    name,
    ...stamp,
    decode: (known) => {
      const neighbours = decodeNeighbours(indexBytes, flagBytes, names);
      const isHash = bodyBytes.length === BODY_HASH_BYTES;
      if (known !== undefined && equalBytes(isHash ? bodyHash(known.body) : known.body, bodyBytes)) {
        return { entry: { ...known.entry, name, ...stamp, neighbours }, body: known.body };
      }
      if (isHash) return undefined;
      const body = Uint8Array.from(bodyBytes);
      return { entry: { name, ...stamp, ...decodeBody(body), neighbours }, body };
    },
  };
}

type Body = Omit<TopologyEntry, 'name' | keyof EntryStamp | 'neighbours'>;

function decodeBody(bytes: Uint8Array): Body {
  const fields = tuple(decoded(bytes), 8, 'topology body');
  const [nickname, key, generation, addresses, acceptsInbound, bridgeMtu, capabilities, info] = fields;
  return {
    nickname: text(nickname, MAX_NICKNAME, 'nickname'),
    key: Uint8Array.from(blob(key, KEY_BYTES, KEY_BYTES, 'static key')),
    generation: toHex(blob(generation, GENERATION_BYTES, GENERATION_BYTES, 'generation')),
    addresses: list(addresses, MAX_ADDRESSES, 'addresses').map(decodeEndpoint),
    acceptsInbound: flag(acceptsInbound, 'accepts inbound'),
    bridgeMtu: uint(bridgeMtu, 65_535, 'bridge MTU'),
    capabilities: list(capabilities, MAX_CAPABILITIES, 'capabilities').map((item) =>
      text(item, MAX_CAPABILITY, 'capability'),
    ),
    info: decodeInfo(list(info, 2 * MAX_INFO, 'info')),
  };
}

function decodeInfo(pairs: readonly unknown[]): Record<string, string> {
  if (pairs.length % 2 !== 0) throw new MalformedDelta('info');
  const keys = pairs.filter((_, i) => i % 2 === 0).map((key) => text(key, MAX_INFO_KEY, 'info key'));
  return Object.fromEntries(
    keys.map((key, i) => [key, text(pairs[2 * i + 1], MAX_INFO_VALUE, 'info value')]),
  );
}

function decodeNeighbours(indexes: Uint8Array, flags: Uint8Array, names: NamesOnWire): Neighbour[] {
  const width = names.indexWidth;
  const count = indexes.length / width;
  if (!Number.isInteger(count) || flags.length !== Math.ceil(count / 4)) {
    throw new MalformedDelta('neighbours');
  }
  const out: Neighbour[] = [];
  for (let i = 0; i < count; i++) {
    const index = width === 1 ? indexes[i]! : indexes[2 * i]! | (indexes[2 * i + 1]! << 8);
    const name = names.at(index);
    if (i > 0 && out[i - 1]!.name >= name) throw new MalformedDelta('neighbours out of order');
    const bits = flags[i >> 2]! >> (2 * (i & 3));
    out.push(neighbourOf(name, bits));
  }
  return out;
}

/** By name and flags: each peer is a neighbour in many entries, so that these share one object. */
const knownNeighbours = new Map<PeerName, Neighbour[]>();
const MAX_KNOWN_NEIGHBOURS = 16_384;

function neighbourOf(name: PeerName, bits: number): Neighbour {
  let known = knownNeighbours.get(name);
  if (known === undefined) {
    if (knownNeighbours.size >= MAX_KNOWN_NEIGHBOURS) knownNeighbours.clear();
    knownNeighbours.set(name, (known = []));
  }
  const flags = bits & (ESTABLISHED | DIRECT);
  return (known[flags] ??= Object.freeze({
    name,
    established: (flags & ESTABLISHED) !== 0,
    direct: (flags & DIRECT) !== 0,
  }));
}

/** Four or sixteen bytes of address, then the port (u16 LE). Also the form in hello. */
export function encodeEndpoint(endpoint: Endpoint): Uint8Array {
  const ip = ipToBytes(endpoint.ip);
  const out = new Uint8Array(ip.length + 2);
  out.set(ip);
  out[ip.length] = endpoint.port & 255;
  out[ip.length + 1] = endpoint.port >> 8;
  return out;
}

/** The inverse of {@link encodeEndpoint}. Throws {@link MalformedDelta}. */
export function decodeEndpoint(value: unknown): Endpoint {
  const bytes = blob(value, 6, 18, 'address');
  const ip = ipFromBytes(bytes.subarray(0, -2));
  const port = bytes.at(-2)! | (bytes.at(-1)! << 8);
  if (ip === undefined || port === 0) throw new MalformedDelta('address');
  return { ip, port };
}
