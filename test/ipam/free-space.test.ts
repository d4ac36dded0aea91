import test from 'ava';
import fc from 'fast-check';
import { donationPiece, lowestFree } from '../../ipam/free-space.ts';
import type { Span } from '../../ipam/range.ts';
import { spanSize, withoutAddresses } from '../../ipam/range.ts';

const SUBNET: Span = { start: 0, end: 32 };

/** Free addresses of the subnet as disjoint spans. */
const free = fc.uniqueArray(fc.nat(31)).map((taken) =>
  withoutAddresses(
    [SUBNET],
    [...taken].sort((a, b) => a - b),
  ),
);

test('a donation is an aligned free block of at most half of what is free, but at least one address', (t) => {
  fc.assert(
    fc.property(free, (spans) => {
      const piece = donationPiece(spans, SUBNET);
      const total = spanSize(spans);
      if (piece === undefined) {
        t.true(spans.every(({ start, end }) => end - start === 1 && (start === 0 || start === 31)));
        return;
      }
      const size = piece.end - piece.start;
      t.is(piece.start % size, 0);
      t.true(size === 1 || size <= total / 2);
      t.true(spans.some(({ start, end }) => start <= piece.start && piece.end <= end));
      t.false(size === 1 && (piece.start === 0 || piece.start === 31));
    }),
  );
  t.pass();
});

for (const [what, spans, piece] of [
  ['an untouched subnet', [SUBNET], { start: 16, end: 32 }],
  ['a subnet whose upper half is used', [{ start: 0, end: 16 }], { start: 8, end: 16 }],
  ['two free addresses', [{ start: 4, end: 6 }], { start: 5, end: 6 }],
  ['one free address', [{ start: 4, end: 5 }], { start: 4, end: 5 }],
  ['no free address', [], undefined],
  [
    'only addresses that are never handed out',
    [
      { start: 0, end: 1 },
      { start: 31, end: 32 },
    ],
    undefined,
  ],
  ['one useful address beside one that is not', [{ start: 0, end: 2 }], { start: 1, end: 2 }],
] as const) {
  test(`of ${what} a donor gives ${piece ? `[${piece.start}, ${piece.end})` : 'nothing'}`, (t) => {
    t.deepEqual(donationPiece(spans, SUBNET), piece);
  });
}

test('the lowest free address skips the first and last of the subnet, what is taken, and what others own', (t) => {
  const own = [
    { start: 0, end: 4 },
    { start: 30, end: 32 },
  ];
  const taken = new Set([1, 3]);
  const isTaken = (offset: number): boolean => taken.has(offset);
  t.is(lowestFree(own, SUBNET, isTaken), 2);
  taken.add(2);
  t.is(lowestFree(own, SUBNET, isTaken), 30);
  taken.add(30);
  t.is(lowestFree(own, SUBNET, isTaken), undefined);
});
