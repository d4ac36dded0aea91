import test from 'ava';
import { pack } from '../../core/msgpack.ts';
import { writePeerName } from '../../core/peer-name.ts';
import type { PeerName } from '../../core/peer-name.ts';
import { randomBelow, SeededRandom } from '../../core/random.ts';
import { Removals } from '../../gossip/removals.ts';

const HOUR = 3_600_000;

function record(n: number, ageSeconds: number): unknown {
  const name = new Uint8Array(6);
  writePeerName(`00:00:00:00:00:0${n}` as PeerName, name, 0);
  return [name, new Uint8Array(32).fill(n), ageSeconds];
}

/** How many records are kept. */
function kept(removals: Removals): number {
  return removals.entriesOf(0xffff)?.length ?? 0;
}

/** What one sends to the other is merged `delay` later; both clocks go on. */
function repair(from: Removals, to: Removals, now: number, delay: number): void {
  from.tick(now);
  to.tick(now + delay);
  const news = from.entriesOf(0xffff);
  const delta = news === undefined ? undefined : from.encode(news);
  if (delta !== undefined) to.merge(delta, now + delay);
}

test('each record ends 24 hours after it was written, whenever it came and whatever came before it', (t) => {
  const removals = new Removals(() => undefined, 0);
  removals.merge(pack([record(1, 0), record(2, 5 * 3_600)]), 0);
  removals.merge(pack([record(3, 12 * 3_600)]), HOUR);
  const counts = [13 * HOUR - 1, 13 * HOUR, 19 * HOUR - 1, 19 * HOUR, 24 * HOUR - 1, 24 * HOUR].map((now) => {
    removals.tick(now);
    return kept(removals);
  });
  t.deepEqual(counts, [3, 2, 2, 1, 1, 0]);
  removals.merge(pack([record(4, 0)]), 30 * HOUR);
  removals.tick(54 * HOUR - 1);
  t.is(kept(removals), 1);
  removals.tick(54 * HOUR);
  t.is(kept(removals), 0);
});

test('an age is that at the time of sending, rounded up', (t) => {
  const removals = new Removals(() => undefined, 0);
  const news = removals.add({ name: '00:00:00:00:00:01' as PeerName, key: new Uint8Array(32).fill(1) });
  t.deepEqual(removals.encode(news as string[]), pack([record(1, 0)]));
  removals.tick(10_001);
  t.deepEqual(removals.encode(news as string[]), pack([record(1, 11)]));
  removals.tick(24 * HOUR);
  t.is(removals.encode(news as string[]), undefined, 'it ended while it waited to be sent');
});

test('what waits for one neighbour is joined: each record once', (t) => {
  const removals = new Removals(() => undefined, 0);
  removals.merge(pack([record(1, 5), record(2, 7)]), 0);
  const [one, other] = removals.entriesOf(0xffff)!;
  const joined = removals.join([[other!], [one!, other!]]);
  t.deepEqual(removals.encode(joined), pack([record(1, 5), record(2, 7)]));
});

test('a record ends once and for all, though each peer in a row has it from a slow neighbour', (t) => {
  let told = 0;
  const peers = Array.from({ length: 20 }, () => new Removals(() => told++, 0));
  const slow = 10_000;
  peers[0]!.add({ name: '00:00:00:00:00:01' as PeerName, key: new Uint8Array(32).fill(1) });
  for (let i = 0; i < 19; i++) repair(peers[i]!, peers[i + 1]!, i * slow, slow);
  const random = new SeededRandom(1);
  for (let now = 23 * HOUR; now < 25 * HOUR; now += slow) {
    repair(peers[randomBelow(random, 20)]!, peers[randomBelow(random, 20)]!, now, slow);
  }
  for (const peer of peers) peer.tick(25 * HOUR);
  t.is(told, peers.length);
  t.deepEqual(new Set(peers.map(kept)), new Set([0]));
});

test('a record that is about to end is not taken over', (t) => {
  const removals = new Removals(() => undefined, 0);
  removals.merge(pack([record(1, 24 * 3_600 - 300), record(2, 24 * 3_600 - 301)]), 0);
  t.is(kept(removals), 1);
});
