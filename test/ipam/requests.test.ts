import test from 'ava';
import type { Cidr } from '../../core/address.ts';
import { formatIp, parseCidr } from '../../core/address.ts';
import { SeededRandom } from '../../core/random.ts';
import { CommitQueue } from '../../ipam/commit-queue.ts';
import type { Deferred, IpamPeer, IpamResult } from '../../ipam/effects.ts';
import { Holdings } from '../../ipam/holdings.ts';
import type { Message } from '../../ipam/messages.ts';
import { AddressRange } from '../../ipam/range.ts';
import { Requests } from '../../ipam/requests.ts';
import { initialRing } from '../../ipam/ring.ts';
import { peer } from './network.ts';

const self = { owner: peer(1), generation: '00000000000000aa' };
const other = { owner: peer(2), generation: '00000000000000bb' };
const range = new AddressRange(parseCidr('10.32.0.0/28')!);

/** Counts the tries to take an address and the looks at who owns what. */
class CountedHoldings extends Holdings {
  tries = 0;
  looks = 0;

  override take(id: string, subnet: Cidr, now: number): Cidr | undefined {
    this.tries++;
    return super.take(id, subnet, now);
  }

  override sizesWithin(...args: Parameters<Holdings['sizesWithin']>): ReturnType<Holdings['sizesWithin']> {
    this.looks++;
    return super.sizesWithin(...args);
  }
}

/** A node that owns the lower half of the range and has handed out all of it. */
function fullNode() {
  const holdings = new CountedHoldings(range, self, [], new CommitQueue<Deferred>());
  holdings.enter('01'.repeat(16));
  holdings.merge(initialRing(range.size, [self, other]));
  for (let i = 0; holdings.take(`own${i}`, range.network, 0) !== undefined; i++);
  const replies = new Map<number, IpamResult>();
  const sent: Message[] = [];
  const requests = new Requests({
    holdings,
    defaultSubnet: range.network,
    random: new SeededRandom(1),
    timeout: undefined,
    freeHint: () => undefined,
    users: () => nobody,
    quarantine: () => [],
    reply: (request, result) => void replies.set(request, result),
    send: (_, message) => void sent.push(message),
    describe: () => undefined,
  });
  return { holdings, requests, replies, sent };
}

const nobody: [] = [];
const peers: IpamPeer[] = [
  { name: other.owner, nickname: 'other', generation: other.generation, reachable: true, capabilities: [] },
];

test('requests that wait are tried again only after something changed that may help them', (t) => {
  const { holdings, requests, replies, sent } = fullNode();
  for (let i = 0; i < 50; i++) requests.add(i, { type: 'allocate', id: `id${i}` }, 0);
  requests.step(peers, true, 0);
  const [tries, looks] = [holdings.tries, holdings.looks];
  t.is(sent.length, 1);
  for (let now = 1; now < 1_000; now++) requests.step(peers, true, now);
  t.deepEqual([holdings.tries, holdings.looks], [tries, looks]);
  holdings.release('own0', undefined, 1_000);
  requests.step(peers, true, 1_000);
  const [first] = replies.values();
  t.is(first?.type === 'addresses' ? formatIp(first.addresses[0]!.ip) : '', '10.32.0.1');
  holdings.merge([{ start: 8, end: 16, epoch: 0, version: 9, ...self }]);
  requests.step(peers, true, 1_001);
  t.is(replies.size, 8);
});

test('an unanswered question is repeated, and a request ends in time, although nothing changes', (t) => {
  const { requests, replies, sent } = fullNode();
  requests.add(1, { type: 'allocate', id: 'x' }, 0);
  requests.step(peers, true, 0);
  requests.step(peers, true, 1_999);
  t.is(sent.length, 1);
  t.is(requests.nextTimeout(), 2_000);
  requests.step(peers, true, 2_000);
  t.is(sent.length, 2);
  requests.step(peers, true, 60_000);
  t.regex(JSON.stringify(replies.get(1)), /timed out after 60 s/);
});

test('a request without a ring is due to end although nothing is asked of anyone', (t) => {
  const { requests, replies } = fullNode();
  requests.add(1, { type: 'allocate', id: 'x' }, 0);
  requests.step([], false, 0);
  t.is(requests.nextTimeout(), 5_000);
  requests.step([], false, 5_000);
  requests.step([], false, 60_000);
  t.regex(JSON.stringify(replies.get(1)), /timed out after 60 s/);
});

test('a denial from the only other peer ends the request at once', (t) => {
  const { requests, replies, sent } = fullNode();
  requests.add(1, { type: 'allocate', id: 'x' }, 0);
  requests.step(peers, true, 0);
  requests.onDenied(other.owner, { type: 'denied', id: sent[0]!.id, reason: 'none', holder: '' }, 1);
  requests.step(peers, true, 1);
  t.regex(JSON.stringify(replies.get(1)), /no free addresses/);
  requests.step(peers, true, 2);
  t.false(requests.searching);
});
