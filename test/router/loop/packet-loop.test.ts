import test from 'ava';
import { monotonicNow } from '../../../router/loop/deadline-timer.ts';
import { PacketLoop } from '../../../router/loop/packet-loop.ts';
import { sleep } from '../../../scripts/run.ts';

/** A machine whose deadline is always now. */
function loop() {
  const seen = { timeouts: 0, said: 0 };
  const machine = {
    onReady: () => false,
    nextTimeout: () => monotonicNow(),
    onTimeout: () => {
      seen.timeouts++;
    },
  };
  const say = () => {
    seen.said++;
  };
  return { packets: new PacketLoop(machine, say), seen };
}

test('a deadline is kept', async (t) => {
  const { packets, seen } = loop();
  packets.pump();
  while (seen.timeouts < 3) await sleep(1);
  packets.stop();
  t.true(seen.said > 3);
});

test('input after the end is passed on and sets no deadline', async (t) => {
  const { packets, seen } = loop();
  packets.stop();
  packets.onReady();
  packets.pump();
  t.is(seen.said, 2);
  await sleep(50);
  t.is(seen.timeouts, 0);
});
