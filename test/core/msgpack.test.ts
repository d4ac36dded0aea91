import test from 'ava';
import fc from 'fast-check';
import { Packr } from 'msgpackr';
import { pack, PackWriter, unpack } from '../../core/msgpack.ts';

const refused: [string, number[]][] = [
  ['nothing', []],
  ['two values', [0x01, 0x02]],
  ['a map', [0x81, 0x01, 0x02]],
  ['a map of 16 bits', [0xde, 0x00, 0x01, 0x01, 0x02]],
  ['the token that is never used', [0xc1]],
  ['an extension', [0xd4, 0x00, 0x00]],
  ['an extension of any length', [0xc7, 0x01, 0x05, 0x00]],
  ['a record of msgpackr', [0xd4, 0x72, 0x40, 0x91, 0xa1, 0x61, 0x01]],
  ['an error of msgpackr', [0xc7, 0x04, 0x65, 0x93, 0xc0, 0xc0, 0xc0]],
  ['a timestamp', [0xd6, 0xff, 0, 0, 0, 0]],
  ['a float of 32 bits', [0xca, 0, 0, 0, 0]],
  ['an integer above 2^53 - 1', [0xcf, 0x00, 0x20, 0, 0, 0, 0, 0, 0]],
  ['an integer below -(2^53 - 1)', [0xd3, 0xff, 0xdf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]],
  ['a missing item', [0x92, 0x01]],
  ['a missing length', [0xda, 0x01]],
  ['missing bytes', [0xc4, 0x05, 0x01]],
  ['missing text', [0xa2, 0x61]],
  ['missing digits', [0xd2, 0xff, 0xff]],
  ['missing digits of a float', [0xcb, 0x00, 0x00]],
  ['an array that claims four billion items', [0xdd, 0xff, 0xff, 0xff, 0xff, 0x00]],
  ['arrays nine deep', [0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x90]],
];
for (const [title, bytes] of refused) {
  test(`${title} is not decoded`, (t) => t.is(unpack(Uint8Array.from(bytes)), undefined));
}

const read: [string, number[], unknown][] = [
  ['a 64-bit integer that a double holds', [0xcf, 0x00, 0x1f, 255, 255, 255, 255, 255, 255], 2 ** 53 - 1],
  ['a negative 64-bit integer', [0xd3, 0xff, 255, 255, 255, 255, 255, 255, 0xfe], -2],
  ['the smallest 8-bit integer', [0xd0, 0x80], -128],
  ['a positive integer in a signed token', [0xd1, 0x01, 0x00], 256],
  ['text that ends within a character', [0x92, 0xa1, 0xf0, 0x05], ['\ufffd', 5]],
  ['text with a byte order mark', [0xa4, 0xef, 0xbb, 0xbf, 0x61], '\ufeffa'],
  ['arrays eight deep', [0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x90], [[[[[[[[]]]]]]]]],
];
for (const [title, bytes, value] of read) {
  test(`${title} is decoded`, (t) => t.deepEqual(unpack(Uint8Array.from(bytes)), value));
}

const leaf = fc.oneof(
  fc.constantFrom(null, true, false),
  fc.maxSafeInteger(),
  fc.integer(),
  fc.double({ noNaN: true }),
  fc.string({ unit: 'binary', maxLength: 80 }),
  fc.uint8Array({ maxLength: 300 }),
);
const value = fc.letrec((tie) => ({
  node: fc.oneof({ depthSize: 'small', maxDepth: 6 }, leaf, fc.array(tie('node'), { maxLength: 70 })),
})).node;

test('what is packed is decoded as it was, and as msgpackr decodes it', (t) => {
  const packr = new Packr({ useRecords: false });
  fc.assert(
    fc.property(value, (given) => {
      const bytes = pack(given);
      t.deepEqual(unpack(bytes), given as never);
      t.deepEqual(normal(packr.unpack(bytes)), given);
    }),
    { numRuns: 300, seed: 1 },
  );
});

test('no value is decoded from a part of its bytes', (t) => {
  fc.assert(
    fc.property(value, (given) => {
      const bytes = pack(given).subarray(0, 2_000);
      for (let end = 0; end < bytes.length; end++) t.is(unpack(bytes.subarray(0, end)), undefined);
    }),
    { numRuns: 50, seed: 2 },
  );
});

test('byte strings are views of what was decoded', (t) => {
  const bytes = pack([Uint8Array.of(7)]);
  const [view] = unpack(bytes) as [Uint8Array];
  t.is(view.buffer, bytes.buffer);
  t.is(view.constructor, Uint8Array);
});

/** Byte strings as plain arrays of bytes, whatever class they came in. */
function normal(given: unknown): unknown {
  if (given instanceof Uint8Array) return Uint8Array.from(given);
  return Array.isArray(given) ? given.map(normal) : given;
}

test('what is written piece by piece is what would have been packed whole', (t) => {
  const lengths = fc.oneof(fc.nat(40), fc.constantFrom(255, 256, 65_535, 65_536));
  const integers = fc.oneof(
    fc.nat(200),
    fc.nat(70_000),
    fc.constantFrom(127, 128, 255, 256, 65_535, 2 ** 32 - 1),
  );
  const many = fc.oneof(fc.nat(20), fc.constantFrom(65_535, 65_536));
  fc.assert(
    fc.property(integers, lengths, many, (integer, length, items) => {
      const bytes = new Uint8Array(length).fill(7);
      const list = new Array<number>(items).fill(5);
      const out = new PackWriter(length + items + 64);
      out.array(3);
      out.unsigned(integer);
      out.blob(bytes);
      out.array(items);
      out.raw(Uint8Array.from(list));
      t.deepEqual(out.bytes, pack([integer, bytes, list]));
    }),
    { numRuns: 200 },
  );
});

test('a whole number of up to 53 bits that is written is read again', (t) => {
  fc.assert(
    fc.property(fc.oneof(fc.maxSafeNat(), fc.constantFrom(2 ** 32, 2 ** 32 + 1, 2 ** 40)), (integer) => {
      const out = new PackWriter(9);
      out.unsigned(integer);
      t.is(unpack(out.bytes), integer);
    }),
  );
});
