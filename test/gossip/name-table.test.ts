import test from 'ava';
import fc from 'fast-check';
import { NameTable } from '../../gossip/name-table.ts';

const anyName = fc.uint8Array({ minLength: 6, maxLength: 6 });
/** Few different ones, so that they come again. */
const names = fc.array(
  fc.oneof(
    anyName,
    fc.nat(5).map((last) => Uint8Array.of(2, 0, 0, 0, 0, last)),
  ),
);

test('a table holds each name once, in order of its first coming, and says where it is', (t) => {
  fc.assert(
    fc.property(names, (all) => {
      const table = new NameTable(all.length);
      const indexes = new Uint16Array(all.length);
      const end = all.reduce((at, name) => table.addAll(name, indexes, at), 0);
      t.is(end, all.length);
      const distinct = [...new Set(all.map(String))];
      t.is(table.size, distinct.length);
      t.deepEqual(table.bytes, Uint8Array.from(distinct.flatMap((name) => name.split(',').map(Number))));
      t.deepEqual(
        [...indexes],
        all.map((name) => distinct.indexOf(String(name))),
      );
    }),
  );
});
