import test from 'ava';
import fc from 'fast-check';
import { concatBytes } from '../../../core/bytes.ts';
import { ByteQueue } from '../../../router/crypto/byte-queue.ts';

test('bytes come out in the order in which they went in, whatever the pieces', (t) => {
  const step = fc.record({
    put: fc.uint8Array({ maxLength: 700, size: 'max' }),
    take: fc.nat({ max: 600 }),
    skip: fc.boolean(),
  });
  const property = fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    const queue = new ByteQueue();
    let model = new Uint8Array(0);
    for (const { put, take, skip } of steps) {
      queue.push(put);
      model = concatBytes(model, put) as Uint8Array<ArrayBuffer>;
      const count = Math.min(take, model.length);
      t.deepEqual(queue.peek(count), model.subarray(0, count));
      if (skip) queue.skip(count);
      else t.deepEqual(queue.take(count), model.subarray(0, count));
      model = model.subarray(count);
      t.is(queue.length, model.length);
    }
  });
  t.notThrows(() => fc.assert(property, { numRuns: 100, seed: 1 }));
});

test('what was taken does not change with the queue', (t) => {
  const queue = new ByteQueue();
  queue.push(Uint8Array.of(1, 2, 3, 4));
  const taken = queue.take(2);
  queue.clear();
  queue.push(Uint8Array.of(9, 9));
  t.deepEqual(taken, Uint8Array.of(1, 2));
  t.deepEqual(queue.take(2), Uint8Array.of(9, 9));
});

test('asking for more than there is is a bug', (t) => {
  const queue = new ByteQueue();
  queue.push(Uint8Array.of(1));
  t.throws(() => queue.peek(2), { instanceOf: RangeError });
  t.throws(() => queue.take(2), { instanceOf: RangeError });
  t.throws(() => queue.skip(2), { instanceOf: RangeError });
});
