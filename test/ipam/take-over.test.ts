import test from 'ava';
import { formatIp, parseCidr } from '../../core/address.ts';
import type { PeerName } from '../../core/peer-name.ts';
import type { RemovedPeer } from '../../ipam/effects.ts';
import type { IpamSettings } from '../../ipam/settings.ts';
import { parseIpamSettings } from '../../ipam/settings.ts';
import type { IpamStatus } from '../../ipam/status.ts';
import { readStored } from '../../ipam/stored-state.ts';
import { Network, peer } from './network.ts';

const [A, B, C, D] = [peer(1), peer(2), peer(3), peer(4)];
const MINUTE = 60_000;

/** Peers that share the range evenly, in order. */
function mesh(names: readonly PeerName[], range = '10.32.0.0/26', seed = 1): Network {
  const network = new Network(parseIpamSettings(range, undefined) as IpamSettings, seed);
  for (const name of names) network.add(name, { type: 'consensus', voters: names.length });
  network.request(A, 9_000, { type: 'prime' });
  network.run(3_000);
  return network;
}

function rmpeer(
  network: Network,
  at: PeerName,
  request: number,
  peers: readonly string[],
  options: object = {},
) {
  network.request(at, request, { type: 'remove-peers', peers, now: false, strict: false, ...options });
  network.run(500);
}

function removed(network: Network, at: PeerName, request: number): readonly RemovedPeer[] {
  const result = network.results.get(`${at} ${request}`);
  return result?.type === 'removed' ? result.removed : [];
}

function statusOf(network: Network, name: PeerName): IpamStatus {
  return network.nodes.get(name)!.ipam!.status(network.now);
}

function owned(network: Network, at: PeerName, name: PeerName): number {
  const lines = statusOf(network, at).owned.filter((line) => line.name === name);
  return lines.reduce((sum, { addresses }) => sum + addresses, 0);
}

/** Allocates at `name` until it is refused; returns the addresses. */
function drainOf(network: Network, name: PeerName, from: number): string[] {
  const out: string[] = [];
  for (let i = from; ; i++) {
    network.request(name, i, { type: 'allocate', id: `${name}-${i}` });
    for (let waited = 0; waited < 60 && network.reply(name, i) === undefined; waited++) network.run(100);
    const reply = network.reply(name, i);
    if (reply === undefined || reply.startsWith('error')) return out;
    out.push(reply);
  }
}

test('unreachable addresses after a scale-down: rmpeer takes them over, and all of them are used again', (t) => {
  const network = mesh([A, B, C]);
  network.crash(C);
  rmpeer(network, A, 1, [C]);
  t.deepEqual(removed(network, A, 1), [
    {
      name: C,
      nickname: 'nick-3',
      addresses: 32,
      waitingFor: [B],
      restSeconds: 600,
      outOfReach: [],
    },
  ]);
  t.is(owned(network, B, C), 0);
  network.run(10 * MINUTE);
  t.deepEqual(statusOf(network, A).quarantine, []);
  const all = [...drainOf(network, A, 100), ...drainOf(network, B, 300)];
  t.is(new Set(all).size, 62);
});

test('addresses that were taken over are not given out before 10 minutes, to nobody', (t) => {
  const network = mesh([A, B, C]);
  network.crash(C);
  rmpeer(network, A, 1, [C]);
  const early = [...drainOf(network, A, 100), ...drainOf(network, B, 300)];
  t.is(early.length, 31);
  t.true(early.every((address) => Number(address.split(/[./]/)[3]) < 32));
  const [{ addresses, waitingFor }] = statusOf(network, A).quarantine as [IpamStatus['quarantine'][number]];
  t.deepEqual([addresses, waitingFor], [32, []]);
  network.run(10 * MINUTE);
  t.is(drainOf(network, B, 400).length, 31);
});

test('who is refused an address because the rest is in quarantine is told so, here and by a donor', (t) => {
  const network = mesh([A, B]);
  network.crash(B);
  rmpeer(network, A, 1, [B]);
  drainOf(network, A, 100);
  network.request(A, 2, { type: 'allocate', id: 'more' });
  network.run(6_000);
  t.is(
    network.reply(A, 2),
    'error: no free addresses: those of this node are used up and no other peer is reachable; ' +
      '32 addresses are in quarantine: see status ipam',
  );
  network.add(C, { type: 'observer' });
  network.run(8_000);
  network.request(C, 1, { type: 'allocate', id: 'guest' });
  network.run(6_000);
  t.is(
    network.reply(C, 1),
    'error: no free addresses: those of this node are used up and none of the 1 reachable peers has one to give; ' +
      `addresses of nick-1 (${A}) are in quarantine: see status ipam there`,
  );
});

test('a claim of an address in quarantine waits for it, and says so when it gives up', (t) => {
  const network = mesh([A, B, C]);
  network.crash(C);
  rmpeer(network, A, 1, [C]);
  const cidr = parseCidr('10.32.0.40/26')!;
  network.request(A, 2, { type: 'claim', id: 'mine', cidr });
  network.request(B, 1, { type: 'claim', id: 'theirs', cidr });
  network.run(61_000);
  t.is(network.reply(A, 2), 'error: timed out after 60 s: 10.32.0.40 is in quarantine: see status ipam');
  t.is(
    network.reply(B, 1),
    `error: timed out after 60 s: awaiting a grant from nick-1 (${A}); ` +
      `addresses of nick-1 (${A}) are in quarantine: see status ipam there`,
  );
});

/** C was taken over by A, and B died before it heard of that. */
function waitedInVain(): Network {
  const network = mesh([A, B, C]);
  network.crash(C);
  network.faults = { loss: 1, duplication: 0, delay: 0 };
  rmpeer(network, A, 1, [C], { now: true });
  network.crash(B);
  network.faults = { loss: 0, duplication: 0, delay: 0 };
  network.run(30 * MINUTE);
  return network;
}

test('a peer that was waited for in vain stays in the status until it is back', (t) => {
  const network = waitedInVain();
  t.deepEqual(statusOf(network, A).quarantine, [
    { from: C, nickname: 'nick-3', addresses: 0, waitingFor: [], restSeconds: 0, givenUp: [B] },
  ]);
  network.start(B);
  network.run(5_000);
  t.deepEqual(statusOf(network, A).quarantine, []);
});

test('a peer that was waited for in vain leaves the status when it is removed itself', (t) => {
  const network = waitedInVain();
  t.deepEqual(statusOf(network, A).quarantine[0]?.givenUp, [B]);
  rmpeer(network, A, 2, [B], { now: true });
  t.deepEqual(statusOf(network, A).quarantine, []);
});

test('before there is a ring, a name that nobody has and the own one are refused at once', (t) => {
  const network = new Network(parseIpamSettings('10.32.0.0/26', undefined) as IpamSettings, 1);
  network.add(A, { type: 'consensus', voters: 3 });
  rmpeer(network, A, 1, ['nonsense']);
  t.regex(network.reply(A, 1)!, /^error: .*nonsense/);
  rmpeer(network, A, 2, [A]);
  t.regex(network.reply(A, 2)!, /^error: .*is this host: use reset/);
});

test('a peer whose own space is all in quarantine, or that waits for rings, does not say that it is ready', (t) => {
  const network = mesh([A, B]);
  t.is(statusOf(network, A).status, 'ready');
  network.crash(B);
  network.wipe(A, 'cccccccccccccccc');
  network.start(B);
  network.run(8_000);
  const { status, detail } = statusOf(network, A);
  t.deepEqual([status, detail], ['waiting-for-grant', 'all addresses of this host are in quarantine']);
  network.run(11 * MINUTE);
  t.is(statusOf(network, A).status, 'ready');
  network.crash(A);
  network.start(A);
  t.is(statusOf(network, A).status, 'waiting-for-grant');
});

test('with --now the acknowledgements are enough', (t) => {
  const network = mesh([A, B, C]);
  network.crash(C);
  rmpeer(network, A, 1, [C], { now: true });
  t.is(drainOf(network, A, 100).length, 62);
});

test('--now does not skip the acknowledgement of a peer that went out of reach: it is waited for 10 minutes', (t) => {
  const network = mesh([A, B, C]);
  network.crash(C);
  network.faults = { loss: 1, duplication: 0, delay: 0 };
  rmpeer(network, A, 1, [C], { now: true });
  network.crash(B);
  network.faults = { loss: 0, duplication: 0, delay: 0 };
  network.run(9 * MINUTE);
  t.is(drainOf(network, A, 100).length, 15);
  t.deepEqual(statusOf(network, A).quarantine[0]?.waitingFor, [B]);
  network.run(2 * MINUTE);
  t.true(network.logs.some((line) => line.includes('did not acknowledge a take-over')));
  t.is(network.nodes.get(A)!.ipam!.counts['acknowledgementsGivenUp'], 1);
  t.is(drainOf(network, A, 200).length, 31);
});

test('--strict waits for an owner that is out of reach until it is back, however long', (t) => {
  const network = mesh([A, B, C]);
  network.crash(C);
  network.crash(B);
  rmpeer(network, A, 1, [C], { now: true, strict: true });
  t.deepEqual(removed(network, A, 1)[0]?.outOfReach, [B]);
  network.run(60 * MINUTE);
  t.deepEqual(statusOf(network, A).quarantine[0]?.waitingFor, [B]);
  network.start(B);
  network.run(5_000);
  t.deepEqual(statusOf(network, A).quarantine, []);
});

test('--strict does not wait for an owner that was removed too', (t) => {
  const network = mesh([A, B, C]);
  network.crash(C);
  network.crash(B);
  rmpeer(network, A, 1, [C, B], { now: true, strict: true });
  network.run(2_000);
  t.deepEqual(statusOf(network, A).quarantine, []);
  t.is(drainOf(network, A, 100).length, 62);
});

test('a quarantine survives a crash of who took over', (t) => {
  const network = mesh([A, B, C]);
  network.crash(C);
  network.crash(B);
  rmpeer(network, A, 1, [C]);
  network.crash(A);
  network.start(A);
  network.run(6_000);
  t.is(statusOf(network, A).quarantine[0]?.addresses, 32);
  t.is(drainOf(network, A, 100).length, 15);
  network.run(10 * MINUTE);
  t.is(drainOf(network, A, 200).length, 31);
});

test('two rmpeer at once on two sides end in one owner of each address', (t) => {
  const network = mesh([A, B, C, D]);
  network.crash(D);
  network.setCut(A, B, true);
  network.setCut(A, C, true);
  rmpeer(network, A, 1, [D], { now: true });
  rmpeer(network, B, 1, [D], { now: true });
  network.setCut(A, B, false);
  network.setCut(A, C, false);
  network.run(20_000);
  const views = [A, B, C].map((name) =>
    statusOf(network, name).owned.map((line) => [line.name, line.addresses]),
  );
  t.deepEqual(views[0], [
    [A, 16],
    [B, 32],
    [C, 16],
  ]);
  t.deepEqual(views[1], views[0]);
  t.deepEqual(views[2], views[0]);
  const all = [A, B, C].flatMap((name, i) => drainOf(network, name, 100 * (i + 1)));
  t.is(new Set(all).size, all.length);
  t.is(all.length, 62);
});

test('a dead peer that comes back learns that it was removed, and claims back what its attachments use', (t) => {
  const network = mesh([A, B, C]);
  network.request(C, 1, { type: 'allocate', id: 'web' });
  network.run(1_000);
  const address = network.reply(C, 1)!;
  network.crash(C);
  rmpeer(network, A, 1, [C]);
  network.start(C);
  network.run(5_000);
  t.true(network.logs.some((line) => line.startsWith(C) && line.includes('belong to another peer')));
  t.deepEqual(statusOf(network, C).conflicts, []);
  t.is(owned(network, A, C), 1);
  network.request(C, 2, { type: 'allocate', id: 'web' });
  network.run(1_000);
  t.is(network.reply(C, 2), address);
  t.true(network.logs.some((line) => line.startsWith(C) && line.includes('belong to this peer again')));
});

test('duplicate address after a rejoin: what its users had when it was removed is not given out again', (t) => {
  const network = mesh([A, B, C]);
  network.request(C, 1, { type: 'allocate', id: 'web' });
  network.run(1_000);
  const { ip } = parseCidr(network.reply(C, 1)!)!;
  network.crash(C);
  rmpeer(network, A, 1, [C], { now: true });
  network.run(2_000);
  const taken = drainOf(network, A, 100);
  t.is(taken.length, 62);
  network.start(C);
  network.run(5_000);
  const [conflict] = statusOf(network, C).conflicts;
  t.like(conflict, { address: formatIp(ip), user: C, id: 'web', owner: A });
  t.like(statusOf(network, A).conflicts[0], { address: formatIp(ip), user: C, owner: A, id: '' });
  network.request(A, 900, { type: 'release', id: `${A}-${100 + taken.indexOf(network.reply(C, 1)!)}` });
  network.run(70_000);
  t.deepEqual(statusOf(network, C).conflicts, []);
  t.deepEqual(statusOf(network, A).conflicts, []);
  t.like(network.nodes.get(A)!.ipam!.counts, { addressesTakenOver: 32, addressConflicts: 0 });
  t.like(network.nodes.get(C)!.ipam!.counts, { addressConflicts: 1, addressConflictsEnded: 1 });
});

test('an address that another peer still uses is withheld, also from a claim, until that peer is gone for 10 min', (t) => {
  const network = mesh([A, B, C]);
  network.request(B, 1, { type: 'claim', id: 'web', cidr: parseCidr('10.32.0.40/26')! });
  network.run(1_000);
  network.crash(C);
  network.setCut(A, B, true);
  rmpeer(network, A, 1, [B, C], { now: true });
  network.run(1_000);
  network.request(A, 2, { type: 'claim', id: 'mine', cidr: parseCidr('10.32.0.40/26')! });
  network.run(1_000);
  t.is(network.reply(A, 2), '10.32.0.40/26');
  network.setCut(A, B, false);
  network.run(5_000);
  t.like(statusOf(network, B).conflicts[0], { address: '10.32.0.40', user: B, owner: A });
  network.request(A, 3, { type: 'release', id: 'mine' });
  network.run(100);
  network.request(A, 4, { type: 'claim', id: 'again', cidr: parseCidr('10.32.0.40/26')! });
  network.run(100);
  t.regex(network.reply(A, 4)!, /in use on nick-2 .* which lost it to this node/);
  // Nothing else is left, and that would be used otherwise although it was released a moment ago.
  t.is(drainOf(network, A, 100).length, 61);
  network.crash(B);
  network.run(2 * MINUTE);
  // Somebody else's entry changes: what is no longer needed of B is forgotten.
  network.topologyChanged();
  network.run(7 * MINUTE);
  t.deepEqual(drainOf(network, A, 200), []);
  network.run(2 * MINUTE);
  t.deepEqual(drainOf(network, A, 300), ['10.32.0.40/26']);
});

test('a peer takes over what its own name owns under another generation', (t) => {
  const network = mesh([A, B]);
  network.wipe(A, 'aaaaaaaaaaaabbbb');
  network.run(5_000);
  t.is(owned(network, B, A), 32);
  t.is(statusOf(network, A).quarantine[0]?.addresses, 32);
  t.is(drainOf(network, A, 100).length, 31);
  network.run(11 * MINUTE);
  t.is(drainOf(network, B, 400).length, 31);
});

/** A runs once more, and then begins from what it had before that. */
function rollBackPastOneStart(network: Network, snapshot: ReadonlyMap<string, Uint8Array>): void {
  network.crash(A);
  network.start(A);
  network.run(2_000);
  network.crash(A);
  network.restore(A, new Map(snapshot));
  network.start(A);
}

test('a state directory that was rolled back is detected at the first contact and goes on under a new generation', (t) => {
  const network = mesh([A, B]);
  const snapshot = new Map(network.nodes.get(A)!.store);
  network.request(A, 1, { type: 'allocate', id: 'lost' });
  network.run(1_000);
  rollBackPastOneStart(network, snapshot);
  network.run(5_000);
  t.true(network.logs.some((line) => line.startsWith(A) && line.includes('was rolled back or copied')));
  const { generation } = network.nodes.get(A)!.announced;
  t.not(generation, network.nodes.get(A)!.generation);
  t.is(statusOf(network, A).quarantine[0]?.addresses, 32);
  t.is(readStored(network.nodes.get(A)!.store).owner!.generation, generation);
  network.crash(A);
  network.start(A);
  network.run(5_000);
  t.is(network.nodes.get(A)!.announced.generation, generation);
});

test('it is detected, too, if both runs of one life have said as much, whichever has the higher number', (t) => {
  for (let seed = 1; seed <= 12; seed++) {
    const network = mesh([A, B], undefined, seed);
    const snapshot = new Map(network.nodes.get(A)!.store);
    rollBackPastOneStart(network, snapshot);
    network.run(40_000);
    t.true(
      network.logs.some((line) => line.startsWith(A) && line.includes('was rolled back')),
      `seed ${seed}`,
    );
  }
});

for (const [what, args, error] of [
  ['an unknown name', ['ff'], /^error: no peer is called "ff": weave-ts status ipam lists the owners/],
  ['oneself', ['nick-1'], /^error: "nick-1" is this host: use reset/],
  ['a peer in reach', ['nick-2'], /^error: nick-2 \(00:00:00:00:00:02\) is in reach: stop it there first/],
  ['one good and one bad name', [C, 'nick-2'], /is in reach/],
] as const) {
  test(`rmpeer of ${what} is refused and changes nothing`, (t) => {
    const network = mesh([A, B, C]);
    network.crash(C);
    rmpeer(network, A, 1, args);
    t.regex(network.reply(A, 1)!, error);
    t.is(owned(network, A, C), 32);
  });
}

test('rmpeer of a nickname that two peers carry names both', (t) => {
  const network = new Network(parseIpamSettings('10.32.0.0/26', undefined) as IpamSettings, 1);
  const twin = '00:00:00:00:01:02' as PeerName;
  for (const name of [A, B, twin]) network.add(name, { type: 'consensus', voters: 3 });
  network.request(A, 9_000, { type: 'prime' });
  network.run(3_000);
  network.crash(B);
  rmpeer(network, A, 1, ['nick-2']);
  t.is(
    network.reply(A, 1),
    `error: "nick-2" is the nickname of 2 peers: name one of ${B} (out of reach), ${twin} (in reach)`,
  );
});

test('rmpeer may be repeated, by nickname too, also when the topology has forgotten the peer', (t) => {
  const network = mesh([A, B, C]);
  network.crash(C);
  network.run(10 * MINUTE);
  t.is(statusOf(network, A).owned.find(({ name }) => name === C)?.nickname, 'nick-3');
  rmpeer(network, A, 1, ['nick-3']);
  t.is(removed(network, A, 1)[0]?.addresses, 32);
  rmpeer(network, A, 2, ['nick-3']);
  rmpeer(network, A, 3, [C]);
  t.deepEqual(
    [2, 3].map((request) => removed(network, A, request)[0]?.addresses),
    [0, 0],
  );
});

test('rmpeer before there is a ring waits, and says what for when it gives up', (t) => {
  const network = new Network(parseIpamSettings('10.32.0.0/26', undefined) as IpamSettings, 1);
  network.add(A, { type: 'consensus', voters: 2 });
  network.add(B, { type: 'observer' });
  rmpeer(network, A, 1, [B]);
  t.is(network.reply(A, 1), undefined);
  network.run(MINUTE);
  t.is(network.reply(A, 1), 'error: timed out after 60 s: awaiting consensus (quorum 2, known 1)');
});

test('nothing panics and nobody is cut off when a peer learns that its space is another’s', (t) => {
  const network = mesh([A, B, C], '10.32.0.0/28');
  for (let i = 0; i < 3; i++) network.request(C, i, { type: 'allocate', id: `c${i}` });
  network.run(1_000);
  network.setCut(A, C, true);
  network.setCut(B, C, true);
  rmpeer(network, A, 1, [C], { now: true });
  network.setCut(A, C, false);
  network.setCut(B, C, false);
  network.run(10_000);
  t.deepEqual(statusOf(network, C).conflicts, []);
  t.is(owned(network, B, C), 3);
});
