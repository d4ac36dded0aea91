import test from 'ava';
import { parseCidr } from '../../core/address.ts';
import { SeededRandom } from '../../core/random.ts';
import { ClaimBack } from '../../ipam/claim-back.ts';
import { CommitQueue } from '../../ipam/commit-queue.ts';
import type { Deferred } from '../../ipam/effects.ts';
import { Holdings } from '../../ipam/holdings.ts';
import type { Message } from '../../ipam/messages.ts';
import { AddressRange } from '../../ipam/range.ts';
import { initialRing } from '../../ipam/ring.ts';
import { peer } from './network.ts';

const self = { owner: peer(1), generation: '00000000000000aa' };
const other = { owner: peer(2), generation: '00000000000000bb' };
const range = new AddressRange(parseCidr('10.32.0.0/28')!);

for (const [reason, again] of [
  ['later', 2_000],
  ['in-use', 60_000],
] as const) {
  test(`an owner that answers a claim with "${reason}" is asked again after ${again / 1_000} s`, (t) => {
    const queue = new CommitQueue<Deferred>();
    const holdings = new Holdings(range, self, [], queue);
    holdings.enter('01'.repeat(16));
    holdings.merge(initialRing(range.size, [self]));
    holdings.take('x', range.network, 0);
    holdings.merge([{ start: 0, end: 16, epoch: 1, version: 1, ...other }]);
    const sent: Message[] = [];
    const claims = new ClaimBack({
      holdings,
      queue,
      random: new SeededRandom(1),
      peers: () => [
        { name: other.owner, nickname: '', generation: other.generation, reachable: true, capabilities: [] },
      ],
      send: (_, message) => void sent.push(message),
      sendDurable: () => t.fail(),
      quarantine: () => [],
      sendAllDurable: () => t.fail(),
      log: () => undefined,
    });
    let now = 0;
    // However often it says so.
    for (let i = 1; i <= 8; i++) {
      claims.step(now);
      t.is(sent.length, i);
      claims.onDenied(other.owner, sent.at(-1)!.id, reason, now);
      t.is(claims.nextTimeout(), now + again);
      now += again;
    }
  });
}
