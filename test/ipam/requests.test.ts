import test from 'ava';
import type { Cidr } from '../../core/address.ts';
import { formatIp, parseCidr } from '../../core/address.ts';
import type { PeerName } from '../../core/peer-name.ts';
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
const third = { owner: peer(3), generation: '00000000000000cc' };
const range = new AddressRange(parseCidr('10.32.0.0/28')!);

/** Counts the tries to take an address and the looks at who owns what. */
class CountedHoldings extends Holdings {
  tries = 0;
  looks = 0;

  override take(id: string, subnet: Cidr, now: number): Cidr | undefined {
    this.tries++;
    return super.take(id, subnet, now);
  }

  override ownersWithin(...args: Parameters<Holdings['ownersWithin']>): ReturnType<Holdings['ownersWithin']> {
    this.looks++;
    return super.ownersWithin(...args);
  }
}

/** A node that owns its share of the range and has handed out all of it. */
function fullNode(others = [other]) {
  const holdings = new CountedHoldings(range, self, [], new CommitQueue<Deferred>());
  holdings.enter('01'.repeat(16));
  holdings.merge(initialRing(range.size, [self, ...others]));
  for (let i = 0; holdings.take(`own${i}`, range.network, 0) !== undefined; i++);
  const replies = new Map<number, IpamResult>();
  const sent: Message[] = [];
  const asked: { readonly to: PeerName; readonly id: string }[] = [];
  const requests = new Requests({
    holdings,
    defaultSubnet: range.network,
    random: new SeededRandom(1),
    timeout: undefined,
    freeHint: () => undefined,
    users: () => nobody,
    quarantine: () => [],
    reply: (request, result) => void replies.set(request, result),
    send: (to, message) => {
      sent.push(message);
      asked.push({ to, id: message.id });
    },
    describe: () => undefined,
  });
  /** `from` answers the last that it was asked. */
  const deny = (from: PeerName, now: number): void => {
    const { id } = asked.findLast(({ to }) => to === from)!;
    requests.onDenied(from, { type: 'denied', id, reason: 'none', holder: '' }, now);
    requests.step(peersOf(others), true, now);
  };
  return { holdings, requests, replies, sent, asked, deny };
}

const nobody: [] = [];
const known = new Map<readonly (typeof other)[], IpamPeer[]>();

/** The same list for the same owners. */
function peersOf(owners: readonly (typeof other)[]): IpamPeer[] {
  const peers =
    known.get(owners) ??
    owners.map(({ owner: name, generation }) => ({
      name,
      generation,
      nickname: 'other',
      reachable: true,
      capabilities: [],
    }));
  known.set(owners, peers);
  return peers;
}

const peers = peersOf([other]);

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

test('that nothing is free is said a second after the last donor has refused, and not before', (t) => {
  const { requests, replies, deny } = fullNode();
  requests.add(1, { type: 'allocate', id: 'x' }, 0);
  requests.step(peersOf([other]), true, 0);
  deny(other.owner, 1);
  t.is(requests.nextTimeout(), 1_001);
  requests.step(peers, true, 1_000);
  t.is(replies.size, 0);
  requests.step(peers, true, 1_001);
  t.regex(JSON.stringify(replies.get(1)), /no free addresses/);
  requests.step(peers, true, 1_002);
  t.false(requests.searching);
});

test('a donor that is late is waited for, and one that is silent until it is out of reach', (t) => {
  const others = [other, third];
  for (const isSilent of [false, true]) {
    const { requests, replies, asked, deny } = fullNode(others);
    requests.add(1, { type: 'allocate', id: 'x' }, 0);
    requests.step(peersOf(others), true, 0);
    // Whoever is asked first is the late one; after 2 s it holds up nobody else.
    const late = asked[0]!.to;
    requests.step(peersOf(others), true, 2_000);
    const prompt = others.find(({ owner }) => owner !== late)!;
    deny(prompt.owner, 2_010);
    for (let now = 3_000; now < 20_000; now += 1_000) requests.step(peersOf(others), true, now);
    t.is(replies.size, 0);
    t.regex(requests.awaiting(peersOf(others))!, new RegExp(late));
    if (!isSilent) deny(late, 20_000);
    requests.step(
      isSilent ? [peersOf(others).find(({ name }) => name !== late)!] : peersOf(others),
      true,
      20_001,
    );
    requests.step(
      isSilent ? [peersOf(others).find(({ name }) => name !== late)!] : peersOf(others),
      true,
      21_001,
    );
    t.regex(JSON.stringify(replies.get(1)), /no free addresses/);
  }
});

test('who said that it has nothing, and was given something since, is asked again although it owns no more than before', (t) => {
  const others = [other, third];
  const { holdings, requests, asked, deny } = fullNode(others);
  requests.add(1, { type: 'allocate', id: 'x' }, 0);
  requests.step(peersOf(others), true, 0);
  deny(asked[0]!.to, 1);
  deny(asked[1]!.to, 2);
  // The ring here was behind: one of the addresses that were this donor's had changed hands before.
  const [kept, gone] = holdings.ring.filter(({ owner }) => owner !== self.owner);
  holdings.merge([
    {
      start: gone!.start,
      end: gone!.start + 1,
      epoch: 0,
      version: 9,
      owner: kept!.owner,
      generation: kept!.generation,
    },
    {
      start: kept!.start,
      end: kept!.start + 1,
      epoch: 0,
      version: 9,
      owner: gone!.owner,
      generation: gone!.generation,
    },
  ]);
  requests.step(peersOf(others), true, 500);
  // Those that probably have something are asked one by one.
  t.is(asked.length, 3);
});

test('who said that it has nothing, and was given something since, is asked again', (t) => {
  const others = [other, third];
  const { holdings, requests, replies, asked, deny } = fullNode(others);
  requests.add(1, { type: 'allocate', id: 'x' }, 0);
  requests.step(peersOf(others), true, 0);
  deny(asked[0]!.to, 1);
  deny(asked[1]!.to, 2);
  t.is(asked.length, 2);
  holdings.merge([{ start: 9, end: 10, epoch: 0, version: 9, ...other }]);
  requests.step(peersOf(others), true, 500);
  t.deepEqual(
    asked.slice(2).map(({ to }) => to),
    [other.owner],
  );
  requests.step(peersOf(others), true, 1_400);
  t.is(replies.size, 0);
  deny(other.owner, 1_500);
  requests.step(peersOf(others), true, 2_500);
  t.regex(JSON.stringify(replies.get(1)), /no free addresses/);
});
