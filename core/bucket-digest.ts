import { utf8 } from './bytes.ts';
import { sha512 } from './sha512.ts';

export const BUCKETS = 16;
const HASH_BYTES = 8;

/** One root (8 bytes), and 16 hashes of 8 bytes, concatenated. */
export interface SetDigest {
  readonly root: Uint8Array;
  readonly buckets: Uint8Array;
}

/**
 * Digest of a set of (key, version) pairs of texts that changes little at a time: 16 buckets by the first 4 bits of
 * SHA-512(key); a bucket's hash is the first 8 bytes of SHA-512 over `key=version` and a line feed of each pair, in order
 * of key; the root hashes the buckets. Only buckets that changed are hashed again, and only when somebody asks.
 */
export class BucketDigest {
  readonly #versions = new Map<string, string>();
  readonly #keys: Set<string>[] = Array.from({ length: BUCKETS }, () => new Set<string>());
  #stale = 0xffff;
  #digest: SetDigest = { root: new Uint8Array(HASH_BYTES), buckets: new Uint8Array(BUCKETS * HASH_BYTES) };

  /**
   * `version` stands for the value: other values have other versions. Neither holds "=" or a line feed, so that no two
   * sets of pairs are one text.
   */
  set(key: string, version: string): void {
    const bucket = bucketOf(key);
    this.#keys[bucket]!.add(key);
    this.#versions.set(key, version);
    this.#stale |= 1 << bucket;
  }

  delete(key: string): void {
    if (!this.#versions.delete(key)) return;
    const bucket = bucketOf(key);
    this.#keys[bucket]!.delete(key);
    this.#stale |= 1 << bucket;
  }

  has(key: string): boolean {
    return this.#versions.has(key);
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
    let text = '';
    for (const key of [...keys].sort()) text += `${key}=${this.#versions.get(key)!}\n`;
    return sha512(utf8(text)).subarray(0, HASH_BYTES);
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
