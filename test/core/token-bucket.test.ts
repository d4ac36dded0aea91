import test from 'ava';
import { TokenBucket } from '../../core/token-bucket.ts';

function passed(bucket: TokenBucket, tries: number, now: number): number {
  let count = 0;
  for (let i = 0; i < tries; i++) if (bucket.take(now)) count++;
  return count;
}

test('the burst passes at once, then the rate', (t) => {
  const bucket = new TokenBucket(10, 5);
  t.is(passed(bucket, 9, 0), 5);
  t.is(passed(bucket, 9, 99), 0);
  t.is(passed(bucket, 9, 200), 2);
  t.is(passed(bucket, 99, 60_000), 5);
});

test('a clock that stands still or goes back gives nothing', (t) => {
  const bucket = new TokenBucket(1_000, 1);
  t.is(passed(bucket, 2, 1_000), 1);
  t.is(passed(bucket, 2, 0), 0);
});
