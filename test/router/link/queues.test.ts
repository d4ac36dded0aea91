import test from 'ava';
import { randomBelow, SeededRandom } from '../../../core/random.ts';
import { BackOff } from '../../../router/link/back-off.ts';
import { Deadlines } from '../../../router/link/deadlines.ts';
import { FrameQueue, FrameQueues, HELD_FOR, MOST_FRAMES } from '../../../router/link/frame-queue.ts';
import { MacsReceiver, MacsSender } from '../../../router/link/macs.ts';
import { Numbers } from '../../../router/link/numbers.ts';
import { Prober } from '../../../router/link/prober.ts';
import { RelayLabels } from '../../../router/link/relay-labels.ts';
import { A, B, RELAY } from './link-net.ts';

test('a frame queue keeps the newest 64 frames in order and says how many it dropped', (t) => {
  const queue = new FrameQueue();
  let dropped = 0;
  for (let i = 0; i < MOST_FRAMES + 10; i++) dropped += queue.push(Uint8Array.of(i), 0);
  t.is(queue.length, MOST_FRAMES);
  t.is(dropped, 10);
  t.deepEqual(
    queue.take().map((frame) => frame[0]),
    Array.from({ length: MOST_FRAMES }, (_, i) => i + 10),
  );
  t.is(queue.length, 0);
});

test('queues bound their bytes, copy what they keep, and keep the peers apart', (t) => {
  const queues = new FrameQueues();
  const frame = new Uint8Array(65_000).fill(1);
  let dropped = 0;
  for (let i = 0; i < 10; i++) dropped += queues.push(A, frame, 0);
  frame.fill(2);
  queues.push(B, frame, 0);
  t.is(dropped, 6);
  t.deepEqual(
    queues.take(A).map((kept) => kept[0]),
    [1, 1, 1, 1],
  );
  t.deepEqual(queues.take(A), []);
  t.is(queues.take(B).length, 1);
});

test('frames that have waited for five seconds are dropped, newer ones are not', (t) => {
  const queues = new FrameQueues();
  queues.push(A, Uint8Array.of(1), 0);
  queues.push(A, Uint8Array.of(2), 3_000);
  t.is(queues.expire(A, HELD_FOR), 0);
  t.is(queues.expire(A, HELD_FOR + 1), 1);
  t.is(queues.push(A, Uint8Array.of(3), 3_001 + HELD_FOR), 1);
  t.deepEqual(queues.take(A), [Uint8Array.of(3)]);
  t.is(queues.expire(B, 0), 0);
});

test('numbers are dense and the lowest free one comes first', (t) => {
  const numbers = new Numbers();
  t.deepEqual(
    [1, 2, 3, 4].map(() => numbers.take()),
    [1, 2, 3, 4],
  );
  for (const number of [3, 1, 2]) numbers.release(number);
  t.deepEqual(
    [1, 2, 3, 4].map(() => numbers.take()),
    [1, 2, 3, 5],
  );
});

test('the back-off doubles from two seconds to thirty and starts anew after a reset', (t) => {
  const backOff = new BackOff();
  const asked: number[] = [];
  for (let now = 0; now <= 120_000; now += 500) if (backOff.ask(now)) asked.push(now / 1000);
  t.deepEqual(asked, [0, 2, 6, 14, 30, 60, 90, 120]);
  backOff.reset();
  t.true(backOff.ask(120_001));
});

test('deadlines name the earliest and all that are due', (t) => {
  const deadlines = new Deadlines<string>();
  deadlines.set('x', 30);
  deadlines.set('y', 10);
  deadlines.set('z', 20);
  t.is(deadlines.earliest(), 10);
  deadlines.set('y', 40);
  t.is(deadlines.earliest(), 20);
  t.deepEqual(deadlines.due(30).sort(), ['x', 'z']);
  t.deepEqual(deadlines.due(19), []);
  deadlines.set('z', undefined);
  deadlines.set('x', undefined);
  t.is(deadlines.earliest(), 40);
  deadlines.set('y', undefined);
  t.is(deadlines.earliest(), undefined);
});

test('deadlines are those of a plain list, whatever is set, moved and withdrawn', (t) => {
  const random = new SeededRandom(7);
  const deadlines = new Deadlines<number>();
  const plain = new Map<number, number>();
  for (let i = 0; i < 5_000; i++) {
    const machine = randomBelow(random, 60);
    const at = randomBelow(random, 3) === 0 ? undefined : randomBelow(random, 500);
    deadlines.set(machine, at);
    if (at === undefined) plain.delete(machine);
    else plain.set(machine, at);
    t.is(deadlines.earliest(), plain.size === 0 ? undefined : Math.min(...plain.values()));
    const now = randomBelow(random, 500);
    // A map keeps the order in which its keys came, too.
    t.deepEqual(
      deadlines.due(now),
      [...plain].filter(([, each]) => each <= now).map(([each]) => each),
    );
  }
});

const part = { kind: 'macs' as const, version: 1, part: 0, parts: 2, macs: new Uint8Array(6) };

test('a list of MACs is complete once, however its parts are ordered and repeated', (t) => {
  const receiver = new MacsReceiver();
  t.deepEqual(receiver.onPart({ ...part, part: 1, macs: new Uint8Array(6).fill(2) }), {});
  t.deepEqual(receiver.onPart({ ...part, part: 1, macs: new Uint8Array(6).fill(9) }), {});
  const { complete, acknowledge } = receiver.onPart({ ...part, macs: new Uint8Array(6).fill(1) });
  t.deepEqual(complete, Uint8Array.of(1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2));
  t.is(acknowledge, 1);
  t.deepEqual(receiver.onPart(part), { acknowledge: 1 });
});

test('parts that are unsound, outdated or at odds with their list are ignored', (t) => {
  const receiver = new MacsReceiver();
  receiver.onPart({ ...part, version: 5 });
  for (const bad of [
    { ...part, version: 4, part: 1 },
    { ...part, version: 5, parts: 3 },
    { ...part, version: 6, part: 2 },
    { ...part, version: 6, parts: 0 },
    { ...part, version: 6, parts: 65 },
    { ...part, version: 6, macs: new Uint8Array(5) },
  ]) {
    t.deepEqual(receiver.onPart(bad), {});
  }
  t.truthy(receiver.onPart({ ...part, version: 5, part: 1 }).complete);
});

test('an empty list is told too, and an answer to an older version does not end the telling', (t) => {
  const sender = new MacsSender();
  t.is(sender.nextTimeout(), undefined);
  sender.restart(new Uint8Array(0), 0);
  sender.restart(new Uint8Array(0), 0);
  t.is(sender.onTimeout(0).length, 1);
  t.deepEqual(sender.onTimeout(500), []);
  sender.onAck(1);
  t.is(sender.nextTimeout(), 1000);
  sender.onAck(2);
  t.is(sender.nextTimeout(), undefined);
});

test('only rounds of probes that are answered without a gap count in a row', (t) => {
  const prober = new Prober(0);
  const answer = (round: number, answered: boolean) => {
    prober.beginRound(1000, round * 1000);
    const token = new Uint8Array(8).fill(round);
    prober.onSent(token, 1232, round * 1000);
    if (answered) prober.onAck(token, round * 1000 + 50);
    return prober.answersInRow;
  };
  t.deepEqual(
    [1, 2, 3].map((round) => answer(round, true)),
    [1, 2, 3],
  );
  answer(4, false);
  t.is(answer(5, true), 1);
  t.is(answer(6, true), 2);
});

test('an answer to a probe counts once, and not after four seconds', (t) => {
  const prober = new Prober(0);
  const token = new Uint8Array(8);
  prober.beginRound(1000, 0);
  prober.onSent(token, 1232, 0);
  t.deepEqual(prober.onAck(token, 30), { size: 1232, rtt: 30 });
  t.is(prober.onAck(token, 31), undefined);
  prober.onSent(token, 1232, 40);
  t.is(prober.onAck(token, 4040), undefined);
});

test('labels join the direct paths of two neighbours and follow them', (t) => {
  const paths = new Map([[A, 1]]);
  const labels = new RelayLabels((peer) => paths.get(peer));
  const label = { index: 50, previous: A, next: B, nextIndex: 60 };
  t.deepEqual(labels.add(label, 0), []);
  paths.set(B, 2);
  t.deepEqual(labels.onDirectPath(B), [{ type: 'label', index: 50, from: 1, to: 2, nextIndex: 60 }]);
  t.deepEqual(labels.onDirectPath(RELAY), []);
  paths.set(A, 3);
  t.deepEqual(labels.onDirectPath(A), [
    { type: 'label-removed', index: 50 },
    { type: 'label', index: 50, from: 3, to: 2, nextIndex: 60 },
  ]);
  paths.delete(A);
  t.deepEqual(labels.onDirectPath(A), [{ type: 'label-removed', index: 50 }]);
  t.deepEqual(labels.remove(50), []);
  t.is(labels.size, 0);
});

test('a label without traffic for a minute is named, and again after a further one', (t) => {
  const labels = new RelayLabels(() => 1);
  labels.add({ index: 50, previous: A, next: B, nextIndex: 60 }, 0);
  labels.onUsed(50, 30_000);
  t.is(labels.nextTimeout(), 90_000);
  t.deepEqual(labels.onTimeout(89_999), []);
  t.deepEqual(labels.onTimeout(90_000), [50]);
  t.is(labels.nextTimeout(), 150_000);
});
