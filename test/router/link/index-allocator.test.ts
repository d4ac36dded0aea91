import test from 'ava';
import { SeededRandom } from '../../../core/random.ts';
import type { RandomSource } from '../../../core/random.ts';
import { IndexAllocator, QUARANTINE } from '../../../router/link/index-allocator.ts';

/** Yields the given words one after another, then those of a seeded generator. */
function scripted(...words: number[]): RandomSource {
  const seeded = new SeededRandom(1);
  let next = 0;
  return {
    bytes: (length) => {
      const word = words[next++];
      if (word === undefined) return seeded.bytes(length);
      return Uint8Array.of(word, word >>> 8, word >>> 16, word >>> 24);
    },
  };
}

test('an index in use is not given out a second time', (t) => {
  const indexes = new IndexAllocator(scripted(112, 112, 128));
  t.is(indexes.allocate(0), 112);
  t.is(indexes.allocate(0), 128);
  t.is(indexes.used, 2);
});

test('the bits that say the lane are zero, and the indexes of all lanes go with the first', (t) => {
  const indexes = new IndexAllocator(scripted(0xfffffff7, 0xffffffff, 0xffffffef));
  t.is(indexes.allocate(0), 0xfffffff0);
  t.is(indexes.allocate(0), 0xffffffe0);
});

test('zero is never given out, nor anything else on lane 0 of nothing', (t) => {
  t.is(new IndexAllocator(scripted(0, 15, 16)).allocate(0), 16);
});

test('a released index rests for 60 s', (t) => {
  const indexes = new IndexAllocator(scripted(112, 112, 128, 112));
  indexes.release(indexes.allocate(0), 1_000);
  t.is(indexes.allocate(1_000 + QUARANTINE - 1), 128);
  t.is(indexes.allocate(1_000 + QUARANTINE), 112);
});

test('a second release does not prolong the rest, and one of an unknown index does nothing', (t) => {
  const indexes = new IndexAllocator(scripted(112, 112));
  indexes.release(indexes.allocate(0), 0);
  indexes.release(112, 50_000);
  indexes.release(1234, 0);
  t.is(indexes.used, 0);
  t.is(indexes.allocate(QUARANTINE), 112);
});

test('the number of resting indexes is bounded: the oldest returns early', (t) => {
  const fillers = Array.from({ length: 65_536 }, (_, i) => 16 * (1_000 + i));
  const indexes = new IndexAllocator(scripted(112, ...fillers, 112));
  indexes.release(indexes.allocate(0), 0);
  for (let i = 0; i < fillers.length; i++) indexes.release(indexes.allocate(1), 1);
  t.is(indexes.allocate(1), 112);
});
