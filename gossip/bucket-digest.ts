import { sha512 } from '@noble/hashes/sha2.js';
import { concatBytes, utf8 } from '../core/bytes.ts';
import type { ChannelDigest } from './channel.ts';

export const BUCKETS = 16;
const HASH_BYTES = 8;

/**
 * Digest of a set of (key, version) pairs that changes little at a time: 16 buckets by the first 4 bits of
 * SHA-512(key); a bucket's hash is the first 8 bytes of SHA-512 over its pairs in order of key; the root hashes the
 * buckets. Only buckets that changed are hashed again.
 */
export class BucketDigest {
  readonly #pairs: Map<string, Uint8Array>[] = Array.from(
    { length: BUCKETS },
    () => new Map<string, Uint8Array>(),
  );
  readonly #bucketOf = new Map<string, number>();
  readonly #buckets = new Uint8Array(BUCKETS * HASH_BYTES);
  #stale = 0xffff;
  #root: Uint8Array = new Uint8Array(HASH_BYTES);

  /** `version` stands for the value: other values have other versions. */
  set(key: string, version: Uint8Array): void {
    const bucket = this.#bucketIndex(key);
    this.#pairs[bucket]!.set(key, version);
    this.#stale |= 1 << bucket;
  }

  delete(key: string): void {
    const bucket = this.#bucketOf.get(key);
    if (bucket === undefined) return;
    if (this.#pairs[bucket]!.delete(key)) this.#stale |= 1 << bucket;
    this.#bucketOf.delete(key);
  }

  has(key: string): boolean {
    const bucket = this.#bucketOf.get(key);
    return bucket !== undefined && this.#pairs[bucket]!.has(key);
  }

  /** Keys of the buckets whose bit is set in `mask`, ascending. */
  keysIn(mask: number): string[] {
    return this.#pairs.flatMap((pairs, i) => ((mask >> i) & 1 ? [...pairs.keys()] : [])).sort();
  }

  digest(): ChannelDigest {
    if (this.#stale !== 0) this.#rehash();
    return { root: this.#root, buckets: Uint8Array.from(this.#buckets) };
  }

  #bucketIndex(key: string): number {
    let bucket = this.#bucketOf.get(key);
    if (bucket === undefined) {
      bucket = sha512(utf8(key))[0]! >> 4;
      this.#bucketOf.set(key, bucket);
    }
    return bucket;
  }

  #rehash(): void {
    for (let i = 0; i < BUCKETS; i++) {
      if (!((this.#stale >> i) & 1)) continue;
      const pairs = this.#pairs[i]!;
      const parts = [...pairs.keys()].sort().flatMap((key) => [utf8(key), pairs.get(key)!]);
      this.#buckets.set(hash(concatBytes(...parts)), i * HASH_BYTES);
    }
    this.#stale = 0;
    this.#root = hash(this.#buckets);
  }
}

/** Bit i is set where bucket i of two digests differs. */
export function differingBuckets(a: Uint8Array, b: Uint8Array): number {
  let mask = 0;
  for (let i = 0; i < BUCKETS * HASH_BYTES; i++) if (a[i] !== b[i]) mask |= 1 << (i >> 3);
  return mask;
}

function hash(bytes: Uint8Array): Uint8Array {
  return sha512(bytes).slice(0, HASH_BYTES);
}
