import test from 'ava';
import { formatIp, parseCidr } from '../../core/address.ts';
import { CommitQueue } from '../../ipam/commit-queue.ts';
import type { Deferred } from '../../ipam/effects.ts';
import { Holdings } from '../../ipam/holdings.ts';
import { AddressRange } from '../../ipam/range.ts';
import { initialRing, NO_GENERATION, valueAt } from '../../ipam/ring.ts';
import { peer } from './network.ts';

const self = { owner: peer(1), generation: '00000000000000aa' };
const range = new AddressRange(parseCidr('10.32.0.0/28')!);

function holdings(generation: string): Holdings {
  const h = new Holdings(range, self, [], new CommitQueue<Deferred>());
  h.enter('01'.repeat(16));
  h.merge(initialRing(range.size, [{ owner: self.owner, generation }]));
  return h;
}

test('space of an earlier generation of the own name is not served', (t) => {
  t.is(holdings('00000000000000ee').take('x', range.network, 0), undefined);
});

test('space that was given to the bare name is served, and gets the generation with the first write', (t) => {
  const h = holdings(NO_GENERATION);
  t.is(valueAt(h.ring, 1)?.generation, NO_GENERATION);
  t.not(h.take('x', range.network, 0), undefined);
  t.deepEqual([valueAt(h.ring, 1)?.generation, valueAt(h.ring, 1)?.version], [self.generation, 2]);
});

test('an address in use that the ring gives to another is lost, until it is owned again', (t) => {
  const h = holdings(self.generation);
  const { ip } = h.take('x', range.network, 0)!;
  t.deepEqual(h.lost(), []);
  const taken = { start: 0, end: 16, epoch: 1, version: 1, owner: peer(2), generation: '00000000000000bb' };
  h.merge([taken]);
  t.deepEqual(
    h.lost().map((offset) => formatIp(range.ipAt(offset))),
    [formatIp(ip)],
  );
  h.merge([{ ...taken, version: 2, ...self }]);
  t.deepEqual(h.lost(), []);
});

test('a change of what others own leaves what is known of the own space as it is', (t) => {
  const h = new Holdings(range, self, [], new CommitQueue<Deferred>());
  h.enter('01'.repeat(16));
  const other = { owner: peer(2), generation: '00000000000000bb' };
  h.merge(initialRing(range.size, [self, other]));
  h.take('x', range.network, 0);
  const [lost, own, revision] = [h.lost(), h.ownSpans, h.revision];
  h.merge([{ start: 8, end: 16, epoch: 1, version: 1, owner: peer(3), generation: '00000000000000cc' }]);
  t.is(h.lost(), lost);
  t.is(h.ownSpans, own);
  t.is(h.revision, revision);
  h.merge([{ start: 0, end: 2, epoch: 1, version: 1, ...other }]);
  t.deepEqual(h.lost(), [1]);
  t.not(h.revision, revision);
});

test('what the ring is like is worked out once per ring', (t) => {
  const h = holdings(NO_GENERATION);
  const { standing } = h;
  t.deepEqual(standing, { isComplete: true, hasFormerSelf: false, isUngenerated: true });
  t.is(h.standing, standing);
  h.take('x', range.network, 0);
  t.deepEqual(h.standing, { isComplete: true, hasFormerSelf: false, isUngenerated: false });
  h.become('00000000000000ab');
  t.deepEqual(h.standing, { isComplete: true, hasFormerSelf: true, isUngenerated: false });
  h.leave('00000000000000ac');
  t.deepEqual(h.standing, { isComplete: false, hasFormerSelf: false, isUngenerated: false });
});

test('who left the cluster has lost nothing', (t) => {
  const h = holdings(self.generation);
  h.take('x', range.network, 0);
  h.merge([{ start: 0, end: 16, epoch: 1, version: 1, owner: peer(2), generation: '00000000000000bb' }]);
  t.deepEqual(h.lost(), [1]);
  h.leave('00000000000000ac');
  t.deepEqual(h.lost(), []);
});
