import test from 'ava';
import fc from 'fast-check';
import { nameTable } from '../../gossip/name-table.ts';

/** Few different ones too, so that they come again. */
const anyName = fc.oneof(
  fc.nat(5),
  fc.integer({ min: 0, max: 2 ** 48 - 1 }),
  fc.constantFrom(2 ** 32, 2 ** 48 - 1),
);

test('a table holds each name once, in order of its first coming, and says where it is', (t) => {
  fc.assert(
    fc.property(fc.array(fc.array(anyName)), (lists) => {
      const table = nameTable(lists.map((list) => Float64Array.from(list)));
      const distinct = [...new Set(lists.flat())];
      t.is(table.size, distinct.length);
      const hex = distinct.map((name) => name.toString(16).padStart(12, '0')).join('');
      t.is(Buffer.from(table.bytes).toString('hex'), hex);
      t.deepEqual(
        [...table.indexes],
        lists.flat().map((name) => distinct.indexOf(name)),
      );
    }),
  );
});
