import { fromHex } from '../core/bytes.ts';
import { PackWriter } from '../core/msgpack.ts';
import { peerNameNumber, type PeerName } from '../core/peer-name.ts';
import { nameTable } from './name-table.ts';
import { bodyHash, DIRECT, ESTABLISHED, indexWidth, type EncodedEntry } from './topology-codec.ts';
import type { Neighbour, TopologyEntry } from './topology-entry.ts';

/** What is the same of an entry in every delta that carries it, as it is on the wire. */
interface Parts {
  /** Its own name, then those of its neighbours, as numbers. */
  readonly names: Float64Array;
  /** Incarnation, version, uid and body. */
  readonly middle: Uint8Array;
  readonly flags: Uint8Array;
}

const NONE: ReadonlySet<PeerName> = new Set();
const DELTA_ITEMS = 2;
const ROW_ITEMS = 7;
/** At most, of a row's headers and its own index. */
const ROW_OVERHEAD = 16;
/** At most, of incarnation, version and uid with their headers. */
const STAMP_BYTES = 28;

/**
 * Encodes entries with their stamps (topology-codec.ts); the caller gives them in order of name, with at most MAX_NAMES
 * names in all. Each neighbour gets a delta of its own, with much the same entries: so what does not depend on the table
 * of names is put together once. For those in `bodyless` the hash of the body stands for it.
 */
export function encodeDelta(
  entries: readonly EncodedEntry[],
  bodyless: ReadonlySet<PeerName> = NONE,
): Uint8Array {
  const rows = entries.map((each) => (bodyless.has(each.entry.name) ? withoutBody(each) : partsOf(each)));
  const table = nameTable(rows.map(({ names }) => names));
  const width = indexWidth(table.size);
  const rest = rows.reduce((sum, row) => sum + row.middle.length + row.flags.length + ROW_OVERHEAD, 0);
  const out = new PackWriter(table.bytes.length + ROW_OVERHEAD + rest + width * table.indexes.length);
  out.array(DELTA_ITEMS);
  out.blob(table.bytes);
  out.array(rows.length);
  let at = 0;
  for (const row of rows) at = writeRow(out, row, table.indexes, at, width);
  return out.bytes;
}

/** Its names' indexes begin at `at`; returns where those of the next row do. */
function writeRow(out: PackWriter, row: Parts, indexes: Uint16Array, at: number, width: 1 | 2): number {
  const end = at + row.names.length;
  out.array(ROW_ITEMS);
  out.unsigned(indexes[at]!);
  out.raw(row.middle);
  out.blobHeader((end - at - 1) * width);
  for (let i = at + 1; i < end; i++) {
    out.byte(indexes[i]! & 255);
    if (width === 2) out.byte(indexes[i]! >> 8);
  }
  out.raw(row.flags);
  return end;
}

const known = new WeakMap<EncodedEntry, Parts>();

function partsOf(encoded: EncodedEntry): Parts {
  let parts = known.get(encoded);
  if (parts === undefined) known.set(encoded, (parts = partsWith(encoded, encoded.body)));
  return parts;
}

/** Not kept: each neighbour asks for an entry once, if at all. */
function withoutBody(encoded: EncodedEntry): Parts {
  return partsWith(encoded, bodyHash(encoded.body));
}

function partsWith({ entry }: EncodedEntry, body: Uint8Array): Parts {
  const { incarnation, version, uid, neighbours } = entry;
  const flags = encodeFlags(neighbours);
  const middle = new PackWriter(ROW_OVERHEAD + STAMP_BYTES + body.length);
  middle.unsigned(incarnation);
  middle.unsigned(version);
  middle.blob(fromHex(uid)!);
  middle.blob(body);
  const end = new PackWriter(ROW_OVERHEAD + flags.length);
  end.blob(flags);
  return { names: namesOf(entry), middle: middle.bytes, flags: end.bytes };
}

function namesOf({ name, neighbours }: TopologyEntry): Float64Array {
  return Float64Array.from([name, ...neighbours.map((neighbour) => neighbour.name)], peerNameNumber);
}

function encodeFlags(neighbours: readonly Neighbour[]): Uint8Array {
  const out = new Uint8Array(Math.ceil(neighbours.length / 4));
  neighbours.forEach(({ established, direct }, i) => {
    const bits = (established ? ESTABLISHED : 0) | (direct ? DIRECT : 0);
    out[i >> 2] = out[i >> 2]! | (bits << (2 * (i & 3)));
  });
  return out;
}
