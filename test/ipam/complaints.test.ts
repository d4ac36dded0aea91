import test from 'ava';
import type { PeerName } from '../../core/peer-name.ts';
import type { IpamSettings } from '../../ipam/settings.ts';
import { parseIpamSettings } from '../../ipam/settings.ts';
import type { IpamStatus } from '../../ipam/status.ts';
import { readStored } from '../../ipam/stored-state.ts';
import { Network, peer } from './network.ts';

/*
 * What went wrong for years with address allocation of this kind, each under the name that its users gave it. Others:
 * "unreachable addresses after a scale-down", "duplicate address after a rejoin" and "nothing panics" in
 * take-over.test.ts, "seeded by different peers" in leaving.test.ts, attachments that leak in
 * ../plugin/host/attachments.test.ts and ../plugin/cni/cni-plugin.test.ts.
 */

const [A, B, C, D] = [peer(1), peer(2), peer(3), peer(4)];

/** Peers that share the range evenly, in order. */
function mesh(names: readonly PeerName[], range = '10.32.0.0/28'): Network {
  const network = new Network(parseIpamSettings(range, undefined) as IpamSettings, 1);
  for (const name of names) network.add(name, { type: 'consensus', voters: names.length });
  network.request(A, 9_000, { type: 'prime' });
  network.run(3_000);
  return network;
}

function statusOf(network: Network, name: PeerName): IpamStatus {
  return network.nodes.get(name)!.ipam!.status(network.now);
}

/** Who owns how much, as `name` sees it. */
function shares(network: Network, name: PeerName): [string, number][] {
  return statusOf(network, name).owned.map((line) => [line.name, line.addresses]);
}

function rmpeer(network: Network, at: PeerName, victim: PeerName): void {
  network.request(at, 8_000, { type: 'remove-peers', peers: [victim], now: true, strict: false });
  network.run(1_000);
}

function allocate(network: Network, at: PeerName, request: number): string | undefined {
  network.request(at, request, { type: 'allocate', id: `${at}-${request}` });
  for (let waited = 0; waited < 100 && network.reply(at, request) === undefined; waited++) network.run(100);
  return network.reply(at, request);
}

/** All that can be had on these peers, until each refuses. */
function allocateAll(network: Network, names: readonly PeerName[]): string[] {
  const out: string[] = [];
  for (const name of names) {
    for (let request = 100; ; request++) {
      const reply = allocate(network, name, request)!;
      if (reply.startsWith('error')) break;
      out.push(reply);
    }
  }
  return out;
}

test('conflicting rings: the same version under two owners becomes one owner for all, and both users are reported', (t) => {
  const network = mesh([A, B, C, D]);
  network.crash(D);
  network.setCut(A, B, true);
  network.setCut(A, C, true);
  rmpeer(network, A, D);
  rmpeer(network, B, D);
  const cidr = { ip: network.settings.range.ipAt(13), prefix: 28 };
  network.request(A, 1, { type: 'claim', id: 'left', cidr });
  network.request(B, 1, { type: 'claim', id: 'right', cidr });
  network.run(1_000);
  t.deepEqual([network.reply(A, 1), network.reply(B, 1)], ['10.32.0.13/28', '10.32.0.13/28']);
  network.setCut(A, B, false);
  network.setCut(A, C, false);
  network.run(20_000);
  for (const name of [A, B, C]) t.deepEqual(shares(network, name), shares(network, A));
  for (const name of [A, B])
    t.like(statusOf(network, name).conflicts, [{ address: '10.32.0.13', user: A, owner: B }]);
  network.request(B, 2, { type: 'release', id: 'right' });
  network.run(70_000);
  for (const name of [A, B]) t.deepEqual(statusOf(network, name).conflicts, []);
  t.is(allocateAll(network, [A, B, C]).length, 13);
});

test('a donation that was not broadcast: the donor dies before anybody hears of it, and nothing is lost or given twice', (t) => {
  for (const moment of ['before', 'after'] as const) {
    const network = mesh([A, B]);
    for (let i = 0; i < 7; i++) allocate(network, B, i);
    network.crashAtCommit = (name) => (name === A ? moment : undefined);
    network.request(B, 50, { type: 'allocate', id: 'one more' });
    network.run(500);
    t.is(network.nodes.get(A)!.ipam, undefined, 'the grant is what it died of');
    network.crashAtCommit = () => undefined;
    network.start(A);
    network.run(10_000);
    t.regex(network.reply(B, 50)!, /^10\.32\.0\.\d+\/28$/);
    t.deepEqual(shares(network, A), shares(network, B));
    t.is(
      shares(network, A).reduce((sum, [, addresses]) => sum + addresses, 0),
      16,
    );
    const rest = allocateAll(network, [A, B]);
    t.is(new Set(rest).size, 6);
    t.false(rest.includes(network.reply(B, 50)!));
  }
});

test('reclaimed twice: an rmpeer that is repeated and one on another peer take nothing from who has the addresses now', (t) => {
  const network = mesh([A, B, C]);
  network.crash(C);
  rmpeer(network, A, C);
  const held = allocateAll(network, [A, B]);
  t.is(held.length, 14);
  const before = shares(network, A);
  rmpeer(network, A, C);
  rmpeer(network, B, C);
  network.run(5_000);
  for (const name of [A, B]) {
    t.deepEqual(shares(network, name), before);
    t.deepEqual(statusOf(network, name).conflicts, []);
  }
});

test('the ring does not wrap: its first and its last piece change hands like any other', (t) => {
  const network = mesh([A, B, C]);
  network.crash(A);
  network.crash(C);
  rmpeer(network, B, A);
  rmpeer(network, B, C);
  t.deepEqual(shares(network, B), [[B, 16]]);
  const all = allocateAll(network, [B]);
  t.true(all.includes('10.32.0.1/28') && all.includes('10.32.0.14/28'));
  t.is(all.length, 14);
});

test('leaks: what was released leaves nothing in the store, and can be had again after a restart', (t) => {
  const network = mesh([A]);
  for (let round = 0; round < 20; round++) {
    for (let i = 0; i < 14; i++) t.regex(allocate(network, A, 100 * round + i)!, /^10\./);
    for (let i = 0; i < 14; i++)
      network.request(A, 5_000, { type: 'release', id: `${A}-${100 * round + i}` });
    network.run(100);
    t.deepEqual(readStored(network.nodes.get(A)!.store).allocations, []);
    network.crash(A);
    network.start(A);
  }
  t.is(statusOf(network, A).active, 0);
});

test('a ring that changes with every allocation: what one peer hands out of its own is no news to others', (t) => {
  const network = mesh([A, B], '10.32.0.0/20');
  network.run(20_000);
  const ring = network.nodes.get(B)!.store.get('ipam/ring');
  const before = network.nodes.get(B)!.ipam!.digest().root;
  for (let i = 0; i < 100; i++) allocate(network, A, i);
  network.run(20_000);
  t.is(network.nodes.get(B)!.store.get('ipam/ring'), ring);
  t.deepEqual(network.nodes.get(B)!.ipam!.digest().root, before);
});
