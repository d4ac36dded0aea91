import test from 'ava';
import fc from 'fast-check';
import { parseCidr } from '../../core/address.ts';
import { encodeEntries } from '../../ipam/delta-codec.ts';
import { TWO_RUNS, type Entry, type MemberEntry } from '../../ipam/entries.ts';
import { AddressRange } from '../../ipam/range.ts';
import { initialRing } from '../../ipam/ring.ts';
import { SharedState } from '../../ipam/shared-state.ts';
import { peer } from './network.ts';

const range = new AddressRange(parseCidr('10.32.0.0/24')!);

function ringEntry(cluster: number, owners: number, version = 1): Entry {
  const list = Array.from({ length: owners }, (_, i) => ({
    owner: peer(i + 1),
    generation: '00000000000000aa',
  }));
  const ring = initialRing(range.size, list).map((segment) => ({ ...segment, version }));
  return { type: 'ring', clusterId: cluster.toString(16).padStart(32, '0'), range, ring };
}

const member: MemberEntry = {
  type: 'member',
  name: peer(1),
  generation: '00000000000000aa',
  life: 1,
  run: '0000000000000001',
  version: 1,
  nickname: 'nick',
  clusterId: '1'.padStart(32, '0'),
  conflicts: [],
};

const entry: fc.Arbitrary<Entry> = fc.oneof(
  fc.tuple(fc.nat(3), fc.integer({ min: 1, max: 20 }), fc.nat(4)).map(([a, b, c]) => ringEntry(a, b, c)),
  fc
    .tuple(fc.integer({ min: 1, max: 9 }), fc.nat(9))
    .map(([n, version]) => ({ type: 'hint', name: peer(n), version, free: version }) as const),
  fc
    .record({
      name: fc.integer({ min: 1, max: 2 }).map(peer),
      life: fc.integer({ min: 1, max: 2 }),
      run: fc.constantFrom('0000000000000001', '0000000000000002', TWO_RUNS),
      version: fc.integer({ min: 1, max: 3 }),
    })
    .map((rest) => ({ ...member, ...rest })),
);

test('states that merged the same entries in any order have the same digest', (t) => {
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 12 }), (entries) => {
      const [one, other] = [new SharedState(), new SharedState()];
      one.merge(entries);
      for (const e of entries.toReversed()) other.merge([e]);
      t.deepEqual(one.digest(), other.digest());
      t.deepEqual(encodeEntries(one.entriesOf(0xffff)), encodeEntries(other.entriesOf(0xffff)));
    }),
    { numRuns: 50 },
  );
  t.pass();
});

test('that two runs share a life stays known, whichever says more', (t) => {
  const other = { ...member, run: '0000000000000002' };
  for (const versions of [
    [1, 1],
    [1, 2],
    [2, 1],
  ] as const) {
    const [one, two] = [
      { ...member, version: versions[0] },
      { ...other, version: versions[1] },
    ];
    for (const order of [
      [one, two],
      [two, one],
    ]) {
      const state = new SharedState();
      state.merge(order);
      t.deepEqual(
        [...state.members()].map(({ run }) => run),
        [TWO_RUNS],
      );
      t.deepEqual(state.merge(order), []);
      t.is(state.merge([{ ...member, life: 2 }]).length, 1);
      t.deepEqual(
        [...state.members()].map(({ run }) => run),
        [member.run],
      );
    }
  }
});

test('exchanging the buckets that differ makes two states equal', (t) => {
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 8 }), fc.array(entry, { maxLength: 8 }), (left, right) => {
      const [one, other] = [new SharedState(), new SharedState()];
      one.merge(left);
      other.merge(right);
      const [a, b] = [one.digest(), other.digest()];
      let mask = 0;
      for (let i = 0; i < 16; i++) {
        const differ = Buffer.compare(
          a.buckets.subarray(8 * i, 8 * i + 8),
          b.buckets.subarray(8 * i, 8 * i + 8),
        );
        if (differ !== 0) mask |= 1 << i;
      }
      t.is(mask === 0, Buffer.compare(a.root, b.root) === 0);
      const [there, back] = [one.entriesOf(mask), other.entriesOf(mask)];
      one.merge(back);
      other.merge(there);
      t.deepEqual(one.digest(), other.digest());
    }),
    { numRuns: 50 },
  );
  t.pass();
});

test('what is known already is not news', (t) => {
  const state = new SharedState();
  t.is(state.merge([ringEntry(1, 2)]).length, 1);
  t.deepEqual(state.merge([ringEntry(1, 2)]), []);
  const [news] = state.merge([ringEntry(1, 4, 2)]);
  t.deepEqual(news, ringEntry(1, 4, 2));
});

test('rings of foreign clusters are bounded: the lowest ids stay, and the own one always', (t) => {
  const orders = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
    [10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0],
  ];
  const kept = orders.map((order) => {
    const state = new SharedState();
    state.setHome((10).toString(16).padStart(32, '0'), range.text);
    for (const cluster of order) state.merge([ringEntry(cluster, 1)]);
    return state.rings().map(({ clusterId }) => Number.parseInt(clusterId, 16));
  });
  t.deepEqual(kept[0], [0, 1, 2, 3, 4, 5, 6, 10]);
  t.deepEqual(kept[1], kept[0]);
});

test('hints of peers that have been gone for a minute are dropped', (t) => {
  const state = new SharedState();
  state.merge([1, 2].map((n) => ({ type: 'hint', name: peer(n), version: 1, free: 1 })));
  const hints = (now: number): (number | undefined)[] => {
    state.retainPeers(new Map([[peer(1), '']]), now);
    return [1, 2].map((n) => state.hint(peer(n))?.free);
  };
  t.deepEqual(hints(0), [1, 1]);
  t.deepEqual(hints(59_999), [1, 1]);
  t.deepEqual(hints(60_000), [1, undefined]);
});
