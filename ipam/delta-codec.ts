import { ipFromBytes, ipToBytes, parseCidr } from '../core/address.ts';
import { fromHex } from '../core/bytes.ts';
import { pack } from '../core/msgpack.ts';
import { printable } from '../core/text.ts';
import { asHex, asInteger, asList, asPeerName, asText, decoded, SchemaViolation } from './closed-schema.ts';
import type {
  Ballot,
  Entry,
  HintEntry,
  MemberEntry,
  Outcome,
  Owner,
  RingEntry,
  VoterEntry,
} from './entries.ts';
import { OutcomeTable } from './outcome-table.ts';
import { GENERATION_BYTES, MAX_OWNERS, nameBytes, packOwner, readOwners } from './owner-codec.ts';
import { AddressRange, rangeProblem } from './range.ts';
import type { Segment } from './ring.ts';
import { canonical, MAX_EPOCH, MAX_SEGMENTS, MAX_VERSION, ringProblem } from './ring.ts';
import { CLUSTER_ID_BYTES } from './seed.ts';
import { packSpans, readSpans } from './span-codec.ts';

/*
 * A delta is a list of entries, each a list that begins with its tag; unknown tags are skipped.
 *
 *   ring   [1, cluster id 16, network 4|16, prefix, owners, segments]
 *            owners = [[name 6, generation 8], ...]
 *            segments = [start, length, epoch, version, index into owners, start, ...], flat, ascending
 *   hint   [2, name 6, version, free addresses]
 *   voter  [3, range text, name 6, generation 8, version, voters, wanted, ballot | nil,
 *            [ballot, index into outcomes] | nil]
 *            ballot = [round, proposer 6]
 *   member [4, name 6, generation 8, life, run 8, version, nickname, cluster id 16, conflicts]
 *            conflicts = [gap, length, gap, length, ...]
 *   outcomes [5, outcome, ...], before the voters that refer to it
 *            outcome = the bytes of [cluster id 16, owners]
 */
const RING = 1;
const HINT = 2;
const VOTER = 3;
const MEMBER = 4;
const OUTCOMES = 5;

const SEGMENT_FIELDS = 5;
const MAX_ENTRIES = 100_000;
const RUN_BYTES = 8;
export const MAX_NICKNAME = 64;

export function encodeEntries(entries: readonly Entry[]): Uint8Array {
  const outcomes = new OutcomeTable();
  const items = entries.map((entry) => packEntry(entry, outcomes));
  return pack(outcomes.packed.length === 0 ? items : [[OUTCOMES, ...outcomes.packed], ...items]);
}

/** Throws {@link SchemaViolation}; nothing of a malformed delta is returned. */
export function decodeEntries(bytes: Uint8Array): Entry[] {
  const list = asList(decoded(bytes), 'a delta');
  if (list.length > MAX_ENTRIES) throw new SchemaViolation('too many entries');
  let outcomes: readonly Outcome[] = [];
  return list.flatMap((value) => {
    const item = asList(value, 'an entry');
    if (item[0] === OUTCOMES) outcomes = item.slice(1).map(readOutcome);
    return readEntry(item, outcomes);
  });
}

function packEntry(entry: Entry, outcomes: OutcomeTable): unknown {
  switch (entry.type) {
    case 'ring':
      return packRing(entry);
    case 'hint':
      return [HINT, nameBytes(entry.name), entry.version, entry.free];
    case 'voter':
      return packVoter(entry, outcomes);
    case 'member':
      return packMember(entry);
  }
}

function readEntry(item: readonly unknown[], outcomes: readonly Outcome[]): Entry[] {
  switch (item[0]) {
    case RING:
      return [readRing(item)];
    case HINT:
      return [readHint(item)];
    case VOTER:
      return [readVoter(item, outcomes)];
    case MEMBER:
      return [readMember(item)];
    default:
      return [];
  }
}

function packRing(entry: RingEntry): unknown {
  const indexes = new Map<string, number>();
  const owners: unknown[] = [];
  const segments: number[] = [];
  for (const segment of entry.ring) {
    const key = segment.owner + segment.generation;
    let index = indexes.get(key);
    if (index === undefined) {
      index = owners.push(packOwner(segment)) - 1;
      indexes.set(key, index);
    }
    segments.push(segment.start, segment.end - segment.start, segment.epoch, segment.version, index);
  }
  const { ip, prefix } = entry.range.network;
  return [RING, fromHex(entry.clusterId), ipToBytes(ip), prefix, owners, segments];
}

function readRing(item: readonly unknown[]): RingEntry {
  const clusterId = asHex(item[1], CLUSTER_ID_BYTES, 'a cluster id');
  const range = readRange(item[2], item[3]);
  const owners = readOwners(item[4]);
  const fields = asList(item[5], 'segments');
  if (fields.length % SEGMENT_FIELDS !== 0 || fields.length > MAX_SEGMENTS * SEGMENT_FIELDS) {
    throw new SchemaViolation('segments of a wrong number');
  }
  const segments: Segment[] = [];
  for (let at = 0; at < fields.length; at += SEGMENT_FIELDS) {
    segments.push(readSegment(fields, at, owners, range.size));
  }
  const problem = ringProblem(segments, range.size);
  if (problem !== undefined) throw new SchemaViolation(problem);
  return { type: 'ring', clusterId, range, ring: canonical(segments) };
}

function readSegment(
  fields: readonly unknown[],
  at: number,
  owners: readonly Owner[],
  size: number,
): Segment {
  const start = asInteger(fields[at], 0, size - 1, 'a segment start');
  const length = asInteger(fields[at + 1], 1, size, 'a segment length');
  const epoch = asInteger(fields[at + 2], 0, MAX_EPOCH, 'an epoch');
  const version = asInteger(fields[at + 3], 0, MAX_VERSION, 'a version');
  const owner = owners[asInteger(fields[at + 4], 0, owners.length - 1, 'an owner index')]!;
  return { start, end: start + length, epoch, version, ...owner };
}

function readRange(network: unknown, prefix: unknown): AddressRange {
  const ip = network instanceof Uint8Array ? ipFromBytes(network) : undefined;
  if (ip === undefined) throw new SchemaViolation('a network that is no address');
  const cidr = { ip, prefix: asInteger(prefix, 0, ip.family === 4 ? 32 : 128, 'a prefix') };
  const problem = rangeProblem(cidr);
  if (problem !== undefined) throw new SchemaViolation(problem);
  return new AddressRange(cidr);
}

function readHint(item: readonly unknown[]): HintEntry {
  return {
    type: 'hint',
    name: asPeerName(item[1], 'a name'),
    version: asInteger(item[2], 0, MAX_VERSION, 'a version'),
    free: asInteger(item[3], 0, Number.MAX_SAFE_INTEGER, 'a number of free addresses'),
  };
}

function packVoter(entry: VoterEntry, outcomes: OutcomeTable): unknown {
  const { accepted, promised } = entry;
  return [
    VOTER,
    entry.range,
    nameBytes(entry.name),
    fromHex(entry.generation),
    entry.version,
    entry.voters,
    entry.wanted,
    promised === undefined ? null : packBallot(promised),
    accepted === undefined ? null : [packBallot(accepted.ballot), outcomes.indexOf(accepted.outcome)],
  ];
}

function readVoter(item: readonly unknown[], outcomes: readonly Outcome[]): VoterEntry {
  const range = asText(item[1], 64, 'a range');
  if (parseCidr(range) === undefined) throw new SchemaViolation('a range that is none');
  if (typeof item[6] !== 'boolean') throw new SchemaViolation('a flag that is none');
  return {
    type: 'voter',
    range,
    name: asPeerName(item[2], 'a name'),
    generation: asHex(item[3], GENERATION_BYTES, 'a generation'),
    version: asInteger(item[4], 0, MAX_VERSION, 'a version'),
    voters: asInteger(item[5], 0, MAX_OWNERS, 'a number of voters'),
    wanted: item[6],
    promised: item[7] === null ? undefined : readBallot(item[7]),
    accepted: item[8] === null ? undefined : readAccepted(item[8], outcomes),
  };
}

function packMember(entry: MemberEntry): unknown {
  return [
    MEMBER,
    nameBytes(entry.name),
    fromHex(entry.generation),
    entry.life,
    fromHex(entry.run),
    entry.version,
    entry.nickname,
    fromHex(entry.clusterId),
    packSpans(entry.conflicts),
  ];
}

function readMember(item: readonly unknown[]): MemberEntry {
  return {
    type: 'member',
    name: asPeerName(item[1], 'a name'),
    generation: asHex(item[2], GENERATION_BYTES, 'a generation'),
    life: asInteger(item[3], 1, MAX_VERSION, 'a life'),
    run: asHex(item[4], RUN_BYTES, 'a run'),
    version: asInteger(item[5], 1, MAX_VERSION, 'a version'),
    nickname: printable(asText(item[6], MAX_NICKNAME, 'a nickname')),
    clusterId: asHex(item[7], CLUSTER_ID_BYTES, 'a cluster id'),
    conflicts: readSpans(item[8], 'conflicts'),
  };
}

function packBallot(ballot: Ballot): unknown {
  return [ballot.round, nameBytes(ballot.proposer)];
}

function readBallot(value: unknown): Ballot {
  const [round, proposer] = asList(value, 'a ballot');
  return { round: asInteger(round, 1, MAX_VERSION, 'a round'), proposer: asPeerName(proposer, 'a proposer') };
}

function readAccepted(value: unknown, outcomes: readonly Outcome[]): VoterEntry['accepted'] {
  const [ballot, index] = asList(value, 'an accepted proposal');
  const at = asInteger(index, 0, outcomes.length - 1, 'an outcome index');
  return { ballot: readBallot(ballot), outcome: outcomes[at]! };
}

function readOutcome(value: unknown): Outcome {
  if (!(value instanceof Uint8Array)) throw new SchemaViolation('an outcome that is no bytes');
  const [clusterId, owners] = asList(decoded(value), 'an outcome');
  return { clusterId: asHex(clusterId, CLUSTER_ID_BYTES, 'a cluster id'), owners: readOwners(owners) };
}
