import test from 'ava';
import { formatCidr, parseCidr } from '../../core/address.ts';
import { MalformedDelta } from '../../gossip/channel.ts';
import type { InitMode } from '../../ipam/init-mode.ts';
import { encodeEntries } from '../../ipam/delta-codec.ts';
import type { Entry } from '../../ipam/entries.ts';
import { encodeMessage } from '../../ipam/messages.ts';
import { seedRing } from '../../ipam/seed.ts';
import type { IpamSettings } from '../../ipam/settings.ts';
import { parseIpamSettings } from '../../ipam/settings.ts';
import { LoneIpam } from './lone-ipam.ts';
import { Network, peer } from './network.ts';

const [A, B, C] = [peer(1), peer(2), peer(3)];

function settings(range = '10.32.0.0/27', subnet?: string): IpamSettings {
  return parseIpamSettings(range, subnet) as IpamSettings;
}

function threePeers(init: InitMode = { type: 'consensus', voters: 3 }, range?: string): Network {
  const network = new Network(settings(range), 1);
  for (const name of [A, B, C]) network.add(name, init);
  return network;
}

test('three peers agree on a ring at the first request, and each then has addresses of its own', (t) => {
  const network = threePeers();
  network.run(1_000);
  t.is(network.nodes.get(A)!.ipam!.status().status, 'idle');
  network.request(A, 1, { type: 'allocate', id: 'a' });
  network.request(B, 1, { type: 'allocate', id: 'b' });
  network.run(1_000);
  const [a, b] = [network.reply(A, 1), network.reply(B, 1)];
  t.is(a, '10.32.0.1/27');
  t.is(b, '10.32.0.8/27');
  const status = network.nodes.get(C)!.ipam!.status();
  t.is(status.status, 'ready');
  t.deepEqual(
    status.owned.map(({ nickname, addresses, reachable }) => ({ nickname, addresses, reachable })),
    [
      { nickname: 'nick-1', addresses: 8, reachable: true },
      { nickname: 'nick-2', addresses: 8, reachable: true },
      { nickname: 'nick-3', addresses: 16, reachable: true },
    ],
  );
});

test('a lone peer of two waits visibly, and the error after a minute says what for', (t) => {
  const network = new Network(settings(), 1);
  network.add(A, { type: 'consensus', voters: 2 });
  network.request(A, 1, { type: 'allocate', id: 'a' });
  network.run(59_000);
  t.is(network.reply(A, 1), undefined);
  const { status, detail } = network.nodes.get(A)!.ipam!.status();
  t.deepEqual([status, detail], ['awaiting-consensus', 'awaiting consensus (quorum 2, known 1)']);
  network.run(1_000);
  t.is(network.reply(A, 1), 'error: timed out after 60 s: awaiting consensus (quorum 2, known 1)');
});

test('one host may attach 25 containers in a /27 that three hosts share', (t) => {
  const network = threePeers();
  network.request(B, 900, { type: 'allocate', id: 'b1' });
  network.request(C, 900, { type: 'allocate', id: 'c1' });
  network.run(1_000);
  for (let i = 0; i < 25; i++) {
    network.request(A, i, { type: 'allocate', id: `a${i}` });
    network.run(500);
  }
  const got = new Set(Array.from({ length: 25 }, (_, i) => network.reply(A, i)!));
  t.is(got.size, 25);
  t.true([...got].every((address) => address.startsWith('10.32.0.')));
});

test('all usable addresses are handed out once, then a clear error says that nothing is free', (t) => {
  const network = threePeers();
  for (let i = 0; i < 30; i++) network.request([A, B, C][i % 3]!, i, { type: 'allocate', id: `id${i}` });
  network.run(10_000);
  const got = Array.from({ length: 30 }, (_, i) => network.reply([A, B, C][i % 3]!, i));
  t.is(new Set(got).size, 30);
  t.false(got.includes('10.32.0.0/27') || got.includes('10.32.0.31/27') || got.includes(undefined));
  network.request(A, 99, { type: 'allocate', id: 'more' });
  network.run(2_000);
  t.is(
    network.reply(A, 99),
    'error: no free addresses: those of this node are used up and none of the 2 reachable peers has one to give',
  );
  t.is(network.nodes.get(A)!.ipam!.status().status, 'exhausted');
  network.request(C, 200, { type: 'release', id: 'id2' });
  network.request(A, 100, { type: 'allocate', id: 'more' });
  network.run(2_000);
  t.is(network.reply(A, 100), got[2]);
});

test('the same id gets the same address, also from a restarted peer', (t) => {
  const network = threePeers();
  network.request(A, 1, { type: 'allocate', id: 'x' });
  network.run(1_000);
  network.request(A, 2, { type: 'allocate', id: 'x' });
  network.run(1_000);
  t.is(network.reply(A, 2), network.reply(A, 1));
  network.crash(A);
  network.start(A);
  network.request(A, 3, { type: 'allocate', id: 'x' });
  network.request(A, 4, { type: 'allocate', id: 'y' });
  network.run(3_000);
  t.is(network.reply(A, 3), network.reply(A, 1));
  t.is(network.reply(A, 4), '10.32.0.2/27');
});

test('release is idempotent, and a released address rests while others are free', (t) => {
  const network = threePeers();
  network.request(A, 1, { type: 'allocate', id: 'x' });
  network.run(1_000);
  for (const request of [2, 3]) network.request(A, request, { type: 'release', id: 'x' });
  network.request(A, 4, { type: 'allocate', id: 'y' });
  network.run(1_000);
  t.deepEqual([network.reply(A, 2), network.reply(A, 3)], ['done', 'done']);
  t.is(network.reply(A, 4), '10.32.0.2/27');
  network.run(5 * 60_000);
  network.request(A, 5, { type: 'allocate', id: 'z' });
  network.run(1_000);
  t.is(network.reply(A, 5), '10.32.0.1/27');
});

test('a claim marks an own address, fetches a free one of another peer, and names whoever uses it', (t) => {
  const network = threePeers();
  network.request(A, 0, { type: 'prime' });
  network.run(1_000);
  t.is(network.reply(A, 0), 'done');
  const claim = (name: typeof A, request: number, id: string, text: string): void =>
    network.request(name, request, { type: 'claim', id, cidr: parseCidr(text)! });
  claim(A, 1, 'own', '10.32.0.3/27');
  claim(A, 2, 'theirs', '10.32.0.20/27');
  claim(A, 3, 'outside', '192.0.2.9/24');
  network.run(1_000);
  claim(B, 4, 'late', '10.32.0.20/27');
  claim(A, 5, 'twin', '10.32.0.3/27');
  claim(A, 6, 'edge', '10.32.0.4/30');
  claim(A, 7, 'own', '10.32.0.3/27');
  network.run(1_000);
  t.deepEqual(
    [1, 2, 3].map((request) => network.reply(A, request)),
    ['10.32.0.3/27', '10.32.0.20/27', '192.0.2.9/24'],
  );
  t.is(network.reply(B, 4), 'error: 10.32.0.20 is in use by "theirs" on nick-1 (00:00:00:00:00:01)');
  t.is(network.reply(A, 5), 'error: 10.32.0.3 is in use by "own" on this node');
  t.is(
    network.reply(A, 6),
    'error: 10.32.0.4/30 is the first or last address of its subnet, which is never handed out',
  );
  t.is(network.reply(A, 7), '10.32.0.3/27');
});

test('a claim of an unreachable peer names it', (t) => {
  const network = threePeers();
  network.request(A, 0, { type: 'prime' });
  network.run(1_000);
  network.crash(C);
  network.request(A, 1, { type: 'claim', id: 'x', cidr: parseCidr('10.32.0.20/27')! });
  network.run(6_000);
  t.is(network.reply(A, 1), 'error: 10.32.0.20 belongs to 00:00:00:00:00:03, which is not reachable');
});

test('seeded peers hand out addresses without each other, and agree when they meet', (t) => {
  const network = new Network(settings(), 1);
  const init = { type: 'seed', names: [A, B] } as const;
  network.add(A, init);
  network.add(B, init);
  network.setCut(A, B, true);
  network.request(A, 1, { type: 'allocate', id: 'a' });
  network.request(B, 1, { type: 'allocate', id: 'b' });
  network.run(6_000);
  t.deepEqual([network.reply(A, 1), network.reply(B, 1)], ['10.32.0.1/27', '10.32.0.16/27']);
  network.setCut(A, B, false);
  network.run(10_000);
  for (const name of [A, B]) {
    const { owned, conflicts } = network.nodes.get(name)!.ipam!.status();
    t.deepEqual(conflicts, []);
    t.true(owned.every(({ addresses, reachable }) => addresses === 16 && reachable));
  }
});

test('an observer does not vote but may call the election, and gets space by donation', (t) => {
  const network = new Network(settings(), 1);
  network.add(A, { type: 'observer' });
  network.add(B, { type: 'consensus', voters: 2 });
  network.request(A, 1, { type: 'allocate', id: 'a' });
  network.run(5_000);
  t.is(network.reply(A, 1), undefined);
  t.is(network.nodes.get(B)!.ipam!.status().detail, 'awaiting consensus (quorum 2, known 1)');
  network.add(C, { type: 'consensus', voters: 2 });
  network.run(5_000);
  t.regex(network.reply(A, 1)!, /^10\.32\.0\.\d+\/27$/);
  t.deepEqual(
    network.nodes
      .get(B)!
      .ipam!.status()
      .owned.map(({ name }) => name),
    [A, B, C],
  );
});

test('an election with more voters than can agree safely stops and says how to start it', (t) => {
  const network = new Network(settings(), 1);
  for (const n of [1, 2, 3, 4]) network.add(peer(n), { type: 'consensus', voters: 2 });
  network.run(1_000);
  network.request(A, 1, { type: 'allocate', id: 'a' });
  network.run(60_000);
  t.is(
    network.reply(A, 1),
    'error: timed out after 60 s: 4 peers vote on the first ring but at most 2 were announced: ' +
      'start them with --ipalloc-init consensus=4',
  );
});

test('a cancelled request takes nothing', (t) => {
  const network = new Network(settings(), 1);
  network.add(A, { type: 'consensus', voters: 2 });
  network.request(A, 1, { type: 'allocate', id: 'a' });
  network.run(1_000);
  network.cancel(A, 1);
  network.add(B, { type: 'consensus', voters: 2 });
  network.run(5_000);
  t.is(network.reply(A, 1), undefined);
  t.is(network.nodes.get(A)!.ipam!.status().active, 0);
});

test('releasing an id ends its own waiting requests', (t) => {
  const network = new Network(settings(), 1);
  network.add(A, { type: 'consensus', voters: 2 });
  network.request(A, 1, { type: 'allocate', id: 'a' });
  network.request(A, 2, { type: 'allocate', id: 'b' });
  network.request(A, 3, { type: 'release', id: 'a' });
  network.run(100);
  t.is(network.reply(A, 1), 'error: "a" was released while it waited for an address');
  t.is(network.reply(A, 2), undefined);
  t.is(network.reply(A, 3), 'done');
});

test('a request of a wiped peer by its former generation is put off', (t) => {
  const network = threePeers();
  network.request(A, 1, { type: 'prime' });
  network.run(1_000);
  const { clusterId } = network.nodes.get(A)!.ipam!.status();
  const [id, span] = ['0000000000000001', { start: 0, end: 32 }];
  const before = network.nodes.get(A)!.ipam!.status().owned;
  const request = {
    type: 'space-request',
    id,
    clusterId,
    generation: 'ffffffffffffffff',
    span,
    want: 'any',
  } as const;
  network.unicast(A, B, encodeMessage(request));
  network.run(1_000);
  t.deepEqual(network.nodes.get(A)!.ipam!.status().owned, before);
});

test('malformed bytes are refused as a delta and ignored as a message', (t) => {
  const network = threePeers();
  const { ipam } = network.nodes.get(A)!;
  t.throws(() => ipam!.merge(Uint8Array.of(1, 2, 3), 0), { instanceOf: MalformedDelta });
  for (let i = 0; i < 3; i++) network.unicast(A, B, Uint8Array.of(1, 2, 3));
  t.is(network.logs.filter((line) => line.includes('malformed')).length, 1);
});

test('the list names every id in order with its addresses', (t) => {
  const network = new Network(settings(), 1);
  network.add(A, { type: 'consensus', voters: 1 });
  for (const [i, id] of ['b', 'a'].entries()) network.request(A, i, { type: 'allocate', id });
  network.request(A, 9, { type: 'list' });
  network.run(1_000);
  const result = network.results.get(`${A} 9`);
  if (result?.type !== 'allocations') return t.fail();
  t.deepEqual(
    result.allocations.map(({ id, addresses }) => [id, addresses.map(formatCidr)]),
    [
      ['a', ['10.32.0.2/27']],
      ['b', ['10.32.0.1/27']],
    ],
  );
});

test('news joined have the effect of all of them', (t) => {
  const { ring, clusterId } = seedRing(settings().range, [A, B]);
  const { range } = settings();
  const part = (from: number, to: number): Entry[] => [
    { type: 'ring', clusterId, range, ring: ring.slice(from, to) },
  ];
  const network = threePeers();
  const [one, other] = [network.nodes.get(A)!.ipam!, network.nodes.get(B)!.ipam!];
  one.merge(encodeEntries(one.join([part(0, 1), part(1, 2)])), 0);
  other.merge(encodeEntries(part(1, 2)), 0);
  other.merge(encodeEntries(part(0, 1)), 0);
  t.deepEqual(
    one.status().owned.map(({ addresses }) => addresses),
    [16, 16],
  );
  t.deepEqual(other.status().owned, one.status().owned);
});

test('a restarted peer gives nothing out before its neighbours answered, or 5 s alone', (t) => {
  const network = threePeers();
  network.request(A, 1, { type: 'allocate', id: 'a' });
  network.run(1_000);
  for (const name of [A, B, C]) network.crash(name);
  network.start(A);
  network.request(A, 2, { type: 'allocate', id: 'b' });
  network.run(4_900);
  t.is(network.reply(A, 2), undefined);
  network.run(200);
  t.is(network.reply(A, 2), '10.32.0.2/27');
});

test('a peer whose connection is not accepted yet gives nothing out, however long that takes', (t) => {
  const lone = new LoneIpam(A, '00000000000000aa', [A, B], '10.32.0.0/27');
  lone.topology([], [B]);
  t.is(lone.request(1, { type: 'allocate', id: 'a' }), undefined);
  lone.run(30_000);
  t.true(lone.ipam.awaitsNeighbours);
  lone.topology([]);
  lone.run(4_900);
  t.is(lone.replies.get(1), undefined);
  lone.run(200);
  t.like(lone.replies.get(1), { type: 'addresses' });
});

test('one that is never accepted beside a neighbour that has answered is waited for 7 s', (t) => {
  const lone = new LoneIpam(A, '00000000000000aa', [A, B], '10.32.0.0/27');
  const known = { name: B, nickname: 'b', generation: '00000000000000bb', reachable: true, capabilities: [] };
  lone.topology([known], [C]);
  lone.request(1, { type: 'allocate', id: 'a' });
  const { id } = lone.last('ring-request')!;
  lone.tell(B, { type: 'ring-reply', id, answer: 1, part: 0, parts: 1, entries: [] });
  lone.run(6_900);
  t.is(lone.replies.get(1), undefined);
  lone.run(200);
  t.like(lone.replies.get(1), { type: 'addresses' });
});

test('whoever awaits an election is told of peers that use another address range', (t) => {
  const network = new Network(settings(), 1);
  network.add(A, { type: 'consensus', voters: 2 });
  network.request(A, 1, { type: 'allocate', id: 'a' });
  const { range } = settings('10.96.0.0/27');
  const entry = { type: 'ring', range, ...seedRing(range, [B]) } as const;
  network.nodes.get(A)!.ipam!.merge(encodeEntries([entry]), 0);
  t.regex(
    network.nodes.get(A)!.ipam!.status().detail!,
    /quorum 2.*; peers use another address range: 10\.96\.0\.0\/27, not 10\.32\.0\.0\/27$/,
  );
});

test('a take-over in another cluster is acknowledged: nothing of it is given out here', (t) => {
  const lone = new LoneIpam(A, '00000000000000aa', [A], '10.32.0.0/27');
  lone.topology([]);
  const { range } = lone.settings;
  const taken = { start: 0, end: 8, epoch: 1, version: 1, owner: B, generation: '00000000000000bb' };
  const ring = { type: 'ring', clusterId: '02'.repeat(16), range, ring: [taken] } as const;
  lone.tell(B, { type: 'take-over', id: '00000000000000cc', ring });
  t.like(lone.last('taken'), { id: '00000000000000cc' });
  t.is(lone.ipam.status().owned.find(({ name }) => name === A)!.addresses, 32);
});

test('a host that lost its disk, and whose seed list names only itself, gives out nothing that it gave to others', (t) => {
  const network = new Network(settings(), 1);
  network.add(A, { type: 'seed', names: [A] });
  network.request(A, 1, { type: 'allocate', id: 'alone' });
  network.run(4_900);
  t.is(network.reply(A, 1), undefined);
  network.run(200);
  t.is(network.reply(A, 1), '10.32.0.1/27');
  network.add(B, { type: 'observer' });
  network.run(4_000);
  network.request(B, 1, { type: 'claim', id: 'given', cidr: parseCidr('10.32.0.2/27')! });
  network.run(1_000);
  t.is(network.reply(B, 1), '10.32.0.2/27');
  network.wipe(A, 'aaaaaaaaaaaabbbb');
  for (const [request, text] of ['10.32.0.1/27', '10.32.0.2/27'].entries()) {
    network.request(A, 10 + request, { type: 'claim', id: `new ${request}`, cidr: parseCidr(text)! });
  }
  network.run(70_000);
  t.regex(network.reply(A, 10)!, /^error: timed out .* 10\.32\.0\.1 is in quarantine/);
  t.regex(network.reply(A, 11)!, /^error: 10\.32\.0\.2 is in use by "given"/);
});

for (const [subnet, error] of [
  ['10.48.0.0/24', 'error: the subnet 10.48.0.0/24 does not lie within the address range 10.32.0.0/27'],
  [
    '10.32.0.0/31',
    'error: the subnet 10.32.0.0/31 is too small: it needs at least 4 addresses (/30 or /126)',
  ],
  ['10.32.0.1/30', 'error: 10.32.0.1/30 is not a network address: did you mean 10.32.0.0/30?'],
] as const) {
  test(`an address of ${subnet} is refused`, (t) => {
    const network = threePeers();
    network.request(A, 1, { type: 'allocate', id: 'a', subnet: parseCidr(subnet)! });
    t.is(network.reply(A, 1), error);
  });
}

test('two clusters that meet are reported and both keep working', (t) => {
  const network = new Network(settings(), 1);
  for (const name of [A, B]) network.add(name, { type: 'consensus', voters: 1 });
  network.setCut(A, B, true);
  for (const name of [A, B]) network.request(name, 1, { type: 'allocate', id: 'x' });
  network.run(1_000);
  network.setCut(A, B, false);
  network.run(10_000);
  t.true(network.logs.some((line) => line.includes('two clusters share this network')));
  for (const name of [A, B]) network.request(name, 2, { type: 'allocate', id: 'y' });
  network.run(1_000);
  t.deepEqual([network.reply(A, 2), network.reply(B, 2)], ['10.32.0.2/27', '10.32.0.2/27']);
});

test('a full disk refuses the request that needed it, which then holds nothing, and the peer goes on', (t) => {
  const network = threePeers();
  network.request(A, 1, { type: 'allocate', id: 'before' });
  network.run(1_000);
  network.diskIsFull = (name) => name === A;
  network.request(A, 2, { type: 'allocate', id: 'x' });
  network.request(A, 3, { type: 'allocate', id: 'before' });
  network.request(B, 1, { type: 'allocate', id: 'elsewhere' });
  network.run(3_000);
  t.is(network.reply(A, 2), 'error: not recorded: no space left');
  t.is(network.nodes.get(A)!.ipam!.status().active, 1);
  t.regex(network.reply(B, 1)!, /^10\./);
  network.diskIsFull = () => false;
  network.run(2_000);
  network.request(A, 4, { type: 'lookup', id: 'before' });
  network.request(A, 5, { type: 'allocate', id: 'x' });
  network.run(1_000);
  t.is(network.reply(A, 4), network.reply(A, 1));
  t.regex(network.reply(A, 5)!, /^10\./);
  network.crash(A);
  network.start(A);
  network.request(A, 6, { type: 'lookup', id: 'x' });
  network.run(1_000);
  t.is(network.reply(A, 6), network.reply(A, 5));
});

test('a repeat that came during a commit that fails is refused too, as are looks at what it would have told', (t) => {
  const network = threePeers();
  network.request(A, 1, { type: 'prime' });
  network.run(1_000);
  let fails = 1;
  network.diskIsFull = (name) => name === A && fails-- > 0;
  network.request(A, 2, { type: 'allocate', id: 'x' });
  network.request(A, 3, { type: 'allocate', id: 'y' });
  network.request(A, 4, { type: 'allocate', id: 'x' });
  network.request(A, 5, { type: 'lookup', id: 'x' });
  network.request(A, 6, { type: 'list' });
  network.request(A, 7, { type: 'lookup', id: 'y' });
  network.run(3_000);
  for (const request of [2, 4, 5, 6]) t.is(network.reply(A, request), 'error: not recorded: no space left');
  t.regex(network.reply(A, 3)!, /^10\./);
  t.is(network.reply(A, 7), network.reply(A, 3));
  network.request(A, 8, { type: 'lookup', id: 'x' });
  network.run(1_000);
  t.is(network.reply(A, 8), '');
});

test('an address that the ring gives to somebody else before it is recorded is not handed out: another one is', (t) => {
  const network = threePeers();
  network.request(A, 1, { type: 'prime' });
  network.run(1_000);
  let fails = 1;
  network.diskIsFull = (name) => name === A && fails-- > 0;
  network.request(A, 2, { type: 'allocate', id: 'first' });
  network.run(10);
  t.is(network.reply(A, 2), 'error: not recorded: no space left');
  network.request(A, 3, { type: 'allocate', id: 'x' });
  network.request(A, 4, { type: 'allocate', id: 'x' });
  network.request(A, 5, { type: 'lookup', id: 'x' });
  const { ipam, generation } = network.nodes.get(B)!;
  const { clusterId } = ipam!.status();
  const taken = { start: 0, end: 8, epoch: 1, version: 1, owner: B, generation };
  const ring = { type: 'ring', clusterId, range: network.settings.range, ring: [taken] } as const;
  network.unicast(A, B, encodeMessage({ type: 'take-over', id: '00000000000000aa', ring }));
  t.deepEqual(network.nodes.get(A)!.ipam!.status().conflicts, []);
  network.run(5_000);
  t.regex(network.reply(A, 3)!, /^10\.32\.0\.(8|9|\d\d)\/27$/);
  t.is(network.reply(A, 4), network.reply(A, 3));
  t.is(network.reply(A, 5), '');
  t.is(network.nodes.get(A)!.ipam!.status().active, 1);
});

test('who claims for another subnet what it has keeps it although that is not recorded', (t) => {
  const network = threePeers();
  network.request(A, 1, { type: 'allocate', id: 'x' });
  network.run(1_000);
  t.is(network.reply(A, 1), '10.32.0.1/27');
  let fails = 1;
  network.diskIsFull = (name) => name === A && fails-- > 0;
  network.request(A, 2, { type: 'claim', id: 'x', cidr: parseCidr('10.32.0.1/28')! });
  network.run(3_000);
  t.is(network.reply(A, 2), 'error: not recorded: no space left');
  network.crash(A);
  network.start(A);
  network.request(A, 3, { type: 'lookup', id: 'x' });
  network.run(3_000);
  t.regex(network.reply(A, 3)!, /^10\.32\.0\.1\//);
});
