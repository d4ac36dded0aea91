import test from 'ava';
import { CommitQueue } from '../../ipam/commit-queue.ts';

const bytes = (n: number) => (): Uint8Array => Uint8Array.of(n);

test('what depends on nothing unwritten need not wait', (t) => {
  const queue = new CommitQueue<string>();
  queue.defer('a');
  t.deepEqual(queue.ready(), ['a']);
  t.is(queue.begin(), undefined);
});

test('an output is released by the transaction that holds what was written before it, and by no earlier one', (t) => {
  const queue = new CommitQueue<string>();
  queue.write('x', bytes(1));
  queue.defer('first');
  const one = queue.begin()!;
  queue.defer('repeat of the first');
  queue.write('y', bytes(2));
  queue.defer('second');
  t.deepEqual(queue.ready(), []);
  t.is(queue.begin(), undefined);
  t.deepEqual(queue.committed(99), []);
  t.deepEqual(queue.committed(one.token), ['first', 'repeat of the first']);
  t.deepEqual(queue.ready(), []);
  const two = queue.begin()!;
  t.deepEqual(two.changes, [{ key: 'y', value: Uint8Array.of(2) }]);
  t.deepEqual(queue.committed(one.token), []);
  t.deepEqual(queue.committed(two.token), ['second']);
});

test('all that is written during a commit shares the next one, each key once with its last value', (t) => {
  const queue = new CommitQueue<string>();
  queue.write('x', bytes(1));
  queue.begin();
  queue.write('x', bytes(2));
  queue.write('y', bytes(3));
  queue.write('x', () => undefined);
  queue.committed(1);
  t.deepEqual(queue.begin()?.changes, [
    { key: 'y', value: Uint8Array.of(3) },
    { key: 'x', value: undefined },
  ]);
});
