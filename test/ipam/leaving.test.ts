import test from 'ava';
import type { PeerName } from '../../core/peer-name.ts';
import type { ResetOutcome } from '../../ipam/effects.ts';
import type { IpamSettings } from '../../ipam/settings.ts';
import { parseIpamSettings } from '../../ipam/settings.ts';
import type { IpamStatus } from '../../ipam/status.ts';
import { Network, peer } from './network.ts';

const [A, B, C] = [peer(1), peer(2), peer(3)];
const MINUTE = 60_000;

function network(range = '10.32.0.0/26'): Network {
  return new Network(parseIpamSettings(range, undefined) as IpamSettings, 1);
}

/** Peers that share the range evenly, in order. */
function mesh(names: readonly PeerName[], range?: string): Network {
  const net = network(range);
  for (const name of names) net.add(name, { type: 'consensus', voters: names.length });
  net.request(A, 9_000, { type: 'prime' });
  net.run(3_000);
  return net;
}

function statusOf(net: Network, name: PeerName): IpamStatus {
  return net.nodes.get(name)!.ipam!.status(net.now);
}

function sharesAt(net: Network, at: PeerName): [string, number][] {
  return statusOf(net, at).owned.map(({ name, addresses }) => [name, addresses]);
}

function resetOf(net: Network, name: PeerName, request: number): ResetOutcome | undefined {
  const result = net.results.get(`${name} ${request}`);
  return result?.type === 'reset' ? result.reset : undefined;
}

function lowest(ids: readonly string[]): string {
  return ids.toSorted()[0]!;
}

function highest(ids: readonly string[]): string {
  return ids.toSorted().at(-1)!;
}

/** Two clusters that formed apart, which then meet: the ids of both. */
function twoClusters(
  sides: readonly [readonly PeerName[], readonly PeerName[]],
): [Network, [string, string]] {
  const net = network();
  for (const side of sides)
    for (const name of side) net.add(name, { type: 'consensus', voters: side.length });
  for (const a of sides[0]) for (const b of sides[1]) net.setCut(a, b, true);
  for (const side of sides) net.request(side[0]!, 9_000, { type: 'prime' });
  net.run(4_000);
  return [net, sides.map((side) => statusOf(net, side[0]!).clusterId) as [string, string]];
}

function heal(net: Network, sides: readonly [readonly PeerName[], readonly PeerName[]]): void {
  for (const a of sides[0]) for (const b of sides[1]) net.setCut(a, b, false);
}

test('reset hands everything to another peer, releases what was handed out, and the peer goes on', (t) => {
  const net = mesh([A, B, C]);
  net.request(A, 1, { type: 'allocate', id: 'a' });
  net.run(1_000);
  net.request(A, 2, { type: 'reset', force: false });
  net.run(5_000);
  t.deepEqual(resetOf(net, A, 2), { addresses: 16, heir: B, nickname: 'nick-2', released: 1 });
  t.deepEqual(sharesAt(net, C), [
    [B, 32],
    [C, 32],
  ]);
  t.is(statusOf(net, A).active, 0);
  net.request(A, 3, { type: 'allocate', id: 'again' });
  net.run(2_000);
  t.regex(net.reply(A, 3)!, /^10\.32\.0\./);
});

test('a rolling reset of all peers but one loses nothing', (t) => {
  const net = mesh([A, B, C]);
  for (const [i, name] of [C, A].entries()) {
    net.request(name, i, { type: 'reset', force: false });
    net.run(5_000);
    net.crash(name);
    net.run(40_000);
  }
  t.deepEqual(sharesAt(net, B), [[B, 64]]);
});

test('reset without another peer in reach is refused and changes nothing; with --force the ring is given up', (t) => {
  const net = mesh([A]);
  net.request(A, 1, { type: 'allocate', id: 'a' });
  net.request(A, 2, { type: 'reset', force: false });
  net.run(1_000);
  t.is(
    net.reply(A, 2),
    'error: no other peer of this cluster is in reach to take the 64 addresses of this host: ' +
      'connect it to one, or give them up with reset --force',
  );
  t.is(statusOf(net, A).active, 1);
  const { generation } = net.nodes.get(A)!.announced;
  net.request(A, 3, { type: 'reset', force: true });
  net.run(1_000);
  t.deepEqual(resetOf(net, A, 3), { addresses: 64, heir: '', nickname: '', released: 1 });
  t.like(statusOf(net, A), { status: 'idle', clusterId: '', active: 0, owned: [] });
  t.not(net.nodes.get(A)!.announced.generation, generation);
  net.request(A, 4, { type: 'allocate', id: 'b' });
  net.run(1_000);
  t.is(net.reply(A, 4), '10.32.0.2/26');
});

test('what a peer took over a moment before it gave the ring up is not shown once it has the ring again', (t) => {
  const net = mesh([A, B, C]);
  net.crash(B);
  net.setCut(A, C, true);
  const [prompt, slow] = [net.faults, { ...net.faults, delay: 300 }];
  net.faults = slow;
  net.request(A, 1, { type: 'remove-peers', peers: [B], now: false, strict: false });
  net.faults = prompt;
  net.request(A, 2, { type: 'reset', force: true });
  net.setCut(A, C, false);
  net.run(20_000);
  t.deepEqual(resetOf(net, A, 2), { addresses: 32, heir: '', nickname: '', released: 0 });
  t.deepEqual(sharesAt(net, A), sharesAt(net, C));
  net.start(B);
  net.run(20_000);
  t.deepEqual(sharesAt(net, A), sharesAt(net, B));
});

test('who has no ring yet is not told a part of one that was given up a moment ago', (t) => {
  const net = mesh([A, B]);
  for (const name of [A, B]) net.setCut(name, C, true);
  net.add(C, { type: 'observer' });
  net.run(1_000);
  net.crash(B);
  net.setCut(A, C, false);
  net.request(A, 1, { type: 'remove-peers', peers: [B], now: false, strict: false });
  net.request(A, 2, { type: 'reset', force: true });
  net.run(20_000);
  t.deepEqual(resetOf(net, A, 2), { addresses: 64, heir: '', nickname: '', released: 0 });
  t.like(statusOf(net, A), { clusterId: '', owned: [] });
  t.like(statusOf(net, C), { clusterId: '', owned: [] });
});

test('reset --force alone with a seed list releases, and keeps the ring, which says what was given away', (t) => {
  const net = network();
  for (const name of [A, B]) net.add(name, { type: 'seed', names: [A, B] });
  net.request(B, 1, { type: 'claim', id: 'b', cidr: { ip: net.settings.range.ipAt(1), prefix: 26 } });
  net.run(3_000);
  net.request(A, 1, { type: 'allocate', id: 'a' });
  net.run(1_000);
  t.is(net.reply(B, 1), '10.32.0.1/26');
  const [before, { generation }] = [statusOf(net, A), net.nodes.get(A)!.announced];
  net.setCut(A, B, true);
  net.request(A, 2, { type: 'reset', force: true });
  net.run(1_000);
  t.deepEqual(resetOf(net, A, 2), { addresses: 0, heir: '', nickname: '', released: 1 });
  t.like(statusOf(net, A), { clusterId: before.clusterId, active: 0 });
  t.deepEqual(sharesAt(net, A), [
    [A, 31],
    [B, 33],
  ]);
  t.is(net.nodes.get(A)!.announced.generation, generation);
  net.request(A, 3, { type: 'allocate', id: 'next' });
  net.run(1_000);
  t.is(net.reply(A, 3), '10.32.0.3/26');
});

test('what only asks whether a reset can be begun changes nothing', (t) => {
  const net = mesh([A, B]);
  net.request(A, 1, { type: 'reset', force: false, probe: true });
  net.run(2_000);
  t.is(net.reply(A, 1), 'done');
  t.deepEqual(sharesAt(net, A), [
    [A, 32],
    [B, 32],
  ]);
});

test('reset with --force does not wait for the heir', (t) => {
  const net = mesh([A, B]);
  net.faults = { loss: 1, duplication: 0, delay: 0 };
  net.request(A, 1, { type: 'reset', force: true });
  net.run(500);
  t.like(resetOf(net, A, 1), { addresses: 32, heir: B });
  net.faults = { loss: 0, duplication: 0, delay: 0 };
  net.run(10_000);
  t.deepEqual(sharesAt(net, B), [[B, 64]]);
});

test('a reset that is under way is answered when reset --force takes its place', (t) => {
  const net = mesh([A, B]);
  net.faults = { loss: 1, duplication: 0, delay: 0 };
  net.request(A, 1, { type: 'reset', force: false });
  net.run(500);
  net.request(A, 2, { type: 'reset', force: true, probe: true });
  net.run(100);
  t.is(net.reply(A, 1), undefined);
  net.request(A, 3, { type: 'reset', force: true });
  net.run(500);
  t.is(net.reply(A, 1), 'error: replaced by reset --force');
  t.like(resetOf(net, A, 3), { addresses: 32, heir: B });
});

test('what is in quarantine is handed to nobody: reset is refused, and with --force keeps it', (t) => {
  const net = mesh([A, B, C]);
  net.crash(C);
  net.request(A, 1, { type: 'remove-peers', peers: [C], now: false, strict: false });
  net.run(1_000);
  net.request(A, 2, { type: 'reset', force: false, probe: true });
  net.request(A, 3, { type: 'reset', force: false });
  net.run(1_000);
  for (const request of [2, 3]) t.regex(net.reply(A, request)!, /^error: 32 addresses .* are in quarantine/);
  net.request(A, 4, { type: 'reset', force: true });
  net.run(1_000);
  t.like(resetOf(net, A, 4), { addresses: 16, heir: B });
  t.deepEqual(sharesAt(net, B), [
    [A, 32],
    [B, 32],
  ]);
  net.run(11 * MINUTE);
  net.request(A, 5, { type: 'reset', force: false });
  net.run(3_000);
  t.like(resetOf(net, A, 5), { addresses: 32, heir: B });
  t.deepEqual(sharesAt(net, B), [[B, 64]]);
});

test('a reset whose heir vanishes says so; what it wrote stands, and nothing is lost', (t) => {
  const net = mesh([A, B]);
  net.request(A, 1, { type: 'reset', force: false });
  net.run(2);
  net.crash(B);
  net.run(30_000);
  t.regex(
    net.reply(A, 1)!,
    /^error: .*(reach|heir|take the addresses).*: run reset again, or reset --force$/,
  );
  net.start(B);
  net.run(20_000);
  const total = sharesAt(net, A).reduce((sum, [, addresses]) => sum + addresses, 0);
  t.is(total, 64);
  t.deepEqual(sharesAt(net, B), sharesAt(net, A));
});

test('two peers that reset at once do not hand their space to each other for ever', (t) => {
  const net = mesh([A, B]);
  net.request(A, 1, { type: 'reset', force: false });
  net.request(B, 1, { type: 'reset', force: false });
  net.run(2 * MINUTE);
  for (const name of [A, B]) t.not(net.reply(name, 1), undefined);
  const total = sharesAt(net, A).reduce((sum, [, addresses]) => sum + addresses, 0);
  t.is(total, 64);
  net.request(A, 2, { type: 'allocate', id: 'a' });
  net.run(3_000);
  t.regex(net.reply(A, 2)!, /^10\.32\.0\./);
});

test('seeded by different peers: two clusters are reported, and the empty side joins the one with the lower id', (t) => {
  const net = network();
  net.add(A, { type: 'seed', names: [A] });
  net.add(B, { type: 'seed', names: [B] });
  const ids = [A, B].map((name) => statusOf(net, name).clusterId);
  const [lower, higher] = ids[0]! < ids[1]! ? [A, B] : [B, A];
  net.request(lower, 1, { type: 'allocate', id: 'x' });
  net.run(60_000);
  t.true(net.logs.some((line) => line.includes('two clusters share this network')));
  t.is(statusOf(net, higher).clusterId, lowest(ids));
  t.deepEqual(sharesAt(net, higher), [[lower, 64]]);
  net.request(higher, 2, { type: 'allocate', id: 'y' });
  net.run(3_000);
  t.regex(net.reply(higher, 2)!, /^10\.32\.0\./);
  t.not(net.reply(higher, 2), net.reply(lower, 1));
});

test('two clusters that both have handed out addresses keep working side by side, and both say so', (t) => {
  const sides = [[A], [B]] as const;
  const [net, ids] = twoClusters(sides);
  for (const name of [A, B]) net.request(name, 1, { type: 'allocate', id: 'x' });
  net.run(100);
  heal(net, sides);
  net.run(MINUTE);
  for (const [i, name] of [A, B].entries()) {
    const { status, clusterId, detail } = statusOf(net, name);
    t.deepEqual([status, clusterId], ['ready', ids[i]]);
    t.regex(detail!, /^two clusters share this network: /);
  }
});

test('a cluster of several empty peers changes sides one by one, until nobody is left in it', (t) => {
  const sides = [
    [A, peer(4)],
    [B, C, peer(5)],
  ] as const;
  const [net, ids] = twoClusters(sides);
  heal(net, sides);
  net.run(3 * MINUTE);
  const lower = lowest(ids);
  for (const name of sides.flat()) t.is(statusOf(net, name).clusterId, lower, name);
  const stayed = ids[0] === lower ? sides[0] : sides[1];
  t.deepEqual(
    sharesAt(net, A).map(([name]) => name),
    [...stayed],
  );
  const generations = sides.flat().map((name) => net.nodes.get(name)!.announced.generation);
  t.is(new Set(generations).size, 5);
});

test('a peer with addresses keeps its cluster alive and inherits what the others leave behind', (t) => {
  const sides = [[A], [B, C]] as const;
  const [net, ids] = twoClusters(sides);
  const [higher, lower] = ids[0] > ids[1] ? [sides[0], sides[1]] : [sides[1], sides[0]];
  const holder = higher.at(-1)!;
  net.request(holder, 1, { type: 'allocate', id: 'x' });
  net.run(100);
  heal(net, sides);
  net.run(3 * MINUTE);
  t.is(statusOf(net, holder).clusterId, highest(ids));
  t.deepEqual(sharesAt(net, holder), [[holder, 64]]);
  for (const name of [...lower, ...higher].filter((each) => each !== holder)) {
    t.is(statusOf(net, name).clusterId, lowest(ids), name);
  }
  net.request(holder, 2, { type: 'release', id: 'x' });
  net.run(MINUTE);
  t.is(statusOf(net, holder).clusterId, lowest(ids));
});

test('a change of sides survives a crash at any moment of it', (t) => {
  for (let at = 0; at < 40; at++) {
    const sides = [[A], [B, C]] as const;
    const [net, ids] = twoClusters(sides);
    heal(net, sides);
    net.run(at * 250);
    for (const name of [A, B, C]) net.crash(name);
    for (const name of [A, B, C]) net.start(name);
    net.run(3 * MINUTE);
    for (const name of [A, B, C]) {
      t.is(statusOf(net, name).clusterId, lowest(ids), `${at} ${name}`);
      t.is(
        sharesAt(net, name).reduce((sum, [, addresses]) => sum + addresses, 0),
        64,
      );
    }
  }
});

test('ipam check finds nothing wrong with a healthy mesh, and names owners that do not answer', (t) => {
  const net = mesh([A, B, C]);
  net.request(A, 1, { type: 'check' });
  net.run(4_000);
  const healthy = net.results.get(`${A} 1`);
  if (healthy?.type !== 'checked') return t.fail();
  t.deepEqual(healthy.check.problems, []);
  t.deepEqual(
    healthy.check.nodes.map(({ name, answered }) => [name, answered]),
    [A, B, C].map((name) => [name, true]),
  );
  net.crash(C);
  net.request(A, 2, { type: 'check' });
  net.run(4_000);
  const sick = net.results.get(`${A} 2`);
  if (sick?.type !== 'checked') return t.fail();
  t.deepEqual(sick.check.problems, [
    {
      problem: `32 addresses belong to nick-3 (${C}), which does not answer for them`,
      remedy: `if it will not come back: weave-ts rmpeer ${C}`,
    },
  ]);
});

test('ipam check names an address that two nodes have handed out, and two clusters', (t) => {
  const sides = [[A], [B]] as const;
  const [net] = twoClusters(sides);
  for (const name of [A, B]) net.request(name, 1, { type: 'allocate', id: 'x' });
  net.run(100);
  heal(net, sides);
  net.run(5_000);
  net.request(A, 2, { type: 'check' });
  net.run(4_000);
  const result = net.results.get(`${A} 2`);
  if (result?.type !== 'checked') return t.fail();
  t.is(result.check.problems.length, 1);
  t.regex(result.check.problems[0]!.problem, /^two clusters: nick-2 .* shares another ring$/);
});
