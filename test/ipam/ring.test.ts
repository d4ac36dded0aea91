import test from 'ava';
import fc from 'fast-check';
import type { Ring, RingValue, Segment } from '../../ipam/ring.ts';
import {
  adoptUngenerated,
  canonical,
  compareValues,
  handOver,
  initialRing,
  isComplete,
  mergeRings,
  newsIn,
  NO_GENERATION,
  overlapping,
  ringProblem,
  spansWhere,
  valueAt,
} from '../../ipam/ring.ts';
import { peer } from './network.ts';

const SIZE = 32;
const GENERATIONS = [NO_GENERATION, '00000000000000aa', '00000000000000bb'];

/** A ring as a function from each address to its value, slow and obvious. */
type Naive = (RingValue | undefined)[];

const value: fc.Arbitrary<RingValue> = fc.record({
  epoch: fc.nat(2),
  version: fc.nat(3),
  owner: fc.constantFrom(peer(1), peer(2), peer(3)),
  generation: fc.constantFrom(...GENERATIONS),
});
const ring: fc.Arbitrary<Ring> = fc
  .array(fc.option(value, { nil: undefined }), { minLength: SIZE, maxLength: SIZE })
  .chain((values) => fc.nat(3).map((grain) => fromNaive(values.map((_, i) => values[i >> grain]))));

function fromNaive(naive: Naive): Ring {
  const segments = naive.flatMap((v, start) => (v === undefined ? [] : [{ start, end: start + 1, ...v }]));
  return canonical(segments);
}

function toNaive(segments: Ring): Naive {
  return Array.from({ length: SIZE }, (_, offset) => {
    const found = valueAt(segments, offset);
    if (found === undefined) return undefined;
    const { epoch, version, owner, generation } = found;
    return { epoch, version, owner, generation };
  });
}

test('a ring survives being spelled out address by address', (t) => {
  fc.assert(
    fc.property(ring, (a) => {
      t.deepEqual(fromNaive(toNaive(a)), a);
      t.is(ringProblem(a, SIZE), undefined);
    }),
  );
  t.pass();
});

test('merging is the maximum of each address', (t) => {
  fc.assert(
    fc.property(ring, ring, (a, b) => {
      const [left, right] = [toNaive(a), toNaive(b)];
      const expected = left.map((l, i) => {
        const r = right[i];
        if (l === undefined || r === undefined) return l ?? r;
        return compareValues(l, r) >= 0 ? l : r;
      });
      t.deepEqual(mergeRings(a, b), fromNaive(expected));
    }),
  );
  t.pass();
});

test('merging is commutative, associative and idempotent', (t) => {
  fc.assert(
    fc.property(ring, ring, ring, (a, b, c) => {
      t.deepEqual(mergeRings(a, b), mergeRings(b, a));
      t.deepEqual(mergeRings(mergeRings(a, b), c), mergeRings(a, mergeRings(b, c)));
      t.deepEqual(mergeRings(a, a), a);
    }),
  );
  t.pass();
});

test('what is new in a delta is all that merging it needs, and nothing is new the second time', (t) => {
  fc.assert(
    fc.property(ring, ring, (a, b) => {
      const news = newsIn(a, b);
      t.deepEqual(mergeRings(a, news), mergeRings(a, b));
      t.deepEqual(newsIn(mergeRings(a, b), b), []);
    }),
  );
  t.pass();
});

test('values are ordered by epoch, then version, then owner, then generation', (t) => {
  const base: RingValue = { epoch: 1, version: 5, owner: peer(2), generation: GENERATIONS[1]! };
  const ascending = [
    { ...base, epoch: 0, version: 9, owner: peer(3) },
    { ...base, version: 4, owner: peer(3) },
    { ...base, owner: peer(1), generation: GENERATIONS[2]! },
    base,
    { ...base, generation: GENERATIONS[2]! },
    { ...base, owner: peer(3), generation: NO_GENERATION },
    { ...base, version: 6, owner: peer(1) },
    { ...base, epoch: 2, version: 0, owner: peer(1) },
  ];
  t.deepEqual(ascending.toReversed().sort(compareValues), ascending);
});

test('handing a piece over keeps the epoch, raises the version of all parts of what is split, and wins', (t) => {
  const owner = { owner: peer(1), generation: GENERATIONS[1]! };
  const before: Ring = [{ start: 0, end: 32, epoch: 3, version: 7, ...owner }];
  const delta = handOver(before, { start: 8, end: 16 }, { owner: peer(2), generation: GENERATIONS[2]! });
  const kept = { epoch: 3, version: 8, ...owner };
  t.deepEqual(delta, [
    { start: 0, end: 8, ...kept },
    { start: 8, end: 16, epoch: 3, version: 8, owner: peer(2), generation: GENERATIONS[2]! },
    { start: 16, end: 32, ...kept },
  ]);
  t.deepEqual(mergeRings(before, delta), delta);
});

test('a peer puts its generation only to what was given to its bare name', (t) => {
  const names = [peer(1), peer(2)].map((owner) => ({ owner, generation: NO_GENERATION }));
  const seeded = initialRing(SIZE, names);
  const adopted = mergeRings(seeded, adoptUngenerated(seeded, peer(1), GENERATIONS[1]!));
  t.deepEqual(
    adopted.map(({ owner, generation, version }) => [owner, generation, version]),
    [
      [peer(1), GENERATIONS[1]!, 2],
      [peer(2), NO_GENERATION, 1],
    ],
  );
  t.deepEqual(adoptUngenerated(adopted, peer(1), GENERATIONS[2]!), []);
});

test('the first ring gives every owner one aligned block and covers the range', (t) => {
  for (let count = 1; count <= 9; count++) {
    const owners = Array.from({ length: count }, (_, i) => ({
      owner: peer(i + 1),
      generation: GENERATIONS[1]!,
    }));
    const first = initialRing(SIZE, owners);
    t.true(isComplete(first, SIZE));
    t.is(first.length, count);
    for (const { start, end } of first) t.is(start % (end - start), 0);
  }
});

test('a range with fewer addresses than owners leaves some without, and none unowned', (t) => {
  const owners = Array.from({ length: 7 }, (_, i) => ({ owner: peer(i + 1), generation: GENERATIONS[1]! }));
  const first = initialRing(4, owners);
  t.true(isComplete(first, 4));
  t.is(spansWhere(first, () => true).length, 1);
});

for (const [what, segments] of [
  ['unsorted', [segment(8, 16), segment(0, 8)]],
  ['overlapping', [segment(0, 9), segment(8, 16)]],
  ['empty', [segment(4, 4)]],
  ['outside the range', [segment(16, 33)]],
  ['far too many', Array.from({ length: 70_000 }, (_, i) => segment(i, i + 1))],
] as const) {
  test(`segments that are ${what} are no ring`, (t) => {
    t.is(typeof ringProblem(segments, SIZE), 'string');
  });
}

function segment(start: number, end: number): Segment {
  return { start, end, epoch: 0, version: 1, owner: peer(1), generation: GENERATIONS[1]! };
}

test('the segments that have some of a span are those that a look at all of them finds', (t) => {
  const ring = [
    { start: 2, end: 4 },
    { start: 4, end: 5 },
    { start: 8, end: 12 },
  ].map((span, version) => ({ ...span, epoch: 0, version, owner: peer(1), generation: NO_GENERATION }));
  for (let start = 0; start < 14; start++) {
    for (let end = start + 1; end < 15; end++) {
      const expected = ring.filter((segment) => segment.start < end && segment.end > start);
      t.deepEqual(overlapping(ring, { start, end }), expected);
    }
  }
});
