import test from 'ava';
import { pack } from '../../core/msgpack.ts';
import { writePeerName } from '../../core/peer-name.ts';
import type { PeerName } from '../../core/peer-name.ts';
import { Removals } from '../../gossip/removals.ts';

const HOUR = 3_600_000;

function record(n: number, ageSeconds: number): unknown {
  const name = new Uint8Array(6);
  writePeerName(`00:00:00:00:00:0${n}` as PeerName, name, 0);
  return [name, new Uint8Array(32).fill(n), ageSeconds];
}

/** How many records are kept. */
function kept(removals: Removals): number {
  let count = 0;
  for (let bucket = 0; bucket < 16; bucket++) {
    const entries = removals.entriesOf(1 << bucket);
    if (entries !== undefined) count += entries[0]! & 0x0f;
  }
  return count;
}

test('each record ends 24 hours after it was written, whenever it came and whatever came before it', (t) => {
  const removals = new Removals(() => undefined, 0);
  removals.merge(pack([record(1, 0), record(2, 5 * 3_600)]), 0);
  removals.merge(pack([record(3, 12 * 3_600)]), HOUR);
  const counts = [13 * HOUR - 1, 13 * HOUR, 19 * HOUR - 1, 19 * HOUR, 24 * HOUR - 1, 24 * HOUR].map((now) => {
    removals.tick(now);
    return kept(removals);
  });
  t.deepEqual(counts, [3, 2, 2, 1, 1, 0]);
  removals.merge(pack([record(4, 0)]), 30 * HOUR);
  removals.tick(54 * HOUR - 1);
  t.is(kept(removals), 1);
  removals.tick(54 * HOUR);
  t.is(kept(removals), 0);
});
