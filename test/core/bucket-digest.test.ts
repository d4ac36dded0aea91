import { createHash } from 'node:crypto';
import test from 'ava';
import fc from 'fast-check';
import { BucketDigest, differingBuckets } from '../../core/bucket-digest.ts';

const steps = fc.array(
  fc.record({ key: fc.nat(40), version: fc.option(fc.nat(3), { nil: undefined }), looks: fc.boolean() }),
  { maxLength: 60 },
);

test('a digest depends on the pairs alone, not on the way to them or on when it was asked for', (t) => {
  const isPath = (list: { key: number; version: number | undefined; looks: boolean }[]): boolean => {
    const walked = new BucketDigest();
    const pairs = new Map<string, string>();
    for (const { key, version, looks } of list) {
      if (version === undefined) {
        walked.delete(`${key}`);
        pairs.delete(`${key}`);
      } else {
        walked.set(`${key}`, `${version}`);
        pairs.set(`${key}`, `${version}`);
      }
      if (looks) walked.digest();
    }
    const fresh = new BucketDigest();
    for (const [key, version] of pairs) fresh.set(key, version);
    t.deepEqual(walked.digest(), fresh.digest());
    t.deepEqual(walked.keysIn(0xffff), [...pairs.keys()].sort());
    return true;
  };
  fc.assert(fc.property(steps, isPath));
});

test('a change shows in one bucket and in the root, and leaves earlier digests as they were', (t) => {
  const digest = new BucketDigest();
  digest.set('a', '1');
  const before = digest.digest();
  const copy = { root: before.root.slice(), buckets: before.buckets.slice() };
  digest.set('a', '2');
  const after = digest.digest();
  t.deepEqual(before, copy);
  t.notDeepEqual(after.root, before.root);
  const mask = differingBuckets(before.buckets, after.buckets);
  t.true(mask !== 0 && (mask & (mask - 1)) === 0);
});

test('a bucket is hashed as the protocol says, by another implementation of SHA-512', (t) => {
  const hash = (...parts: (string | Uint8Array)[]): Buffer => {
    const sha = createHash('sha512');
    for (const part of parts) sha.update(part);
    return sha.digest().subarray(0, 8);
  };
  const pairs = [
    ['7a:01:02:03:04:05', '3,12,00112233445566ff'],
    ['ring c1 10.32.0.0/12 0', '64,1,2,7a:01:02:03:04:05,8899aabbccddeeff'],
    ['gone', ''],
  ] as const;
  const digest = new BucketDigest();
  for (const [key, version] of pairs) digest.set(key, version);
  const sorted = [...pairs].sort(([a], [b]) => (a < b ? -1 : 1));
  const bucketOf = (key: string): number => createHash('sha512').update(key).digest()[0]! >> 4;
  const texts = Array.from({ length: 16 }, (_, bucket) =>
    sorted.flatMap(([key, version]) => (bucketOf(key) === bucket ? `${key}=${version}\n` : [])).join(''),
  );
  const buckets = Buffer.concat(texts.map((text) => hash(text)));
  t.deepEqual(Buffer.from(digest.digest().buckets), buckets);
  t.deepEqual(Buffer.from(digest.digest().root), hash(buckets));
});
