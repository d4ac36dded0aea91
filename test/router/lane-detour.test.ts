import test from 'ava';
import type { HandedFrame } from '../../router/engine/port.ts';
import { LaneDetour } from '../../router/lane-detour.ts';
import { FrameRef } from '../../router/switch/frame-ref.ts';
import { readMac } from '../../router/wire/mac.ts';
import { frameOf, numberOf } from './data-net.ts';

const HOST_2 = readMac(frameOf(1, 2, 0), 0);
const HOST_3 = readMac(frameOf(1, 3, 0), 0);

function detour() {
  const handed: HandedFrame[] = [];
  const made = new LaneDetour((frames) => void handed.push(...frames));
  const take = (number: number, now = 0) => {
    const frame = new FrameRef();
    const bytes = frameOf(1, 2, number);
    frame.set(bytes, 0, 0, 0, bytes.length, bytes.length, 0);
    made.take(frame, now);
  };
  return { made, handed, take, numbers: () => handed.map(({ bytes }) => numberOf(bytes)) };
}

test('frames behind one on the detour follow it until it was taken, those to another MAC do not', (t) => {
  const { made, take } = detour();
  t.false(made.holds(HOST_2, 0));
  take(1);
  take(2);
  made.flush();
  t.true(made.holds(HOST_2, 1));
  t.false(made.holds(HOST_3, 1));
  made.onTaken(1);
  t.true(made.holds(HOST_2, 2));
  made.onTaken(1);
  t.false(made.holds(HOST_2, 3));
});

test('a flow that never pauses leaves the detour after 100 ms all the same', (t) => {
  const { made, take } = detour();
  for (let now = 0; now < 100; now += 10) {
    t.is(made.holds(HOST_2, now), now > 0);
    take(now, now);
    made.flush();
  }
  t.false(made.holds(HOST_2, 100));
});

test('256 frames are handed over at once, 256 wait, and beyond those the oldest that wait are dropped and counted', (t) => {
  const { made, take, numbers } = detour();
  for (let number = 0; number < 600; number++) {
    take(number);
    made.flush();
  }
  t.is(numbers().length, 256);
  t.is(made.takeDropped(), 600 - 512);
  t.is(made.takeDropped(), 0);
  made.onTaken(256);
  const expected = Array.from({ length: 600 }, (_, i) => i).filter((i) => i < 256 || i >= 344);
  t.deepEqual(numbers(), expected);
});

test('what is handed over is a copy, with what the engine must know of the frame', (t) => {
  const { made, handed } = detour();
  const frame = new FrameRef();
  const bytes = new Uint8Array(3_000);
  frame.set(bytes, 0, 0, 100, 2_000, 1_400, 1);
  made.take(frame, 0);
  bytes.fill(9);
  made.flush();
  t.deepEqual(handed, [{ bytes: new Uint8Array(2_000), segment: 1_400, flags: 1 }]);
});
