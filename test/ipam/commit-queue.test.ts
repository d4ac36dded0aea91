import test from 'ava';
import { CommitQueue } from '../../ipam/commit-queue.ts';

const bytes = (n: number) => (): Uint8Array => Uint8Array.of(n);

test('what depends on nothing unwritten need not wait', (t) => {
  const queue = new CommitQueue<string>();
  queue.defer('a');
  t.deepEqual(queue.ready(), ['a']);
  t.is(queue.begin(0), undefined);
});

test('an output is released by the transaction that holds what was written before it, and by no earlier one', (t) => {
  const queue = new CommitQueue<string>();
  queue.write('x', bytes(1));
  queue.defer('first');
  const one = queue.begin(0)!;
  queue.defer('repeat of the first');
  queue.write('y', bytes(2));
  queue.defer('second');
  t.deepEqual(queue.ready(), []);
  t.is(queue.begin(0), undefined);
  t.deepEqual(queue.committed(99), []);
  t.deepEqual(queue.committed(one.token), ['first', 'repeat of the first']);
  t.deepEqual(queue.ready(), []);
  const two = queue.begin(0)!;
  t.deepEqual(two.changes, [{ key: 'y', value: Uint8Array.of(2) }]);
  t.deepEqual(queue.committed(one.token), []);
  t.deepEqual(queue.committed(two.token), ['second']);
});

test('all that is written during a commit shares the next one, each key once with its last value', (t) => {
  const queue = new CommitQueue<string>();
  queue.write('x', bytes(1));
  queue.begin(0);
  queue.write('x', bytes(2));
  queue.write('y', bytes(3));
  queue.write('x', () => undefined);
  queue.committed(1);
  t.deepEqual(queue.begin(0)?.changes, [
    { key: 'y', value: Uint8Array.of(3) },
    { key: 'x', value: undefined },
  ]);
});

test('what a failed transaction would have written goes into the next one, a second later, unless it was overtaken', (t) => {
  const queue = new CommitQueue<string>();
  queue.write('x', bytes(1));
  queue.write('y', bytes(2));
  queue.defer('waits');
  const one = queue.begin(0)!;
  queue.write('y', bytes(3));
  t.deepEqual(queue.failed(99, 10), []);
  t.deepEqual(queue.failed(one.token, 10), ['waits']);
  t.is(queue.begin(10), undefined);
  t.is(queue.nextTimeout(), 1_010);
  t.deepEqual(queue.begin(1_010)?.changes, [
    { key: 'x', value: Uint8Array.of(1) },
    { key: 'y', value: Uint8Array.of(3) },
  ]);
  t.is(queue.nextTimeout(), undefined);
});

test('what waited for a failed transaction keeps its place before what was deferred since', (t) => {
  const queue = new CommitQueue<string>();
  queue.write('x', bytes(1));
  queue.defer('first');
  queue.defer('second');
  const one = queue.begin(0)!;
  queue.write('y', bytes(2));
  queue.defer('third');
  queue.deferAgain(queue.failed(one.token, 0));
  const two = queue.begin(1_000)!;
  t.deepEqual(queue.committed(two.token), ['first', 'second', 'third']);
});

test('what is dropped is released by no transaction, whether one is under way for it or not', (t) => {
  const queue = new CommitQueue<string>();
  queue.write('x', bytes(1));
  queue.defer('old, under way');
  queue.defer('other, under way');
  const one = queue.begin(0)!;
  queue.write('y', bytes(2));
  queue.defer('old, waiting');
  queue.defer('other, waiting');
  queue.drop((output) => output.startsWith('old'));
  t.deepEqual(queue.committed(one.token), ['other, under way']);
  t.deepEqual(queue.committed(queue.begin(0)!.token), ['other, waiting']);
});
