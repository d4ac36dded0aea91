import test from 'ava';
import { ReplayWindow } from '../../../router/crypto/replay-window.ts';
import { COUNTER_LIMIT, datagramCounter } from '../../../router/wire/datagram.ts';
import { sealDatagram } from '../engine/datagram-oracle.ts';
import { LIMIT, REPLAY_CASES, W, type CounterVerdict } from '../engine/replay-table.ts';

const KEY = new Uint8Array(32);
const INNER = Uint8Array.of(1, 0);

/** As an engine judges the counter of a datagram with a valid tag. */
function judge(window: ReplayWindow, counter: bigint): CounterVerdict {
  const read = datagramCounter(sealDatagram(KEY, { index: 1, counter }, INNER));
  if (read >= COUNTER_LIMIT) return 'counter-exhausted';
  const verdict = window.accept(read);
  return verdict === 'new' ? 'new' : `counter-${verdict}`;
}

for (const { what, steps } of REPLAY_CASES) {
  test(`by itself, the window that engines share holds that ${what}`, (t) => {
    const window = new ReplayWindow();
    for (const [counter, verdict] of steps) t.is(judge(window, counter), verdict, String(counter));
  });
}

test('the table means the window and the limit of the product', (t) => {
  t.is(BigInt(COUNTER_LIMIT), LIMIT);
  const window = new ReplayWindow();
  window.accept(Number(W));
  t.is(window.accept(0), 'too-old');
});
