import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { callApi } from '../../router/api/client.ts';
import type { AttachResult } from '../../router/api/daemon.ts';
import { Lab, type Container, type LabHost } from '../../scripts/lab.ts';
import { end, must, sleep, start, until } from '../../scripts/run.ts';

let labs = 0;

async function lab(t: ExecutionContext, hosts: number): Promise<Lab> {
  const made = await Lab.create(`wm${process.pid}x${labs++}`, hosts);
  t.teardown(() => made.remove());
  return made;
}

function passwordFile(made: Lab, name: string, text: string): string {
  const path = join(made.dir, name);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}

/** A way to reach every container at once: socat's address to listen on, and the one that `sender` sends to. */
interface Group {
  readonly name: string;
  readonly receive: string;
  readonly send: (sender: Container) => string;
}

const GROUPS: readonly Group[] = [
  {
    name: 'broadcast',
    receive: 'UDP4-RECV:5002,reuseaddr',
    send: () => 'UDP4-DATAGRAM:10.47.255.255:5002,broadcast',
  },
  {
    name: 'multicast',
    receive: 'UDP4-RECV:5003,reuseaddr,ip-add-membership=233.252.0.1:ethwe',
    send: ({ address }) => `UDP4-DATAGRAM:233.252.0.1:5003,ip-multicast-if=${address},ip-multicast-ttl=4`,
  },
];

/** Five numbered datagrams to a group from each container reach every other exactly once, in order. */
async function assertCastsOnce(
  t: ExecutionContext,
  containers: readonly Container[],
  group: Group,
): Promise<void> {
  const listeners = containers.map((c) => start(c.inside(['socat', '-u', group.receive, 'STDOUT'])));
  const heard = listeners.map(() => '');
  listeners.forEach((listener, i) => {
    t.teardown(() => end(listener));
    listener.stdout?.on('data', (chunk) => (heard[i] = heard[i]! + String(chunk)));
  });
  await sleep(500);
  for (const [i, sender] of containers.entries()) {
    for (let n = 1; n <= 5; n++) {
      await sender.must(['socat', '-u', 'STDIN', group.send(sender)], { input: `<${i}:${n}>` });
    }
  }
  await sleep(1_000);
  for (const listener of listeners) await end(listener);
  for (const [to, receiver] of containers.entries()) {
    for (const [from, sender] of containers.entries()) {
      const numbers = [...heard[to]!.matchAll(new RegExp(`<${from}:(\\d)>`, 'g'))].map(([, n]) => n).join('');
      // A sender may hear itself: its own kernel decides that.
      if (to !== from) t.is(numbers, '12345', `${group.name} from ${sender.netns} to ${receiver.netns}`);
    }
  }
}

async function containersOf(made: Lab): Promise<Container[]> {
  const containers: Container[] = [];
  for (const host of made.hosts) containers.push(await host.container(`c${host.number}`));
  return containers;
}

for (const [shape, size, peersOf] of [
  ['a chain of 4', 4, (n: number) => (n === 1 ? [] : [n - 1])],
  ['a ring of 5', 5, (n: number) => [n === 1 ? 5 : n - 1]],
] as const) {
  test(`broadcast and multicast reach every other host exactly once on ${shape} without discovery`, async (t) => {
    const made = await lab(t, size);
    for (const host of made.hosts) {
      const peers = peersOf(host.number).map((n) => made.hosts[n - 1]!.address);
      await host.launch(['--no-discovery', '--ipalloc-init', `consensus=${size}`, ...peers], {
        env: { WEAVE_PASSWORD: 'documentation' },
      });
    }
    // While an edge is still missing trees are about to change, and broadcasts under way with them.
    const ends = size * 2 - (shape === 'a ring of 5' ? 0 : 2);
    for (const host of made.hosts) {
      await until(`${host.netns} sees ${shape}`, 60_000, async () => {
        const { peers } = (await host.status()).router;
        return peers.reduce((sum, { neighbours }) => sum + neighbours.length, 0) === ends;
      });
    }
    const containers = await containersOf(made);
    for (const other of containers.slice(1)) await containers[0]!.reaches(other);
    for (const host of made.hosts) {
      const { router } = await host.status();
      t.true(
        router.connections.filter((c) => c.state === 'established').length <= 2,
        'nothing was discovered',
      );
    }
    await Promise.all(GROUPS.map((group) => assertCastsOnce(t, containers, group)));
  });
}

test('a /27 is split over three hosts so that one of them can attach 25, and the 31st address is refused', async (t) => {
  const made = await lab(t, 3);
  const [first, second, third] = made.hosts as [LabHost, LabHost, LabHost];
  const flags = ['--ipalloc-range', '10.32.7.0/27', '--ipalloc-init', 'consensus=3'];
  await first.launch(flags);
  await second.launch([...flags, first.address]);
  await third.launch([...flags, first.address]);
  await made.meshed();
  const addresses = new Set<string>();
  addresses.add((await second.container('b0')).address);
  addresses.add((await third.container('c0')).address);
  for (let i = 0; i < 25; i++) addresses.add(await attached(first, await made.namespace(`a${i}`)));
  t.is(addresses.size, 27, 'all addresses are distinct');
  for (let i = 0; i < 3; i++) addresses.add((await second.container(`d${i}`)).address);
  t.is(addresses.size, 30, 'every usable address is used once');
  const netns = await made.namespace('surplus');
  const refused = await third.weave(['attach', netns]);
  t.is(refused.code, 1);
  t.regex(refused.stderr, /no free address/);
  const owned = (await first.status()).ipam.owned;
  t.is(
    owned.reduce((sum, { addresses: n }) => sum + n, 0),
    32,
  );
});

/** Attaches without the cost of a process; returns the address. */
async function attached(host: LabHost, target: string): Promise<string> {
  const request = { target, addresses: [], defaultRoute: false };
  const { addresses } = (await callApi(host.socket, 'POST', '/attach', request)) as AttachResult;
  return addresses[0]!.split('/')[0]!;
}

test('a wrong password is refused by name on both sides, and nothing of the mesh is told', async (t) => {
  const made = await lab(t, 2);
  const [first, second] = made.hosts as [LabHost, LabHost];
  await first.launch(['--password-file', passwordFile(made, 'right', 'right horse\n')]);
  await second.launch(['--password-file', passwordFile(made, 'wrong', 'wrong horse\n'), first.address]);
  for (const [host, other] of [
    [first, second],
    [second, first],
  ] as const) {
    const text = `password mismatch with ${other.address}`;
    await until(text, 15_000, async () => {
      return (await host.status()).router.connections.some((c) => c.error?.startsWith(text) === true);
    });
    const { router } = await host.status();
    t.is(router.peers.length, 1, 'only itself');
    t.is(router.links.length, 0);
  }
  const shown = await second.mustWeave(['status', 'connections']);
  t.true(shown.includes(`password mismatch with ${first.address}`));
  t.false(
    JSON.stringify(await second.status()).includes((await first.status()).router.name),
    'no name leaked',
  );
});

test('a host with a password and one without refuse each other by name on both sides', async (t) => {
  const made = await lab(t, 2);
  const [first, second] = made.hosts as [LabHost, LabHost];
  await first.launch([], { env: { WEAVE_PASSWORD: 'documentation' } });
  const launched = await second.weave(['launch', ...second.launchFlags(), first.address]);
  t.regex(launched.stderr, /traffic is neither encrypted nor authenticated/);
  for (const [host, pattern] of [
    [first, /^192\.0\.2\.2:\d+ has no password, one is set here/],
    [second, /^192\.0\.2\.1:6783 requires a password, none is set here/],
  ] as const) {
    await until(String(pattern), 15_000, async () => {
      return (await host.status()).router.connections.some((c) => pattern.test(c.error ?? ''));
    });
    t.is((await host.status()).router.peers.length, 1);
  }
});

test('kill -9 and restart keep the name and the addresses, and attached namespaces work again untouched', async (t) => {
  const made = await lab(t, 2);
  const [first, second] = made.hosts as [LabHost, LabHost];
  const password = passwordFile(made, 'password', 'documentation\n');
  const launchFirst = () => first.launch(['--password-file', password]);
  const name = await launchFirst();
  await second.launch(['--password-file', password, first.address]);
  await made.meshed();
  const a = await first.container('a');
  const b = await second.container('b');
  await b.reaches(a);
  const before = JSON.parse(await first.mustWeave(['ps', '--json'])) as unknown;
  await first.kill();
  t.is(await launchFirst(), name);
  t.deepEqual(JSON.parse(await first.mustWeave(['ps', '--json'])), before);
  await b.reaches(a);
  await a.reaches(b);
  t.not((await first.container('a2')).address, a.address);
});

test('the underlay may be IPv6', async (t) => {
  const made = await lab(t, 2);
  const [first, second] = made.hosts as [LabHost, LabHost];
  for (const host of made.hosts) await host.must(['ip', 'addr', 'del', `${host.address}/24`, 'dev', 'eth0']);
  const env = { WEAVE_PASSWORD: 'documentation' };
  await first.launch([], { env });
  await second.launch([`[${first.address6}]:6783`], { env });
  await made.meshed();
  const link = (await second.status()).router.links[0]!;
  t.is(link.address, `[${first.address6}]:6783`);
  const a = await first.container('a');
  const b = await second.container('b');
  await a.reaches(b);
});

for (const [left, right] of [
  ['native', 'portable'],
  ['portable', 'native'],
  ['portable', 'portable'],
] as const) {
  test(`a ${left} and a ${right} engine make one mesh that carries TCP intact`, async (t) => {
    const made = await lab(t, 2);
    const [first, second] = made.hosts as [LabHost, LabHost];
    const env = { WEAVE_PASSWORD: 'documentation' };
    await first.launch(['--engine', left], { env });
    await second.launch(['--engine', right, first.address], { env });
    t.is((await first.status()).router.engine, left);
    await made.meshed();
    const a = await first.container('a');
    const b = await second.container('b');
    await a.reaches(b);
    const file = join(made.dir, 'random');
    await must(['dd', 'if=/dev/urandom', `of=${file}`, 'bs=1M', 'count=20', 'status=none']);
    const want = (await must(['sha256sum', file])).split(' ')[0];
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      t.is(await receivedDigest(from, to, file), want);
    }
  });
}

async function receivedDigest(from: Container, to: Container, file: string): Promise<string | undefined> {
  const receiver = start(to.inside(['socat', '-u', 'TCP-LISTEN:5001,reuseaddr', 'EXEC:sha256sum']));
  let digest = '';
  receiver.stdout?.on('data', (chunk) => (digest += String(chunk)));
  const closed = new Promise((resolve) => receiver.once('close', resolve));
  try {
    await from.must(['socat', '-u', `FILE:${file}`, `TCP:${to.address}:5001,retry=50,interval=0.1`]);
    await closed;
  } finally {
    await end(receiver);
  }
  return digest.split(' ')[0];
}

test('the native engine sends and receives several datagrams with one system call under load', async (t) => {
  const made = await lab(t, 2);
  const [first, second] = made.hosts as [LabHost, LabHost];
  await first.launch(['--engine', 'native'], { env: { WEAVE_PASSWORD: 'documentation' } });
  await second.launch(['--engine', 'native', first.address], { env: { WEAVE_PASSWORD: 'documentation' } });
  await made.meshed();
  const a = await first.container('a');
  const b = await second.container('b');
  await a.reaches(b);
  const server = start(b.inside(['iperf3', '-s', '-1']));
  t.teardown(() => end(server));
  await sleep(500);
  const load = start(a.inside(['iperf3', '-c', b.address, '-u', '-b', '0', '-l', '64', '-t', '4']));
  t.teardown(() => end(load));
  await sleep(1_000);
  const traces: string[] = [];
  for (const host of [first, second]) {
    const pid = await host.pid();
    const file = join(host.dir, 'strace');
    const strace = start([
      'strace',
      '-f',
      '-e',
      'trace=recvmmsg,sendmmsg,sendmsg',
      '-o',
      file,
      '-p',
      String(pid),
    ]);
    await sleep(1_000);
    await end(strace);
    traces.push(await must(['cat', file]));
  }
  const [sender, receiver] = traces as [string, string];
  const batches = (trace: string, call: string) =>
    [...trace.matchAll(new RegExp(`${call}\\(.* = (\\d+)$`, 'gm'))].filter(([, n]) => Number(n) > 1).length;
  // strace knows the control messages of UDP by number only: 103 is UDP_SEGMENT, 104 UDP_GRO.
  t.true(
    batches(sender, 'sendmmsg') > 0 || /SOL_UDP, cmsg_type=(?:0x67|UDP_SEGMENT)/.test(sender),
    'the sender batches',
  );
  t.true(
    batches(receiver, 'recvmmsg') > 0 || /SOL_UDP, cmsg_type=(?:0x68|UDP_GRO)/.test(receiver),
    'the receiver batches',
  );
});
