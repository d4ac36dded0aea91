import test from 'ava';
import { framesTaken, transferred, type FromLane } from '../../router/lane-messages.ts';
import { frameOf } from './data-net.ts';

test('frames cross to the other thread without being copied, the rest of what a worker says is copied', (t) => {
  const bytes = frameOf(1, 2, 3);
  const messages: FromLane[] = [
    { type: 'frames', frames: [{ bytes, segment: bytes.length, flags: 1 }] },
    { type: 'dropped', reason: 'any', count: 1 },
  ];
  const arrived = structuredClone(messages, { transfer: transferred(messages) });
  t.is(bytes.length, 0);
  const [frames] = arrived;
  t.deepEqual(frames, { type: 'frames', frames: [{ bytes: frameOf(1, 2, 3), segment: 100, flags: 1 }] });
});

test('the answer to frames has their number and bytes', (t) => {
  const frames = [100, 200].map((length) => ({ bytes: frameOf(1, 2, 3, length), segment: length, flags: 0 }));
  t.deepEqual(framesTaken(frames), { type: 'frames-taken', count: 2, bytes: 300 });
});
