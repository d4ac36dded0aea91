import test from 'ava';
import { draw, SeededRandom, randomBelow, randomFraction } from '../../core/random.ts';

test('the same seed gives the same bytes and another seed gives others', (t) => {
  t.deepEqual(new SeededRandom(7).bytes(33), new SeededRandom(7).bytes(33));
  t.notDeepEqual(new SeededRandom(7).bytes(33), new SeededRandom(8).bytes(33));
});

test('fractions and bounded integers stay in range and spread over it', (t) => {
  const random = new SeededRandom(1);
  const seen = new Set<number>();
  for (let i = 0; i < 1_000; i++) {
    const fraction = randomFraction(random);
    t.true(fraction >= 0 && fraction < 1);
    seen.add(randomBelow(random, 10));
  }
  t.deepEqual([...seen].sort(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

test('what is drawn is different each time, as many as asked for or all', (t) => {
  const random = new SeededRandom(3);
  const items = ['a', 'b', 'c', 'd'];
  const firsts = new Set<string>();
  for (let i = 0; i < 100; i++) {
    const drawn = draw(items, 2, random);
    t.is(new Set(drawn).size, 2);
    firsts.add(drawn[0]!);
    t.deepEqual(draw(items, 9, random).sort(), items);
  }
  t.deepEqual([...firsts].sort(), items);
  t.deepEqual(draw([], 1, random), []);
  t.deepEqual(draw(items, 0, random), []);
  t.deepEqual(items, ['a', 'b', 'c', 'd']);
});
