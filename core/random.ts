/** The only source of randomness for pure code; the edge supplies a secure one, tests a seeded one. */
export interface RandomSource {
  /** `length` fresh random bytes. */
  bytes(length: number): Uint8Array;
  /** The same as four of them, little-endian, where a source has that for less. */
  u32?(): number;
}

/** A uniform integer in [0, 2^32). */
export function randomU32(random: RandomSource): number {
  const word = random.u32?.();
  if (word !== undefined) return word;
  const b = random.bytes(4);
  return (b[0]! | (b[1]! << 8) | (b[2]! << 16) | (b[3]! << 24)) >>> 0;
}

/** A uniform fraction in [0, 1). */
export function randomFraction(random: RandomSource): number {
  return randomU32(random) / 2 ** 32;
}

/** A uniform integer in [0, bound), bound at least 1 and at most 2^32. */
export function randomBelow(random: RandomSource, bound: number): number {
  return Math.floor(randomFraction(random) * bound);
}

/** Up to `count` different ones of `items`, by lot. */
export function draw<T>(items: readonly T[], count: number, random: RandomSource): T[] {
  const left = [...items];
  const drawn: T[] = [];
  while (drawn.length < count && left.length > 0) {
    const at = randomBelow(random, left.length);
    drawn.push(left[at]!);
    left[at] = left.at(-1)!;
    left.pop();
  }
  return drawn;
}

/**
 * A deterministic generator for simulations and tests (sfc32 by Chris Doty-Humphrey, PractRand).
 * Never for keys.
 */
export class SeededRandom implements RandomSource {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(seed: number) {
    this.#a = seed | 0;
    this.#b = (seed / 2 ** 32) | 0;
    this.#c = 0x9e3779b9;
    for (let i = 0; i < 12; i++) this.u32();
  }

  u32(): number {
    const t = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (this.#c << 21) | (this.#c >>> 11);
    this.#c = (this.#c + t) | 0;
    return t >>> 0;
  }

  bytes(length: number): Uint8Array {
    const out = new Uint8Array(length);
    for (let i = 0; i < length; i += 4) {
      const word = this.u32();
      for (let j = i; j < Math.min(i + 4, length); j++) out[j] = word >>> (8 * (j - i));
    }
    return out;
  }
}
