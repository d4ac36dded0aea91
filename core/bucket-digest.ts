import { concatAll, utf8 } from './bytes.ts';
import { sha512 } from './sha512.ts';

export const BUCKETS = 16;
const HASH_BYTES = 8;

/** One root (8 bytes), and 16 hashes of 8 bytes, concatenated. */
export interface SetDigest {
  readonly root: Uint8Array;
  readonly buckets: Uint8Array;
}

interface Pair {
  readonly key: Uint8Array;
  readonly bucket: number;
  /** Text until it is hashed for the first time. */
  version: Uint8Array | string;
}

/**
 * Digest of a set of (key, version) pairs that changes little at a time: 16 buckets by the first 4 bits of
 * SHA-512(key); a bucket's hash is the first 8 bytes of SHA-512 over its pairs in order of key; the root hashes the
 * buckets. Only buckets that changed are hashed again, and only when somebody asks.
 */
export class BucketDigest {
  readonly #pairs = new Map<string, Pair>();
  readonly #keys: Set<string>[] = Array.from({ length: BUCKETS }, () => new Set<string>());
  #stale = 0xffff;
  #digest: SetDigest = { root: new Uint8Array(HASH_BYTES), buckets: new Uint8Array(BUCKETS * HASH_BYTES) };

  /** `version` stands for the value: other values have other versions. Text stands for its UTF-8. */
  set(key: string, version: Uint8Array | string): void {
    let pair = this.#pairs.get(key);
    if (pair === undefined) {
      pair = { key: utf8(key), bucket: bucketOf(key), version };
      this.#pairs.set(key, pair);
      this.#keys[pair.bucket]!.add(key);
    }
    pair.version = version;
    this.#stale |= 1 << pair.bucket;
  }

  delete(key: string): void {
    const pair = this.#pairs.get(key);
    if (pair === undefined) return;
    this.#pairs.delete(key);
    this.#keys[pair.bucket]!.delete(key);
    this.#stale |= 1 << pair.bucket;
  }

  has(key: string): boolean {
    return this.#pairs.has(key);
  }

  /** Keys of the buckets whose bit is set in `mask`, ascending. */
  keysIn(mask: number): string[] {
    return this.#keys.flatMap((keys, i) => ((mask >> i) & 1 ? [...keys] : [])).sort();
  }

  digest(): SetDigest {
    if (this.#stale !== 0) this.#rehash();
    return this.#digest;
  }

  /** Whoever got the last digest may still look at it, so there is a new one. */
  #rehash(): void {
    const buckets = Uint8Array.from(this.#digest.buckets);
    for (let i = 0; i < BUCKETS; i++) {
      if ((this.#stale >> i) & 1) buckets.set(this.#hashOf(this.#keys[i]!), i * HASH_BYTES);
    }
    this.#stale = 0;
    this.#digest = { root: sha512(buckets).slice(0, HASH_BYTES), buckets };
  }

  #hashOf(keys: ReadonlySet<string>): Uint8Array {
    if (keys.size === 0) return HASH_OF_NOTHING;
    const parts = [...keys].sort().flatMap((key) => {
      const pair = this.#pairs.get(key)!;
      if (typeof pair.version === 'string') pair.version = utf8(pair.version);
      return [pair.key, pair.version];
    });
    return sha512(concatAll(parts)).subarray(0, HASH_BYTES);
  }
}

/** Bit i is set where bucket i of two digests differs. */
export function differingBuckets(a: Uint8Array, b: Uint8Array): number {
  let mask = 0;
  for (let i = 0; i < BUCKETS * HASH_BYTES; i++) if (a[i] !== b[i]) mask |= 1 << (i >> 3);
  return mask;
}

/** The bucket of a key: the first 4 bits of its SHA-512. */
export function bucketOf(key: string): number {
  const known = knownBuckets.get(key);
  if (known !== undefined) return known;
  if (knownBuckets.size >= MAX_KNOWN_BUCKETS) knownBuckets.clear();
  const bucket = sha512(utf8(key))[0]! >> 4;
  knownBuckets.set(key, bucket);
  return bucket;
}

/** Keys come back, as when a peer is lost and found: those hashed lately are kept. */
const knownBuckets = new Map<string, number>();
const MAX_KNOWN_BUCKETS = 16_384;

const HASH_OF_NOTHING = sha512(new Uint8Array(0)).slice(0, HASH_BYTES);
