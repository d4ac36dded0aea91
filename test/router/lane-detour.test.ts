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
  const takeFrame = (bytes: Uint8Array, now = 0) => {
    const frame = new FrameRef();
    frame.set(bytes, 0, 0, 0, bytes.length, bytes.length, 0);
    made.take(frame, now);
  };
  const take = (number: number, now = 0) => takeFrame(frameOf(1, 2, number), now);
  /** Worker 0 deals with frames of 100 bytes. */
  const taken = (count: number) => made.onTaken(count, count * 100);
  return { made, handed, take, takeFrame, taken, numbers: () => handed.map(({ bytes }) => numberOf(bytes)) };
}

/** A frame to one of 65,536 strangers. */
function frameToStranger(stranger: number): Uint8Array {
  const frame = frameOf(1, 0, stranger);
  frame.set([2, 0, 0, 1, stranger >> 8, stranger & 255]);
  return frame;
}

const range = (first: number, end: number) => Array.from({ length: end - first }, (_, i) => first + i);

const macOfStranger = (stranger: number) => readMac(frameToStranger(stranger), 0);

test('frames behind one on the detour follow it until it was taken, those to another MAC do not', (t) => {
  const { made, take, taken } = detour();
  t.false(made.holds(HOST_2, 0));
  take(1);
  take(2);
  made.flush();
  t.true(made.holds(HOST_2, 1));
  t.false(made.holds(HOST_3, 1));
  taken(1);
  t.true(made.holds(HOST_2, 2));
  taken(1);
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
  const { made, take, taken, numbers } = detour();
  for (let number = 0; number < 600; number++) {
    take(number);
    made.flush();
  }
  t.is(numbers().length, 256);
  t.is(made.takeDropped(), 600 - 512);
  t.is(made.takeDropped(), 0);
  taken(256);
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

test('a flood of strangers that never lets the detour run dry is remembered for 1,024 of them', (t) => {
  const { made, takeFrame, taken } = detour();
  for (let stranger = 0; stranger < 3_000; stranger++) {
    takeFrame(frameToStranger(stranger));
    made.flush();
    if (stranger >= 2) taken(1);
  }
  const followed = Array.from({ length: 3_000 }, (_, stranger) => made.holds(macOfStranger(stranger), 1));
  t.deepEqual(
    followed,
    followed.map((_, stranger) => stranger >= 3_000 - 1_024),
  );
});

test('a flow that comes back to the detour is followed anew, though the detour never ran dry', (t) => {
  const { made, take, takeFrame, taken } = detour();
  take(1, 0);
  made.flush();
  takeFrame(frameToStranger(1), 50);
  made.flush();
  taken(1);
  t.false(made.holds(HOST_2, 100));
  take(2, 120);
  made.flush();
  t.true(made.holds(HOST_2, 219));
  t.false(made.holds(HOST_2, 220));
});

test('no more than 4 MiB are on the detour: beyond those the oldest that wait are dropped and counted', (t) => {
  const { made, takeFrame, numbers } = detour();
  const longest = 65_536;
  for (let i = 0; i < 70; i++) takeFrame(frameOf(1, 2, i, longest));
  made.flush();
  t.deepEqual(numbers(), range(6, 70));
  t.is(made.takeDropped(), 6);
  takeFrame(frameOf(1, 2, 70, longest));
  made.flush();
  t.is(made.takeDropped(), 1, 'there is no room while all are under way');
  made.onTaken(2, 2 * longest);
  for (let i = 71; i < 74; i++) takeFrame(frameOf(1, 2, i, longest));
  made.flush();
  t.deepEqual(numbers(), [...range(6, 70), 72, 73]);
  t.is(made.takeDropped(), 1);
});

test('frames that gave way to others leave room for their bytes', (t) => {
  const { made, takeFrame, numbers } = detour();
  // All of them are 8 MB, those that are kept 2 MB.
  for (let i = 0; i < 2_000; i++) {
    takeFrame(frameOf(1, 2, i, 4_000));
    made.flush();
  }
  t.is(made.takeDropped(), 2_000 - 512);
  made.onTaken(256, 256 * 4_000);
  t.is(numbers().at(-1), 1_999);
});
