import type { SeededRandom } from '../../core/random.ts';
import { randomBelow } from '../../core/random.ts';

/** Longer inputs show nothing that these do not. */
const LONGEST = 70_000;
const EDGES = [
  0, 1, 2, 3, 4, 5, 8, 16, 31, 32, 63, 64, 127, 128, 191, 192, 200, 220, 221, 223, 224, 254, 255,
];

type Mutation = (bytes: Uint8Array, random: SeededRandom, others: readonly Uint8Array[]) => Uint8Array;

/** Random bytes, mostly few. */
export function randomInput(random: SeededRandom): Uint8Array {
  const length = randomBelow(random, 8) === 0 ? randomBelow(random, 2_000) : randomBelow(random, 80);
  return random.bytes(length);
}

/** `sample` with one to four changes. `others` are valid inputs to splice from. */
export function mutated(sample: Uint8Array, random: SeededRandom, others: readonly Uint8Array[]): Uint8Array {
  let bytes: Uint8Array = sample.slice();
  const changes = 1 + Math.min(randomBelow(random, 4), randomBelow(random, 4));
  for (let i = 0; i < changes; i++)
    bytes = MUTATIONS[randomBelow(random, MUTATIONS.length)]!(bytes, random, others);
  return bytes.length > LONGEST ? bytes.slice(0, LONGEST) : bytes;
}

/** In place where the length stays. Flips and edges are listed twice: they get through most often. */
const MUTATIONS: readonly Mutation[] = [
  flipBit,
  flipBit,
  putEdge,
  putEdge,
  putRandom,
  putNumber,
  truncate,
  (bytes, random) => splice(bytes, random, new Uint8Array(0)),
  (bytes, random) => splice(bytes, random, random.bytes(1 + randomBelow(random, 16)), 0),
  duplicate,
  swap,
  (bytes, random, others) =>
    splice(bytes, random, piece(others[randomBelow(random, others.length)]!, random)),
  (bytes, random) => join(bytes, random.bytes(1 + randomBelow(random, 40)), new Uint8Array(0)),
  (bytes, random) =>
    splice(
      bytes,
      random,
      new Uint8Array(1 + randomBelow(random, 600)).fill(EDGES[randomBelow(random, EDGES.length)]!),
      0,
    ),
];

function flipBit(bytes: Uint8Array, random: SeededRandom): Uint8Array {
  if (bytes.length > 0) bytes[randomBelow(random, bytes.length)]! ^= 1 << randomBelow(random, 8);
  return bytes;
}

function putEdge(bytes: Uint8Array, random: SeededRandom): Uint8Array {
  if (bytes.length > 0) bytes[randomBelow(random, bytes.length)] = EDGES[randomBelow(random, EDGES.length)]!;
  return bytes;
}

function putRandom(bytes: Uint8Array, random: SeededRandom): Uint8Array {
  if (bytes.length > 0) bytes[randomBelow(random, bytes.length)] = random.u32();
  return bytes;
}

/** A length or count that lies: an integer of 2, 4 or 8 bytes in either order, near an edge of its range or ours. */
function putNumber(bytes: Uint8Array, random: SeededRandom): Uint8Array {
  const width = 2 << randomBelow(random, 3);
  if (bytes.length < width) return bytes;
  const at = randomBelow(random, bytes.length - width + 1);
  const value = NUMBERS[randomBelow(random, NUMBERS.length)]! + BigInt(randomBelow(random, 3)) - 1n;
  const little = randomBelow(random, 2) === 0;
  for (let i = 0; i < width; i++) {
    bytes[at + (little ? i : width - 1 - i)] = Number((value >> BigInt(8 * i)) & 255n);
  }
  return bytes;
}

const NUMBERS = [
  0n,
  0x7fn,
  0xffn,
  0x100n,
  0x7fffn,
  0xffffn,
  0x1_0000n,
  0x7fff_ffffn,
  0xffff_ffffn,
  1n << 53n,
  -1n,
];

function truncate(bytes: Uint8Array, random: SeededRandom): Uint8Array {
  return bytes.subarray(0, randomBelow(random, bytes.length + 1));
}

function duplicate(bytes: Uint8Array, random: SeededRandom): Uint8Array {
  return splice(bytes, random, piece(bytes, random), 0);
}

function swap(bytes: Uint8Array, random: SeededRandom): Uint8Array {
  const cut = randomBelow(random, bytes.length + 1);
  return join(bytes.subarray(cut), bytes.subarray(0, cut), new Uint8Array(0));
}

/** Puts `inserted` in the place of some bytes, or of `removed`. */
function splice(bytes: Uint8Array, random: SeededRandom, inserted: Uint8Array, removed?: number): Uint8Array {
  const at = randomBelow(random, bytes.length + 1);
  const rest = bytes.length - at;
  const gone = removed ?? Math.min(rest, 1 + randomBelow(random, 16));
  return join(bytes.subarray(0, at), inserted, bytes.subarray(at + gone));
}

function piece(bytes: Uint8Array, random: SeededRandom): Uint8Array {
  const from = randomBelow(random, bytes.length + 1);
  return bytes.slice(from, from + 1 + randomBelow(random, 48));
}

function join(a: Uint8Array, b: Uint8Array, c: Uint8Array): Uint8Array {
  const out = new Uint8Array(a.length + b.length + c.length);
  out.set(a);
  out.set(b, a.length);
  out.set(c, a.length + b.length);
  return out;
}
