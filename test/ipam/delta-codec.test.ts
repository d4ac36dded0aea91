import test from 'ava';
import fc from 'fast-check';
import { Packr } from 'msgpackr';
import { fromHex } from '../../core/bytes.ts';
import { parseCidr } from '../../core/address.ts';
import { pack } from '../../core/msgpack.ts';
import { SchemaViolation } from '../../ipam/closed-schema.ts';
import { decodeEntries, encodeEntries } from '../../ipam/delta-codec.ts';
import type { Entry, MemberEntry, VoterEntry } from '../../ipam/entries.ts';
import type { Message } from '../../ipam/messages.ts';
import { decodeMessage, encodeMessage } from '../../ipam/messages.ts';
import { AddressRange } from '../../ipam/range.ts';
import { seedRing } from '../../ipam/seed.ts';
import { peer } from './network.ts';

const range = new AddressRange(parseCidr('10.32.0.0/12')!);
const clusterId = '0123456789abcdef0123456789abcdef';
const generation = '00000000000000aa';
const id = '1122334455667788';
const { ring } = seedRing(range, [peer(1), peer(2), peer(3)]);
const ballot = { round: 3, proposer: peer(2) };
const voter: VoterEntry = {
  type: 'voter',
  range: range.text,
  name: peer(1),
  generation,
  version: 4,
  voters: 3,
  wanted: true,
  promised: ballot,
  accepted: { ballot, outcome: { clusterId, owners: [{ owner: peer(2), generation }] } },
};
const entries: Entry[] = [
  { type: 'ring', clusterId, range, ring },
  { type: 'hint', name: peer(3), version: 2 ** 40, free: 7 },
  voter,
  { ...voter, voters: 0, wanted: false, promised: undefined, accepted: undefined },
];

test('entries survive their bytes', (t) => {
  t.deepEqual(decodeEntries(encodeEntries(entries)), entries);
});

test('an outcome that many votes have accepted is sent once, and one beside it is kept apart', (t) => {
  const { accepted } = voter;
  const other = { ballot: { ...ballot, round: 2 }, outcome: { clusterId: id + id, owners: [] } };
  const votes: VoterEntry[] = [1, 2, 3, 4].map((number) => ({
    ...voter,
    name: peer(number),
    accepted: number === 3 ? other : { ballot, outcome: structuredClone(accepted!.outcome) },
  }));
  const bytes = encodeEntries(votes);
  t.deepEqual(decodeEntries(bytes), votes);
  t.is(Buffer.from(bytes).toString('hex').split(clusterId).length - 1, 1);
});

test('a ring of an IPv6 range survives its bytes', (t) => {
  const six = new AddressRange(parseCidr('2001:db8::/76')!);
  const entry: Entry = { type: 'ring', clusterId, range: six, ring: seedRing(six, [peer(1), peer(2)]).ring };
  t.deepEqual(decodeEntries(encodeEntries([entry])), [entry]);
});

test('entries of kinds that are not known are skipped', (t) => {
  t.deepEqual(decodeEntries(pack([[77, 'from the future']])), []);
});

const owner = [fromHex('000000000001'), fromHex(generation)];
const network = Uint8Array.of(10, 32, 0, 0);
const outcome = pack([fromHex(clusterId), [owner]]);
const votedFor = (index: number) => [
  ...[3, range.text, fromHex('000000000001'), fromHex(generation), 1, 1, true, null],
  [[1, fromHex('000000000001')], index],
];
for (const [what, bytes] of [
  ['no bytes', new Uint8Array()],
  ['no list', pack('text')],
  ['a map', new Packr().pack({ a: 1 })],
  ['an extension type', new Packr({ moreTypes: true }).pack([new Date(0)])],
  ['bytes after the end', Uint8Array.of(0x90, 0x90)],
  ['a list that promises more than there is', Uint8Array.of(0xdd, 0xff, 0xff, 0xff, 0xff)],
  ['a text that promises more than there is', Uint8Array.of(0x91, 0xdb, 0x7f, 0xff, 0xff, 0xff)],
  ['lists nested without end', new Uint8Array(100_000).fill(0x91)],
  ['a short cluster id', pack([[1, fromHex('00'), network, 12, [owner], [0, 1, 0, 1, 0]]])],
  ['a range with host bits', pack([[1, fromHex(clusterId), Uint8Array.of(10, 33, 0, 0), 12, [owner], []]])],
  ['a range that is too small', pack([[1, fromHex(clusterId), network, 31, [owner], []]])],
  ['a segment outside the range', pack([[1, fromHex(clusterId), network, 30, [owner], [0, 5, 0, 1, 0]]])],
  [
    'overlapping segments',
    pack([[1, fromHex(clusterId), network, 12, [owner], [0, 5, 0, 1, 0, 4, 5, 0, 1, 0]]]),
  ],
  ['an owner that is not listed', pack([[1, fromHex(clusterId), network, 12, [owner], [0, 5, 0, 1, 1]]])],
  [
    'a version that could not be raised',
    pack([[1, fromHex(clusterId), network, 12, [owner], [0, 5, 0, 2 ** 53 - 1, 0]]]),
  ],
  ['a fraction', pack([[2, fromHex('000000000001'), 1.5, 1]])],
  [
    'a ballot that is none',
    pack([[3, range.text, fromHex('000000000001'), fromHex(generation), 1, 1, true, [0], null]]),
  ],
  ['a vote for an outcome that is not listed', pack([votedFor(0)])],
  ['a vote for an outcome that comes later', pack([votedFor(0), [5, outcome]])],
  ['a vote for an outcome beyond the list', pack([[5, outcome], votedFor(1)])],
  ['an outcome that is no bytes', pack([[5, [fromHex(clusterId), []]]])],
] as const) {
  test(`a delta with ${what} is refused`, (t) => {
    t.throws(() => decodeEntries(new Uint8Array(bytes)), { instanceOf: SchemaViolation });
  });
}

test('bytes at random, and good bytes with one changed, are entries or refused, and nothing else', (t) => {
  const good = encodeEntries(entries);
  const harmless = (bytes: Uint8Array): void => {
    try {
      decodeEntries(bytes);
    } catch (error) {
      t.true(error instanceof SchemaViolation, String(error));
    }
    decodeMessage(bytes);
  };
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), harmless), { numRuns: 300 });
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.nat(255), (at, byte) => {
      harmless(good.with(at, byte));
    }),
    { numRuns: 1_000 },
  );
  t.pass();
});

const member: MemberEntry = {
  type: 'member',
  name: peer(2),
  generation,
  life: 2,
  run: id,
  version: 1,
  nickname: 'host2',
  clusterId,
  conflicts: [
    { start: 0, end: 1 },
    { start: 2, end: 2 ** 52 },
  ],
};

const messages: Message[] = [
  { type: 'space-request', id, clusterId, generation, span: { start: 16, end: 32 }, want: 'back' },
  { type: 'granted', id, ring: { type: 'ring', clusterId, range, ring } },
  { type: 'denied', id, reason: 'in-use', holder: 'web-1' },
  { type: 'ring-request', id, part: 3 },
  { type: 'ring-reply', id, answer: 1, part: 0, parts: 1, entries: [] },
  {
    type: 'ring-reply',
    id,
    answer: 7,
    part: 2,
    parts: 66,
    entries: [{ type: 'ring', clusterId, range, ring }],
  },
  { type: 'take-over', id, ring: { type: 'ring', clusterId, range, ring } },
  { type: 'taken', id, member: undefined },
  { type: 'taken', id, member },
  { type: 'heir-request', id, clusterId },
  { type: 'heir-answer', id, willing: true },
  { type: 'bequest', id, ring: { type: 'ring', clusterId, range, ring } },
  { type: 'inherited', id },
  { type: 'survey', id },
  { type: 'survey-reply', id, clusterId: '', generation, ring: 0, used: [], quarantined: 0 },
  {
    type: 'survey-reply',
    id,
    clusterId,
    generation,
    ring: 2 ** 32 - 1,
    used: member.conflicts,
    quarantined: 9,
  },
];
for (const [index, message] of messages.entries()) {
  test(`the message ${message.type} (${index}) survives its bytes, and each of its beginnings is refused`, (t) => {
    const bytes = encodeMessage(message);
    t.deepEqual(decodeMessage(bytes), message);
    for (let n = 0; n < bytes.length; n++) t.is(decodeMessage(bytes.subarray(0, n)), undefined);
  });
}

test('what a donor says of a holder cannot drive a terminal', (t) => {
  const denied: Message = { type: 'denied', id, reason: 'in-use', holder: 'web\u001b[2J\u202e' };
  t.deepEqual(decodeMessage(encodeMessage(denied)), { ...denied, holder: 'web?[2J?' });
});
