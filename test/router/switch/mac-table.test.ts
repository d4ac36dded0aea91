import test from 'ava';
import { fromHex } from '../../../core/bytes.ts';
import { MINUTE } from '../../../core/time.ts';
import { MacTable } from '../../../router/switch/mac-table.ts';
import { peerAt } from './routes.ts';

const MAC = 0x020000000001;
const A = peerAt(1);
const B = peerAt(2);

test('a MAC is where it was heard last, for ten minutes', (t) => {
  const table = new MacTable();
  t.is(table.lookup(MAC, 0), undefined);
  t.is(table.learnRemote(MAC, A, 0), 'new');
  t.is(table.learnRemote(MAC, A, 5 * MINUTE), 'known');
  t.is(table.lookup(MAC, 15 * MINUTE - 1), A);
  t.is(table.lookup(MAC, 15 * MINUTE), undefined);
  t.is(table.learnRemote(MAC, B, 15 * MINUTE), 'new');
});

test('moves are counted and reported', (t) => {
  const table = new MacTable();
  table.learnRemote(MAC, A, 0);
  t.is(table.learnRemote(MAC, B, 1), 'moved');
  t.is(table.lookup(MAC, 1), B);
  t.is(table.learnLocal(MAC, 1_001), 'moved');
  t.is(table.moves, 2);
  t.deepEqual(table.drainEvents(), [
    { type: 'mac-moved', mac: MAC, from: A, to: B },
    { type: 'mac-moved', mac: MAC, from: B, to: 'local' },
  ]);
  t.deepEqual(table.drainEvents(), []);
});

test('a MAC captured here within a second of being heard from a peer is a loop', (t) => {
  const table = new MacTable();
  table.learnRemote(MAC, A, 0);
  table.learnRemote(MAC, A, 500);
  t.is(table.learnLocal(MAC, 1_499), 'loop');
  t.is(table.lookup(MAC, 1_499), A);
  t.deepEqual(table.drainEvents(), [{ type: 'mac-loop', mac: MAC, peer: A }]);
  t.is(table.learnLocal(MAC, 1_500), 'moved');
  t.is(table.lookup(MAC, 1_500), 'local');
});

test('an attached MAC is local whatever is heard', (t) => {
  const table = new MacTable();
  table.learnRemote(MAC, A, 0);
  table.setAttached(fromHex('020000000001')!);
  t.is(table.lookup(MAC, 0), 'local');
  t.is(table.learnLocal(MAC, 0), 'known');
  t.is(table.learnRemote(MAC, A, 0), 'attached-here');
  t.is(table.lookup(MAC, 0), 'local');
  t.is(table.size(0), 1);
  table.setAttached(new Uint8Array(0));
  t.is(table.lookup(MAC, 0), undefined);
  t.is(table.learnRemote(MAC, A, 0), 'new');
});

test('a full table forgets the MAC that was silent longest', (t) => {
  const table = new MacTable(3);
  for (const mac of [1, 2, 3]) table.learnRemote(mac, A, mac);
  table.learnRemote(1, A, 2_000);
  table.learnRemote(4, A, 2_001);
  t.deepEqual(
    [1, 2, 3, 4].map((mac) => table.lookup(mac, 2_001) !== undefined),
    [true, false, true, true],
  );
  t.is(table.size(2_001), 3);
});

test('a peer that is gone takes its MACs along', (t) => {
  const table = new MacTable();
  table.learnRemote(1, A, 0);
  table.learnRemote(2, B, 0);
  table.forgetPeer(A);
  t.is(table.lookup(1, 0), undefined);
  t.is(table.lookup(2, 0), B);
});

test('the size leaves out what has expired', (t) => {
  const table = new MacTable();
  table.learnRemote(1, A, 0);
  table.learnLocal(2, 5 * MINUTE);
  t.is(table.size(10 * MINUTE), 1);
});

test('reports are bounded', (t) => {
  const table = new MacTable();
  for (let i = 0; i < 100; i++) table.learnRemote(MAC, i % 2 === 0 ? A : B, i);
  t.is(table.drainEvents().length, 32);
  t.is(table.moves, 99);
});

test('a MAC that the others could not be told of is told with its next frame, one that they were told of after a minute', (t) => {
  const told: number[] = [];
  let passes = false;
  const table = new MacTable(undefined, (shared, now) => {
    if (passes) told.push(now);
    return passes;
  });
  table.learnRemote(MAC, A, 0);
  passes = true;
  table.learnRemote(MAC, A, 10);
  table.learnRemote(MAC, A, 20);
  table.learnRemote(MAC, A, 10 + MINUTE);
  t.deepEqual(told, [10, 10 + MINUTE]);
});
