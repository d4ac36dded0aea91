import test from 'ava';
import fc from 'fast-check';
import { parseCidr } from '../../core/address.ts';
import { pack } from '../../core/msgpack.ts';
import { fromHex } from '../../core/bytes.ts';
import { MalformedDelta } from '../../gossip/channel.ts';
import { encodeEntries } from '../../ipam/delta-codec.ts';
import type { MemberEntry } from '../../ipam/entries.ts';
import { Quarantine } from '../../ipam/quarantine.ts';
import { AddressRange, commonSpans, spansHave, spansOf, unionSpans, withoutSpans } from '../../ipam/range.ts';
import type { Ring, RingValue } from '../../ipam/ring.ts';
import { handOver, handOverAll, initialRing, mergeRings, takeOver, valueAt } from '../../ipam/ring.ts';
import { packSpans, readSpans } from '../../ipam/span-codec.ts';
import type { IpamSettings } from '../../ipam/settings.ts';
import { parseIpamSettings } from '../../ipam/settings.ts';
import { Network, peer } from './network.ts';

const SIZE = 64;
const OWNERS = [1, 2, 3].map((n) => ({ owner: peer(n), generation: n.toString(16).padStart(16, '0') }));

/** One peer's write on its own copy of the ring. */
type Write =
  | {
      readonly type: 'give';
      readonly at: number;
      readonly to: number;
      readonly start: number;
      readonly size: number;
    }
  | { readonly type: 'take-over'; readonly at: number; readonly from: number }
  | { readonly type: 'leave'; readonly at: number; readonly to: number }
  | { readonly type: 'tell'; readonly at: number; readonly to: number };

const who = fc.nat(OWNERS.length - 1);
const write: fc.Arbitrary<Write> = fc.oneof(
  fc.record({
    type: fc.constant('give' as const),
    at: who,
    to: who,
    start: fc.nat(SIZE - 1),
    size: fc.integer({ min: 1, max: 16 }),
  }),
  fc.record({ type: fc.constant('take-over' as const), at: who, from: who }),
  fc.record({ type: fc.constant('leave' as const), at: who, to: who }),
  fc.record({ type: fc.constant('tell' as const), at: who, to: who }),
);

function isOf(n: number): (value: RingValue) => boolean {
  return ({ owner, generation }) => owner === OWNERS[n]!.owner && generation === OWNERS[n]!.generation;
}

/** The copies of all peers after a history in which messages get lost: who is not told does not know. */
function copiesAfter(history: readonly Write[]): Ring[] {
  const copies: Ring[] = OWNERS.map(() => initialRing(SIZE, OWNERS));
  for (const step of history) {
    const ring = copies[step.at]!;
    copies[step.at] = mergeRings(ring, deltaOf(step, ring));
    if (step.type === 'tell') copies[step.to] = mergeRings(copies[step.to]!, ring);
  }
  return copies;
}

function deltaOf(step: Write, ring: Ring): Ring {
  switch (step.type) {
    case 'give': {
      const value = valueAt(ring, step.start);
      if (value === undefined || !isOf(step.at)(value)) return [];
      const end = Math.min(step.start + step.size, value.end);
      return handOver(ring, { start: step.start, end }, OWNERS[step.to]!);
    }
    case 'take-over':
      return step.from === step.at ? [] : takeOver(ring, isOf(step.from), OWNERS[step.at]!);
    case 'leave':
      return step.to === step.at ? [] : handOverAll(ring, isOf(step.at), OWNERS[step.to]!);
    case 'tell':
      return [];
  }
}

test('whatever peers gave away, took over and left behind, their copies merge to one ring in any order', (t) => {
  fc.assert(
    fc.property(fc.array(write, { maxLength: 40 }), (history) => {
      const [a, b, c] = copiesAfter(history) as [Ring, Ring, Ring];
      const merged = mergeRings(mergeRings(a, b), c);
      t.deepEqual(mergeRings(a, mergeRings(b, c)), merged);
      t.deepEqual(mergeRings(c, mergeRings(b, a)), merged);
      t.deepEqual(mergeRings(merged, a), merged);
      t.deepEqual(mergeRings(merged, merged), merged);
      t.is(
        merged.reduce((sum, { start, end }) => sum + end - start, 0),
        SIZE,
      );
    }),
    { numRuns: 500 },
  );
});

test('a take-over voids whatever its victim still writes, and changes nothing else', (t) => {
  fc.assert(
    fc.property(fc.array(write, { maxLength: 30 }), fc.array(write, { maxLength: 10 }), (before, after) => {
      const ring = copiesAfter(before)[0]!;
      const taken = mergeRings(ring, takeOver(ring, isOf(1), OWNERS[0]!));
      const late = after.filter((step) => step.at === 1 && step.type !== 'take-over');
      const stubborn = late.reduce((so, step) => mergeRings(so, deltaOf(step, so)), ring);
      const both = mergeRings(taken, stubborn);
      for (let offset = 0; offset < SIZE; offset++) {
        const was = valueAt(ring, offset)!;
        if (isOf(1)(was)) t.true(isOf(0)(valueAt(both, offset)!), `${offset}`);
        else t.deepEqual(ownerAt(both, offset), ownerAt(ring, offset));
      }
    }),
    { numRuns: 300 },
  );
});

function ownerAt(ring: Ring, offset: number): string {
  const { owner, generation, epoch, version } = valueAt(ring, offset)!;
  return `${owner} ${generation} ${epoch} ${version}`;
}

const spans = fc.uniqueArray(fc.nat(200), { maxLength: 60 }).map((offsets) => spansOf(offsets));

test('spans are united, cut and compared as the sets of addresses that they are', (t) => {
  const setOf = (list: readonly { start: number; end: number }[]): Set<number> =>
    new Set(list.flatMap(({ start, end }) => Array.from({ length: end - start }, (_, i) => start + i)));
  fc.assert(
    fc.property(spans, spans, (a, b) => {
      const [left, right] = [setOf(a), setOf(b)];
      t.deepEqual(setOf(unionSpans([...a, ...b])), new Set([...left, ...right].sort((x, y) => x - y)));
      t.deepEqual(setOf(withoutSpans(a, b)), new Set([...left].filter((x) => !right.has(x))));
      t.deepEqual(setOf(commonSpans(a, b)), new Set([...left].filter((x) => right.has(x))));
      for (let offset = 0; offset <= 201; offset++) t.is(spansHave(a, offset), left.has(offset));
      t.deepEqual(readSpans(packSpans(a), 'spans'), a);
    }),
    { numRuns: 300 },
  );
});

test('more spans than a message holds are covered by fewer', (t) => {
  const many = spansOf(Array.from({ length: 5_000 }, (_, i) => 3 * i));
  const read = readSpans(packSpans(many), 'spans');
  t.is(read.length, 2_048);
  t.deepEqual(withoutSpans(many, read), []);
});

test('an acknowledgement of somebody who is not waited for ends nothing', (t) => {
  const range = new AddressRange(parseCidr('10.32.0.0/26')!);
  const ring = {
    type: 'ring',
    clusterId: 'aa'.repeat(16),
    range,
    ring: initialRing(SIZE, [OWNERS[0]!]),
  } as const;
  const takeOver = {
    id: '11'.repeat(8),
    victim: OWNERS[2]!,
    ring,
    waiting: [OWNERS[1]!],
    now: true,
    strict: false,
  };
  const quarantine = new Quarantine([takeOver], 0);
  t.is(quarantine.onTaken(peer(3), takeOver.id), undefined);
  t.is(quarantine.onTaken(peer(2), '22'.repeat(8)), undefined);
  t.deepEqual(quarantine.onTaken(peer(2), takeOver.id)?.waiting, []);
  t.is(quarantine.onTaken(peer(2), takeOver.id), undefined);
});

const cluster = fromHex('aa'.repeat(16));
const owners = [[fromHex('020000000001'), fromHex('00000000000000bb')]];
const network = Uint8Array.of(10, 32, 0, 0);
const member: MemberEntry = {
  type: 'member',
  name: peer(2),
  generation: '00000000000000bb',
  life: 1,
  run: '11'.repeat(8),
  version: 1,
  nickname: 'host2',
  clusterId: 'aa'.repeat(16),
  conflicts: [],
};
for (const [what, entry] of [
  ['unsorted segments', [1, cluster, network, 26, owners, [32, 32, 0, 1, 0, 0, 32, 0, 1, 0]]],
  [
    'two segments that begin at one address',
    [1, cluster, network, 26, owners, [0, 32, 0, 1, 0, 0, 64, 0, 1, 0]],
  ],
  ['a segment beyond the range', [1, cluster, network, 26, owners, [32, 64, 0, 1, 0]]],
  ['an empty segment', [1, cluster, network, 26, owners, [32, 0, 0, 1, 0]]],
  ['an owner that is not listed', [1, cluster, network, 26, owners, [0, 64, 0, 1, 1]]],
  [
    'a huge number of segments',
    [1, cluster, network, 12, owners, Array.from({ length: 5 * 65_537 }, () => 1)],
  ],
  ['an epoch beyond all bounds', [1, cluster, network, 26, owners, [0, 64, 2 ** 33, 1, 0]]],
  [
    'a member in its life 0',
    [4, fromHex('020000000001'), new Uint8Array(8), 0, new Uint8Array(8), 1, 'x', cluster, []],
  ],
  [
    'conflicts that overlap',
    [4, fromHex('020000000001'), new Uint8Array(8), 1, new Uint8Array(8), 1, 'x', cluster, [0, 5, 0, 5]],
  ],
  [
    'conflicts without a length',
    [4, fromHex('020000000001'), new Uint8Array(8), 1, new Uint8Array(8), 1, 'x', cluster, [3]],
  ],
] as const) {
  test(`a ring from a hostile peer is refused as a whole: ${what}`, (t) => {
    const net = new Network(parseIpamSettings('10.32.0.0/26', undefined) as IpamSettings, 1);
    net.add(peer(1), { type: 'consensus', voters: 1 });
    const ipam = net.nodes.get(peer(1))!.ipam!;
    t.throws(() => ipam.merge(pack([entry]), 0), { instanceOf: MalformedDelta });
    t.is(ipam.status().clusterId, '');
    t.notThrows(() => ipam.merge(encodeEntries([member]), 0));
  });
}

for (const [range, subnet] of [
  ['2001:db8::/76', '2001:db8::a00/120'],
  ['fd00:1:2:3::/112', 'fd00:1:2:3::/120'],
] as const) {
  test(`rings, take-over, claim and conflicts work in the IPv6 range ${range}`, (t) => {
    const net = new Network(parseIpamSettings(range, undefined) as IpamSettings, 1);
    for (const n of [1, 2, 3]) net.add(peer(n), { type: 'consensus', voters: 3 });
    net.request(peer(3), 1, { type: 'allocate', id: 'web' });
    net.request(peer(1), 1, { type: 'allocate', id: 'a', subnet: parseCidr(subnet)! });
    net.run(3_000);
    const web = net.reply(peer(3), 1)!;
    t.regex(web, /:/);
    t.is(net.reply(peer(1), 1)!.split('/')[1], '120');
    net.crash(peer(3));
    net.request(peer(1), 2, { type: 'remove-peers', peers: [peer(3)], now: true, strict: false });
    net.run(3_000);
    const status = net.nodes.get(peer(1))!.ipam!.status(net.now);
    t.is(
      status.owned.reduce((sum, { fraction }) => sum + fraction, 0),
      1,
    );
    t.deepEqual(
      status.owned.map(({ name }) => name),
      [peer(1), peer(2)],
    );
    net.start(peer(3));
    net.run(5_000);
    t.deepEqual(net.nodes.get(peer(3))!.ipam!.status(net.now).conflicts, []);
    net.request(peer(3), 2, { type: 'allocate', id: 'web' });
    net.run(1_000);
    t.is(net.reply(peer(3), 2), web);
  });
}
