import test from 'ava';
import { SECOND } from '../../../core/time.ts';
import { Prober } from '../../../router/link/prober.ts';

const token = (n: number): Uint8Array => new Uint8Array(8).fill(n);

/** One round per second, each of one probe; `answered` says which are, at once. */
function inRowAfter(answered: string): number {
  const prober = new Prober(0);
  Array.from(answered).forEach((sign, i) => {
    prober.beginRound(SECOND, i * SECOND);
    prober.onSent(token(i), 100, i * SECOND);
    if (sign === '+') prober.onAck(token(i), i * SECOND + 10);
  });
  return prober.answersInRow;
}

for (const [rounds, inRow] of [
  ['', 0],
  ['-', 0],
  ['+', 1],
  ['+++', 3],
  ['++-', 2],
  ['++--', 0],
  ['++-+', 1],
  ['+--++', 2],
] as const) {
  test(`of the rounds "${rounds}" ${inRow} in a row count, the open one aside`, (t) => {
    t.is(inRowAfter(rounds), inRow);
  });
}

test('an answer that comes too late counts for nothing', (t) => {
  const prober = new Prober(0);
  prober.beginRound(10 * SECOND, 0);
  prober.onSent(token(1), 100, 0);
  t.is(prober.onAck(token(1), 4 * SECOND), undefined);
  t.is(prober.answersInRow, 0);
});
