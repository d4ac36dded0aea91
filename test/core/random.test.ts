import test from 'ava';
import { SeededRandom, randomBelow, randomFraction } from '../../core/random.ts';

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
