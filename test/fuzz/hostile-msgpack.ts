import { concatBytes, utf8 } from '../../core/bytes.ts';
import { pack, unpack } from '../../core/msgpack.ts';
import type { SeededRandom } from '../../core/random.ts';
import { randomBelow } from '../../core/random.ts';

/** Bytes that stand for themselves in {@link encode}: what no encoder of ours would write. */
class Raw {
  readonly bytes: Uint8Array;

  constructor(...bytes: number[]) {
    this.bytes = Uint8Array.from(bytes);
  }
}

type Node = unknown;

/** Values that a field may have instead of its own. */
const LEAVES: readonly Node[] = [
  ...[
    null,
    true,
    false,
    0,
    1,
    2,
    7,
    15,
    16,
    127,
    128,
    255,
    256,
    65_535,
    65_536,
    2 ** 32 - 1,
    2 ** 32,
    2 ** 40,
  ],
  ...[
    2 ** 40 + 1,
    2 ** 53 - 1,
    2 ** 53,
    -1,
    -2,
    -129,
    -(2 ** 31),
    0.5,
    Number.NaN,
    Infinity,
    -Infinity,
    1e308,
    -0,
  ],
  ...[
    '',
    'topology',
    'ipam',
    '__proto__',
    'constructor',
    'a'.repeat(300),
    '\u0000\u001b[2J',
    '\u202e',
    '\ufeffx',
  ],
  ...['10.32.0.0/12', '::/0', '1'.repeat(70_000)],
  ...[[], [[]], [[[[[[[[[[]]]]]]]]]], Array<number>(20).fill(0), Array<Node>(70_000).fill(null)],
  ...[0, 1, 2, 4, 6, 8, 16, 18, 32, 33, 128, 600, 8_193].map((length) => new Uint8Array(length).fill(0xab)),
  new Raw(0xcf, 0, 0, 0, 0, 0, 0, 0, 5),
  new Raw(0xcf, 255, 255, 255, 255, 255, 255, 255, 255),
  new Raw(0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0),
  new Raw(0xca, 0x3f, 0x80, 0, 0),
  new Raw(0x81, 0xa9, ...utf8('__proto__'), 0x01),
  new Raw(0xdf, 255, 255, 255, 255),
  new Raw(0xdd, 255, 255, 255, 255),
  new Raw(0xdd, 0, 0, 0, 200),
  new Raw(0xc6, 255, 255, 255, 255),
  new Raw(0xdb, 0x7f, 255, 255, 255),
  new Raw(0xc1),
  new Raw(0xd4, 0x72, 0x40),
  new Raw(0xc7, 0x04, 0x65, 0x93, 0xc0, 0xc0, 0xc0),
  new Raw(0xd6, 0xff, 0, 0, 0, 0),
  new Raw(0xc9, 255, 255, 255, 255, 0x70),
  new Raw(0xa2, 0xf0, 0x9f),
  new Raw(0xa3, 0xed, 0xa0, 0x80),
  new Raw(0xd9, 0x02, 0xff, 0xfe),
];
/** What msgpackr writes for undefined. */
const NO_VALUE = new Raw(0xd4, 0x00, 0x00);
/** Deep enough for every message; a byte string that is itself MessagePack counts as one more. */
const DEEPEST = 12;

/** `sample` with one to three items changed, wherever they lie; undefined if it is no MessagePack. */
export function mutatedMsgpack(
  sample: Uint8Array,
  random: SeededRandom,
  others: readonly Uint8Array[],
): Uint8Array | undefined {
  let value: Node = unpack(sample);
  if (value === undefined) return undefined;
  const changes = 1 + Math.min(randomBelow(random, 3), randomBelow(random, 3));
  for (let i = 0; i < changes; i++) value = changed(value, random, others, DEEPEST);
  return encode(value);
}

/** A copy with one change on a random way down; byte strings that hold MessagePack are entered too. */
function changed(value: Node, random: SeededRandom, others: readonly Uint8Array[], depth: number): Node {
  if (depth === 0) return leaf(random);
  if (Array.isArray(value)) {
    const here = value.length === 0 || randomBelow(random, 6) === 0;
    return here
      ? changedList(value as Node[], random, others)
      : changedItem(value as Node[], random, others, depth);
  }
  if (value instanceof Uint8Array) {
    const inner = value.length > 1 && randomBelow(random, 5) > 0 ? unpack(value) : undefined;
    if (Array.isArray(inner)) return encode(changed(inner, random, others, depth - 1));
    return randomBelow(random, 3) === 0 ? leaf(random) : changedBytes(value, random);
  }
  if (typeof value === 'number' && randomBelow(random, 2) === 0) return value + randomBelow(random, 5) - 2;
  return leaf(random);
}

function changedItem(
  list: Node[],
  random: SeededRandom,
  others: readonly Uint8Array[],
  depth: number,
): Node[] {
  const copy = [...list];
  const at = randomBelow(random, copy.length);
  copy[at] = changed(copy[at], random, others, depth - 1);
  return copy;
}

function changedList(list: Node[], random: SeededRandom, others: readonly Uint8Array[]): Node {
  const copy = [...list];
  const at = randomBelow(random, copy.length + 1);
  switch (randomBelow(random, 7)) {
    case 0:
      copy.splice(at, 1);
      return copy;
    case 1:
      copy.splice(at, 0, leaf(random));
      return copy;
    case 2:
      return [...copy, ...copy];
    case 3:
      return copy.reverse();
    case 4:
      copy.splice(at, 0, copy[randomBelow(random, copy.length)] ?? NO_VALUE);
      return copy;
    case 5:
      return [copy];
    default:
      return unpack(others[randomBelow(random, others.length)]!) ?? leaf(random);
  }
}

function changedBytes(value: Uint8Array, random: SeededRandom): Uint8Array {
  const copy = value.slice();
  if (copy.length > 0) copy[randomBelow(random, copy.length)] = random.u32();
  if (randomBelow(random, 4) > 0) return copy;
  return randomBelow(random, 2) === 0 ? copy.subarray(1) : concatBytes(copy, copy);
}

function leaf(random: SeededRandom): Node {
  // The long ones are rare, or they would take all the time.
  const value = LEAVES[randomBelow(random, LEAVES.length)];
  const isLong = (typeof value === 'string' || Array.isArray(value)) && value.length > 1_000;
  return isLong && randomBelow(random, 50) > 0 ? 1 : value;
}

function encode(value: Node): Uint8Array {
  if (value instanceof Raw) return value.bytes;
  return Array.isArray(value) && holdsRaw(value) ? encodeList(value as Node[]) : pack(value);
}

function holdsRaw(list: readonly unknown[]): boolean {
  return list.some((item) => item instanceof Raw || (Array.isArray(item) && holdsRaw(item)));
}

function encodeList(list: readonly Node[]): Uint8Array {
  const head = Uint8Array.of(0xdd, list.length >>> 24, list.length >>> 16, list.length >>> 8, list.length);
  return concatBytes(head, ...list.map(encode));
}
