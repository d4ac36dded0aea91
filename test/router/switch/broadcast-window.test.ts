import test from 'ava';
import fc from 'fast-check';
import { BroadcastWindows } from '../../../router/switch/broadcast-window.ts';

const ORIGINATOR = 1;

function windows(...taken: [epoch: number, sequence: number][]): BroadcastWindows {
  const fresh = new BroadcastWindows();
  for (const [epoch, sequence] of taken) fresh.accept(ORIGINATOR, epoch, sequence);
  return fresh;
}

test('a broadcast passes once', (t) => {
  const seen = windows();
  t.is(seen.accept(ORIGINATOR, 0, 5), 'new');
  t.is(seen.accept(ORIGINATOR, 0, 5), 'broadcast-duplicate');
  t.is(seen.accept(2, 0, 5), 'new');
});

test('1,023 sequences behind the newest still pass, 1,024 do not', (t) => {
  const seen = windows([0, 5_000]);
  t.is(seen.accept(ORIGINATOR, 0, 5_000 - 1_023), 'new');
  t.is(seen.accept(ORIGINATOR, 0, 5_000 - 1_024), 'broadcast-too-old');
});

test('sequences wrap', (t) => {
  const seen = windows([0, 2 ** 32 - 2]);
  t.is(seen.accept(ORIGINATOR, 0, 3), 'new');
  t.is(seen.accept(ORIGINATOR, 0, 2 ** 32 - 1), 'new');
  t.is(seen.accept(ORIGINATOR, 0, 2 ** 32 - 2), 'broadcast-duplicate');
  t.is(seen.accept(ORIGINATOR, 0, 2 ** 32 - 1_022), 'broadcast-too-old');
});

test('a restarted originator begins anew, and its last epoch is still told apart', (t) => {
  const seen = windows([7, 100]);
  t.is(seen.accept(ORIGINATOR, 8, 100), 'new');
  t.is(seen.accept(ORIGINATOR, 7, 100), 'broadcast-duplicate');
  t.is(seen.accept(ORIGINATOR, 7, 101), 'new');
  t.is(seen.accept(ORIGINATOR, 6, 0), 'broadcast-epoch-old');
});

test('epochs wrap', (t) => {
  const seen = windows([255, 0]);
  t.is(seen.accept(ORIGINATOR, 0, 0), 'new');
  t.is(seen.accept(ORIGINATOR, 254, 0), 'broadcast-epoch-old');
});

test('only two epochs are kept', (t) => {
  const seen = windows([1, 0], [2, 0], [3, 0]);
  t.is(seen.accept(ORIGINATOR, 1, 1), 'broadcast-epoch-old');
  t.is(seen.accept(ORIGINATOR, 2, 1), 'new');
});

const others = new Map([[2, 0]]);

test('an originator that is out of reach is forgotten after 20 s', (t) => {
  const seen = windows([5, 1]);
  seen.retain(others, 0);
  seen.retain(others, 19_999);
  t.is(seen.accept(ORIGINATOR, 5, 1), 'broadcast-duplicate');
  seen.retain(others, 20_000);
  t.is(seen.accept(ORIGINATOR, 4, 1), 'new', 'it may begin with an earlier epoch');
});

test('the 20 s begin anew whenever an originator is in reach', (t) => {
  const seen = windows([5, 1]);
  seen.retain(others, 0);
  seen.retain(new Map([[ORIGINATOR, 0]]), 15_000);
  seen.retain(others, 16_000);
  seen.retain(others, 35_000);
  t.is(seen.accept(ORIGINATOR, 5, 1), 'broadcast-duplicate');
});

test('of originators out of reach 8,192 are remembered, the last ones', (t) => {
  const seen = new BroadcastWindows();
  for (let originator = 0; originator < 5_000; originator++) seen.accept(originator, 0, 1);
  seen.retain(new Map(), 0);
  for (let originator = 5_000; originator < 10_000; originator++) seen.accept(originator, 0, 1);
  seen.retain(new Map(), 1);
  t.is(seen.accept(10_000 - 8_192, 0, 1), 'broadcast-duplicate');
  t.is(seen.accept(10_000 - 8_193, 0, 1), 'new');
});

test('the window agrees with a set of what was seen', (t) => {
  const steps = fc.array(fc.integer({ min: -1_500, max: 1_500 }), { maxLength: 200 });
  fc.assert(
    fc.property(steps, fc.integer({ min: 0, max: 2 ** 32 - 1 }), (offsets, start) => {
      const seen = windows();
      const model = new Set<number>();
      let newest: number | undefined;
      for (const offset of offsets) {
        const at = (newest ?? 0) + offset;
        const tooOld = newest !== undefined && at <= newest - 1_024;
        const expected = tooOld ? 'broadcast-too-old' : model.has(at) ? 'broadcast-duplicate' : 'new';
        t.is(seen.accept(ORIGINATOR, 0, (start + at) >>> 0), expected);
        model.add(at);
        if (newest === undefined || at > newest) newest = at;
      }
    }),
  );
});
