import test from 'ava';
import fc from 'fast-check';
import { Reassembly, type ReassemblyDrop } from '../../../router/switch/reassembly.ts';
import { INNER_HEADER_BYTES, writeFragmentPrefix } from '../../../router/wire/inner.ts';
import { peerAt } from './routes.ts';

const PEER = peerAt(1);
const OTHER = peerAt(2);

interface Bench {
  readonly reassembly: Reassembly;
  readonly drops: ReassemblyDrop[];
  readonly add: (
    id: number,
    start: number,
    total: number,
    bytes: Uint8Array,
    now?: number,
  ) => Uint8Array | undefined;
}

function bench(peer = PEER): Bench {
  const drops: ReassemblyDrop[] = [];
  const reassembly = new Reassembly((reason) => drops.push(reason));
  return {
    reassembly,
    drops,
    add: (id, start, total, bytes, now = 0) => {
      const payload = fragment(id, start, total, bytes);
      return reassembly.add(peer, 0, payload, 0, payload.length, now);
    },
  };
}

function fragment(id: number, start: number, total: number, bytes: Uint8Array): Uint8Array {
  const out = new Uint8Array(10 + bytes.length);
  writeFragmentPrefix(out, 0, id, start, total);
  out.set(bytes, 10);
  return out.subarray(INNER_HEADER_BYTES);
}

test('a fragment takes no more memory than it has bytes, and more pieces than a message has are refused', (t) => {
  const { add, drops } = bench();
  const before = process.memoryUsage().arrayBuffers;
  for (let id = 0; id < 2_000; id++) add(id, 0, 65_535, Uint8Array.of(1));
  t.true(process.memoryUsage().arrayBuffers - before < 16 << 20, 'and not 131 MB');
  drops.length = 0;
  for (let i = 0; i < 200; i++) add(9_999, i, 65_535, Uint8Array.of(1));
  t.deepEqual(
    drops.filter((drop) => drop === 'fragment-mismatched'),
    ['fragment-mismatched'],
  );
});

test('pieces in any order, even repeated, make the message', (t) => {
  const input = fc.record({
    message: fc.uint8Array({ minLength: 2, maxLength: 400 }).map((bytes) => bytes.with(0, 1)),
    size: fc.integer({ min: 20, max: 60 }),
    seed: fc.infiniteStream(fc.nat(1_000)),
    repeat: fc.boolean(),
  });
  fc.assert(
    fc.property(input, ({ message, size, seed, repeat }) => {
      const { add, drops } = bench();
      const starts = Array.from({ length: Math.ceil(message.length / size) }, (_, i) => i * size);
      const order = starts
        .map((start) => ({ start, key: seed.next().value as number }))
        .sort((x, y) => x.key - y.key)
        .map(({ start }) => start);
      const sent = repeat && order.length > 1 ? [order[0]!, ...order] : order;
      const results = sent.map((start) =>
        add(9, start, message.length, message.subarray(start, start + size)),
      );
      t.deepEqual(results.at(-1), Uint8Array.from(message));
      t.true(results.slice(0, -1).every((result) => result === undefined));
      t.deepEqual(drops, []);
    }),
  );
});

test('messages of different peers and ids do not mix', (t) => {
  const { reassembly, add } = bench();
  t.is(add(1, 0, 4, Uint8Array.of(1, 1)), undefined);
  t.is(add(2, 0, 4, Uint8Array.of(1, 2)), undefined);
  const foreign = fragment(1, 2, 4, Uint8Array.of(9, 9));
  t.is(reassembly.add(OTHER, 0, foreign, 0, foreign.length, 0), undefined);
  t.deepEqual(add(2, 2, 4, Uint8Array.of(3, 4)), Uint8Array.of(1, 2, 3, 4));
  t.deepEqual(add(1, 2, 4, Uint8Array.of(5, 6)), Uint8Array.of(1, 1, 5, 6));
});

test('messages of one peer on different lanes do not mix, nor do they get room of their own', (t) => {
  const { reassembly, add, drops } = bench();
  const onLane = (lane: number, id: number, start: number, bytes: Uint8Array) => {
    const payload = fragment(id, start, 4, bytes);
    return reassembly.add(PEER, lane, payload, 0, payload.length, 0);
  };
  add(1, 0, 4, Uint8Array.of(1, 1));
  t.is(onLane(1, 1, 2, Uint8Array.of(7, 8)), undefined);
  t.deepEqual(onLane(1, 1, 0, Uint8Array.of(1, 2)), Uint8Array.of(1, 2, 7, 8));
  t.deepEqual(add(1, 2, 4, Uint8Array.of(5, 6)), Uint8Array.of(1, 1, 5, 6));
  t.deepEqual(drops, []);
  for (let lane = 0; lane < 16; lane++) onLane(lane, 0xffff_ffff, 0, Uint8Array.of(1, 1));
  onLane(15, 1, 0, Uint8Array.of(1, 1));
  t.deepEqual(drops, ['reassembly-full']);
  reassembly.forgetPeer(PEER);
  t.is(reassembly.nextTimeout(), undefined);
});

test('a malformed fragment is counted and changes nothing', (t) => {
  const { reassembly, add, drops } = bench();
  add(1, 0, 4, Uint8Array.of(1, 1));
  t.is(reassembly.add(PEER, 0, new Uint8Array(5), 0, 5, 0), undefined);
  t.deepEqual(drops, ['fragment-malformed']);
  t.truthy(add(1, 2, 4, Uint8Array.of(5, 6)));
});

test('pieces that contradict each other end their message', (t) => {
  const overlap = bench();
  overlap.add(1, 0, 6, Uint8Array.of(1, 1, 1));
  overlap.add(1, 2, 6, Uint8Array.of(2, 2));
  t.deepEqual(overlap.drops, ['fragment-mismatched']);
  const total = bench();
  total.add(1, 0, 6, Uint8Array.of(1, 1, 1));
  total.add(1, 3, 7, Uint8Array.of(2, 2));
  t.deepEqual(total.drops, ['fragment-mismatched']);
});

test('a message that stays incomplete is forgotten after two seconds', (t) => {
  const { reassembly, add, drops } = bench();
  t.is(reassembly.nextTimeout(), undefined);
  add(1, 0, 4, Uint8Array.of(1, 1), 100);
  t.is(reassembly.nextTimeout(), 2_100);
  reassembly.onTimeout(2_099);
  t.deepEqual(drops, []);
  reassembly.onTimeout(2_100);
  t.deepEqual(drops, ['reassembly-expired']);
  t.is(reassembly.nextTimeout(), undefined);
});

test('a late piece does not revive an expired message', (t) => {
  const { add, drops } = bench();
  add(1, 0, 4, Uint8Array.of(1, 1), 0);
  t.is(add(1, 2, 4, Uint8Array.of(2, 2), 2_000), undefined);
  t.deepEqual(drops, ['reassembly-expired']);
});

test('a peer keeps at most 16 incomplete messages: the oldest gives way', (t) => {
  const { add, drops } = bench();
  for (let id = 0; id < 17; id++) add(id, 0, 4, Uint8Array.of(1, id));
  t.deepEqual(drops, ['reassembly-full']);
  t.deepEqual(add(1, 2, 4, Uint8Array.of(5, 6)), Uint8Array.of(1, 1, 5, 6));
  t.is(add(0, 2, 4, Uint8Array.of(5, 6)), undefined);
});

test('a peer keeps at most 256 KiB of incomplete messages', (t) => {
  const { add, drops } = bench();
  for (let id = 0; id < 5; id++) add(id, 0, 65_535, Uint8Array.of(1, id));
  t.deepEqual(drops, ['reassembly-full']);
});

test('a message in too many gaps is given up', (t) => {
  const { add, drops } = bench();
  for (let i = 0; i < 65; i++) add(1, 2 * i, 65_535, Uint8Array.of(1));
  t.deepEqual(drops, ['fragment-mismatched']);
});

test('a peer that is gone is forgotten', (t) => {
  const { reassembly, add } = bench();
  add(1, 0, 4, Uint8Array.of(1, 1));
  reassembly.forgetPeer(PEER);
  t.is(reassembly.nextTimeout(), undefined);
});
