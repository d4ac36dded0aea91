import test from 'ava';
import { SeededRandom } from '../../core/random.ts';
import { CatchUp } from '../../ipam/catch-up.ts';
import { peer } from './network.ts';

const [A, B] = [peer(1), peer(2)];

test('the gate opens when every neighbour answered this very request', (t) => {
  const catchUp = new CatchUp(true, new SeededRandom(1), 0);
  catchUp.onNeighbours([A, B], 0);
  t.deepEqual(catchUp.step(false, 0), [A, B]);
  t.deepEqual(catchUp.step(false, 999), []);
  catchUp.onReply(A, catchUp.id);
  catchUp.onReply(B, 'ffffffffffffffff');
  t.deepEqual(catchUp.step(false, 1_000), [B]);
  t.true(catchUp.gated);
  catchUp.onReply(B, catchUp.id);
  catchUp.step(false, 1_001);
  t.false(catchUp.gated);
});

test('the gate opens after 5 s without any neighbour, counted from when the last one went', (t) => {
  const catchUp = new CatchUp(true, new SeededRandom(1), 0);
  catchUp.onNeighbours([A], 3_000);
  catchUp.onNeighbours([], 4_000);
  t.is(catchUp.nextTimeout(false), 9_000);
  catchUp.step(false, 8_999);
  t.true(catchUp.gated);
  catchUp.step(false, 9_000);
  t.false(catchUp.gated);
});

test('a silent neighbour that goes away holds up nothing', (t) => {
  const catchUp = new CatchUp(true, new SeededRandom(1), 0);
  catchUp.onNeighbours([A, B], 0);
  catchUp.step(false, 0);
  catchUp.onReply(A, catchUp.id);
  catchUp.onNeighbours([A], 1);
  catchUp.step(false, 1);
  t.false(catchUp.gated);
});

test('without a gate, only a peer that is curious asks', (t) => {
  const catchUp = new CatchUp(false, new SeededRandom(1), 0);
  catchUp.onNeighbours([A], 0);
  t.deepEqual(catchUp.step(false, 0), []);
  t.deepEqual(catchUp.step(true, 0), [A]);
  catchUp.onReply(A, catchUp.id);
  t.is(catchUp.nextTimeout(true), undefined);
});
