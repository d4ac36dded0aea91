import test from 'ava';
import { parseCidr } from '../../core/address.ts';
import { CommitQueue } from '../../ipam/commit-queue.ts';
import { Donor } from '../../ipam/donor.ts';
import type { Deferred } from '../../ipam/effects.ts';
import type { MemberEntry } from '../../ipam/entries.ts';
import { Holdings } from '../../ipam/holdings.ts';
import type { Message } from '../../ipam/messages.ts';
import { AddressRange } from '../../ipam/range.ts';
import { initialRing } from '../../ipam/ring.ts';
import { peer } from './network.ts';

const self = { owner: peer(1), generation: '00000000000000aa' };
const other = { owner: peer(2), generation: '00000000000000bb' };
const clusterId = '01'.repeat(16);
const range = new AddressRange(parseCidr('10.32.0.0/27')!);

/** `users` = who uses addresses that it lost. */
function donor(users: readonly MemberEntry[] = []): { donor: Donor; holdings: Holdings } {
  const holdings = new Holdings(range, self, [], new CommitQueue<Deferred>());
  holdings.enter(clusterId);
  holdings.merge(initialRing(range.size, [self]));
  return {
    donor: new Donor(
      holdings,
      () => users,
      () => [],
    ),
    holdings,
  };
}

function request(n: number, change: object = {}): Extract<Message, { type: 'space-request' }> {
  const { generation } = other;
  const id = n.toString(16).padStart(16, '0');
  return {
    type: 'space-request',
    id,
    clusterId,
    generation,
    span: { start: 0, end: 32 },
    want: 'any',
    ...change,
  };
}

test('a repeated request gets the same answer, and gives nothing more away', (t) => {
  const { donor: d, holdings } = donor();
  const first = d.answer(other.owner, request(1), true, 0);
  t.is(first.type, 'granted');
  t.deepEqual(d.answer(other.owner, request(1), true, 5), first);
  t.is(holdings.freeCount, 16);
  t.notDeepEqual(d.answer(other.owner, request(2), true, 5), first);
  t.notDeepEqual(d.answer(peer(3), request(1), true, 5), first);
});

for (const [what, change, ready, reason] of [
  ['before it is ready', {}, false, 'later'],
  ['of another cluster', { clusterId: '02'.repeat(16) }, true, 'other-cluster'],
  ['beyond the range', { span: { start: 0, end: 64 } }, true, 'none'],
] as const) {
  test(`a request ${what} is denied: ${reason}`, (t) => {
    const answer = donor().donor.answer(other.owner, request(1, change), ready, 0);
    t.is(answer.type === 'denied' ? answer.reason : '', reason);
  });
}

test('"later" is decided anew when the request is repeated', (t) => {
  const { donor: d } = donor();
  t.is(d.answer(other.owner, request(1), false, 0).type, 'denied');
  t.is(d.answer(other.owner, request(1), true, 1).type, 'granted');
});

test('an exact address is given while it is free, even if it rests, and its holder is named while it is not', (t) => {
  const { donor: d, holdings } = donor();
  const span = { start: 1, end: 2 };
  const cidr = holdings.take('web', range.network, 0)!;
  const denied = d.answer(other.owner, request(1, { span, want: 'exact' }), true, 0);
  t.deepEqual(denied, { type: 'denied', id: request(1).id, reason: 'in-use', holder: 'web' });
  holdings.release('web', cidr.ip, 0);
  t.is(d.answer(other.owner, request(2, { span, want: 'exact' }), true, 0).type, 'granted');
  t.false(holdings.owns(1));
  const gone = d.answer(other.owner, request(3, { span, want: 'exact' }), true, 0);
  t.is(gone.type === 'denied' ? gone.reason : '', 'not-mine');
});

test('resting addresses are donated only when nothing else is free', (t) => {
  const { donor: d, holdings } = donor();
  holdings.merge(initialRing(4, [self]));
  const ids = Array.from({ length: 30 }, (_, i) => `id${i}`);
  for (const id of ids) holdings.take(id, range.network, 0);
  holdings.release('id29', undefined, 0);
  holdings.release('id3', undefined, 0);
  const rested = 5 * 60_000;
  holdings.take('again', range.network, rested);
  holdings.release('id20', undefined, rested);
  const answers = [1, 2, 3].map((n) => d.answer(other.owner, request(n), true, rested));
  const given = answers.map((answer) =>
    answer.type === 'granted'
      ? answer.ring.ring.find(({ owner }) => owner === other.owner)?.start
      : answer.reason,
  );
  t.deepEqual(given, [30, 21, 'none']);
});

test('of what an asker claims back it gets neither what another peer uses nor what is handed out here', (t) => {
  const user: MemberEntry = {
    type: 'member',
    name: peer(3),
    generation: '00000000000000cc',
    life: 1,
    run: '00000000000000cc',
    version: 1,
    nickname: 'nick-3',
    clusterId,
    conflicts: [{ start: 4, end: 6 }],
  };
  const { donor: d, holdings } = donor([
    user,
    { ...user, name: other.owner, conflicts: [{ start: 3, end: 8 }] },
  ]);
  holdings.mark('web', parseCidr('10.32.0.7/27')!);
  const span = { start: 3, end: 8 };
  t.like(d.answer(other.owner, request(1, { want: 'back', span }), true, 0), { type: 'granted' });
  const owners = Array.from({ length: 5 }, (_, i) => holdings.ownerOf(3 + i)?.owner);
  t.deepEqual(owners, [other.owner, self.owner, self.owner, other.owner, self.owner]);
  t.like(d.answer(other.owner, request(2, { want: 'back', span: { start: 4, end: 5 } }), true, 0), {
    type: 'denied',
    reason: 'in-use',
    holder: 'nick-3',
  });
  t.like(d.answer(other.owner, request(3, { want: 'exact', span: { start: 4, end: 5 } }), true, 0), {
    type: 'denied',
    reason: 'in-use',
    holder: 'nick-3',
  });
});
