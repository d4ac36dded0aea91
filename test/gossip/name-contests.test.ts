import test from 'ava';
import type { PeerName } from '../../core/peer-name.ts';
import { NameContests } from '../../gossip/name-contests.ts';

const NAME = '00:00:00:00:00:01' as PeerName;

test('the incumbent is pinged every second until it answers or the contest ends', (t) => {
  const contests = new NameContests();
  t.true(contests.begin(1, NAME, 'old', 0));
  const pings: number[] = [];
  for (let now = contests.nextTimeout(); now !== undefined; now = contests.nextTimeout()) {
    const accepted = contests.onTimeout(now);
    for (const ping of contests.takePings(now)) {
      t.deepEqual(ping, { name: NAME, uid: 'old' });
      pings.push(now);
    }
    if (accepted.length > 0) t.is(now, 5_000);
  }
  t.deepEqual(pings, [1_000, 2_000, 3_000, 4_000]);
});

test('an incumbent that answered is pinged no more', (t) => {
  const contests = new NameContests();
  contests.begin(1, NAME, 'old', 0);
  t.deepEqual(contests.onAlive(NAME, 'old'), [1]);
  t.deepEqual(contests.takePings(1_000), []);
  t.is(contests.nextTimeout(), undefined);
});
