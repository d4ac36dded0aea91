import test from 'ava';
import { Liveness } from '../../../router/link/liveness.ts';
import { PathQuality } from '../../../router/link/path-quality.ts';

/** When a path that came into use at `inUseSince` sends its first heartbeats, each answered 2 ms later. */
function beatsOf(inUseSince: number, count: number): number[] {
  const liveness = new Liveness(new PathQuality(), inUseSince);
  return Array.from({ length: count }, (_, i) => {
    const at = liveness.dueAt();
    const token = Uint8Array.of(i);
    liveness.onSent(token, true, at);
    liveness.onAck(token, at + 2);
    return at;
  });
}

test('idle paths heartbeat together, whenever they came into use, each every ten seconds', (t) => {
  for (const since of [3, 1_234.5, 4_000, 9_990]) {
    t.deepEqual(beatsOf(since, 3), [10_000, 20_000, 30_000], String(since));
  }
});

test('a path that sends heartbeats two seconds after its last one, on no beat', (t) => {
  const liveness = new Liveness(new PathQuality(), 1_234);
  liveness.onDataSent();
  t.is(liveness.dueAt(), 3_234);
});
