import test from 'ava';
import { SeededRandom } from '../../core/random.ts';
import { CatchUp } from '../../ipam/catch-up.ts';
import { peer } from './network.ts';

const [A, B, C] = [peer(1), peer(2), peer(3)];

const whole = (id: string) => ({ id, answer: 1, part: 0, parts: 1 });

test('the gate opens when every neighbour answered this very request', (t) => {
  const catchUp = new CatchUp(true, new SeededRandom(1), 0);
  catchUp.onNeighbours([A, B], [], 0);
  t.deepEqual(catchUp.step(false, 0), [A, B]);
  t.deepEqual(catchUp.step(false, 999), []);
  catchUp.onReply(A, whole(catchUp.id));
  catchUp.onReply(B, whole('ffffffffffffffff'));
  t.deepEqual(catchUp.step(false, 1_000), [B]);
  t.true(catchUp.gated);
  catchUp.onReply(B, whole(catchUp.id));
  catchUp.step(false, 1_001);
  t.false(catchUp.gated);
});

test('the gate opens after 5 s without any neighbour, counted from when the last one went', (t) => {
  const catchUp = new CatchUp(true, new SeededRandom(1), 0);
  catchUp.onNeighbours([A], [], 3_000);
  catchUp.onNeighbours([], [], 4_000);
  t.is(catchUp.nextTimeout(false), 9_000);
  catchUp.step(false, 8_999);
  t.true(catchUp.gated);
  catchUp.step(false, 9_000);
  t.false(catchUp.gated);
});

test('a connection that the other end has not accepted yet is waited for, beside neighbours too', (t) => {
  const catchUp = new CatchUp(true, new SeededRandom(1), 0);
  catchUp.onNeighbours([], [C], 200);
  t.is(catchUp.nextTimeout(false), undefined);
  catchUp.step(false, 5_100);
  t.true(catchUp.gated);
  catchUp.onNeighbours([A], [C], 5_200);
  catchUp.onReply(A, whole(catchUp.id));
  catchUp.step(false, 5_200);
  t.true(catchUp.gated);
  catchUp.onNeighbours([], [], 5_300);
  t.is(catchUp.nextTimeout(false), 10_300);
  catchUp.onNeighbours([A], [], 5_400);
  catchUp.onReply(A, whole(catchUp.id));
  catchUp.step(false, 5_400);
  t.false(catchUp.gated);
});

test('a connection that is never accepted holds up 7 s at most where a neighbour has answered', (t) => {
  const catchUp = new CatchUp(true, new SeededRandom(1), 0);
  catchUp.onNeighbours([], [C], 200);
  catchUp.onNeighbours([A], [C], 3_000);
  catchUp.onReply(A, whole(catchUp.id));
  t.is(catchUp.nextTimeout(false), 7_200);
  catchUp.step(false, 7_199);
  t.true(catchUp.gated);
  catchUp.step(false, 7_200);
  t.false(catchUp.gated);
});

test('each peer that connects has its 7 s, however long another takes', (t) => {
  const catchUp = new CatchUp(true, new SeededRandom(1), 0);
  catchUp.onNeighbours([A], [C], 0);
  catchUp.onReply(A, whole(catchUp.id));
  catchUp.onNeighbours([A], [B, C], 4_000);
  t.is(catchUp.nextTimeout(false), 11_000);
  catchUp.onNeighbours([A], [C], 5_000);
  t.is(catchUp.nextTimeout(false), 7_000, 'B has gone again');
  catchUp.onNeighbours([A], [B, C], 6_000);
  t.is(catchUp.nextTimeout(false), 13_000, 'and comes back: another connection');
  catchUp.step(false, 12_999);
  t.true(catchUp.gated);
  catchUp.step(false, 13_000);
  t.false(catchUp.gated);
});

test('without an answer a connection that is not accepted is waited for while it lasts', (t) => {
  const catchUp = new CatchUp(true, new SeededRandom(1), 0);
  catchUp.onNeighbours([], [C], 200);
  t.is(catchUp.nextTimeout(false), undefined);
  catchUp.step(false, 25_000);
  t.true(catchUp.gated);
  catchUp.onNeighbours([A], [C], 26_000);
  catchUp.step(false, 26_000);
  t.true(catchUp.gated, 'nor is a neighbour that has not answered passed over');
});

test('a silent neighbour that goes away holds up nothing', (t) => {
  const catchUp = new CatchUp(true, new SeededRandom(1), 0);
  catchUp.onNeighbours([A, B], [], 0);
  catchUp.step(false, 0);
  catchUp.onReply(A, whole(catchUp.id));
  catchUp.onNeighbours([A], [], 1);
  catchUp.step(false, 1);
  t.false(catchUp.gated);
});

test('without a gate, only a peer that is curious asks', (t) => {
  const catchUp = new CatchUp(false, new SeededRandom(1), 0);
  catchUp.onNeighbours([A], [], 0);
  t.deepEqual(catchUp.step(false, 0), []);
  t.deepEqual(catchUp.step(true, 0), [A]);
  catchUp.onReply(A, whole(catchUp.id));
  t.is(catchUp.nextTimeout(true), undefined);
});

test('a neighbour has answered when all parts of one answer came, in whatever order', (t) => {
  const catchUp = new CatchUp(true, new SeededRandom(1), 0);
  const { id } = catchUp;
  catchUp.onNeighbours([A], [], 0);
  const received = [
    { answer: 1, part: 0, parts: 3 },
    { answer: 1, part: 2, parts: 3 },
    { answer: 1, part: 2, parts: 3 },
    // The ring has changed, so the parts of the first answer do not count.
    { answer: 2, part: 1, parts: 3 },
    { answer: 2, part: 0, parts: 3 },
  ];
  for (const reply of received) {
    catchUp.onReply(A, { id, ...reply });
    t.deepEqual(catchUp.unanswered(), [A]);
  }
  t.is(catchUp.missingPart(A), 2, 'it is asked for first');
  catchUp.onReply(A, { id, answer: 2, part: 2, parts: 3 });
  t.deepEqual(catchUp.unanswered(), []);
});

test('parts that came before a neighbour went away do not count when it is back', (t) => {
  const catchUp = new CatchUp(true, new SeededRandom(1), 0);
  const { id } = catchUp;
  catchUp.onNeighbours([A], [], 0);
  catchUp.onReply(A, { id, answer: 1, part: 0, parts: 2 });
  catchUp.onNeighbours([], [], 1);
  catchUp.onNeighbours([A], [], 2);
  catchUp.onReply(A, { id, answer: 1, part: 1, parts: 2 });
  t.deepEqual(catchUp.unanswered(), [A]);
});
