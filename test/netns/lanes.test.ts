import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import type { ControlReport } from '../../router/control-status.ts';
import { Lab, type Container, type LabHost } from '../../scripts/lab.ts';
import { buildUdpLoad } from '../../scripts/bench/udp.ts';
import { end, must, sleep, start, until } from '../../scripts/run.ts';

const FLOWS = [5300, 5301, 5302, 5303, 5304, 5305, 5306, 5307];
const LANE_ENDER = fileURLToPath(new URL('./end-lane-thread.js', import.meta.url));
const TCP_MEGABYTES = 2;
/** Datagrams per second and flow: what queues hold while a busy machine does something else for a second. */
const RATE = 50;
/** So many that those of one flow wait behind one another everywhere: some are lost then, and none may overtake. */
const FAST_RATE = 3_000;
/** Bytes that only flows of their own bring about. */
const MOVED = 10_000;

let labs = 0;
let runs = 0;

interface Pair {
  readonly lab: Lab;
  readonly hosts: readonly [LabHost, LabHost];
  readonly containers: readonly [Container, Container];
}

/** Two hosts with so many workers, and a container on each. */
async function pair(
  t: ExecutionContext,
  workers: readonly [number, number],
  flags: string[] = [],
): Promise<Pair> {
  const lab = await Lab.create(`wl${process.pid}x${labs++}`, 2);
  t.teardown(() => lab.remove());
  const [first, second] = lab.hosts as [LabHost, LabHost];
  await launch(first, workers[0], flags);
  await launch(second, workers[1], [...flags, first.address]);
  await lab.meshed();
  const [a, b] = [await first.container('a'), await second.container('b')];
  await a.reaches(b);
  return { lab, hosts: [first, second], containers: [a, b] };
}

function launch(
  host: LabHost,
  workers: number,
  flags: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  const all = { WEAVE_PASSWORD: 'documentation', ...env };
  return host.launch(['--workers', String(workers), ...flags], { env: all });
}

async function workersOf(host: LabHost): Promise<ControlReport['workers']> {
  return (JSON.parse(await host.mustWeave(['report'])) as ControlReport).workers;
}

/** Nothing was lost, doubled or reordered; or what the daemons know to have dropped. */
async function assertUnharmed(
  t: ExecutionContext,
  hosts: readonly LabHost[],
  flows: readonly FlowCounts[],
): Promise<void> {
  const harmed = flows.filter(
    ({ sent, distinct, duplicates, reordered }) => distinct !== sent || duplicates + reordered > 0,
  );
  if (harmed.length > 0)
    for (const host of hosts) t.log(host.netns, JSON.stringify((await host.status()).router.drops));
  t.deepEqual(harmed, []);
}

/** Streams of random bytes, all at once, each to a port of its own; the digests that arrived, and those that were sent. */
async function tcpDigests(
  lab: Lab,
  from: Container,
  to: Container,
  streams: number,
): Promise<[string[], string[]]> {
  const ports = Array.from({ length: streams }, (_, i) => 5_001 + i);
  const files = ports.map((port) => join(lab.dir, `random-${port}`));
  for (const file of files)
    await must(['dd', 'if=/dev/urandom', `of=${file}`, 'bs=1M', `count=${TCP_MEGABYTES}`, 'status=none']);
  const arrived = ports.map((port) => digestAt(to, port));
  await Promise.all(
    ports.map((port, i) =>
      from.must(['socat', '-u', `FILE:${files[i]}`, `TCP:${to.address}:${port},retry=100,interval=0.1`]),
    ),
  );
  const sent = (await must(['sha256sum', ...files])).trim().split('\n');
  return [await Promise.all(arrived), sent.map(firstWord)];
}

async function digestAt(container: Container, port: number): Promise<string> {
  const receiver = start(container.inside(['socat', '-u', `TCP-LISTEN:${port},reuseaddr`, 'EXEC:sha256sum']));
  let digest = '';
  receiver.stdout?.on('data', (chunk) => (digest += String(chunk)));
  const hang = setTimeout(() => void end(receiver), 120_000);
  await new Promise((resolve) => receiver.once('close', resolve));
  clearTimeout(hang);
  return firstWord(digest);
}

const firstWord = (text: string) => text.split(' ')[0]!;

interface FlowCounts {
  readonly sent: number;
  readonly distinct: number;
  readonly duplicates: number;
  readonly reordered: number;
}

/** Numbered datagrams from one container to the other, `rate` per second in each flow; what became of each flow. */
async function udpFlows(
  lab: Lab,
  from: Container,
  to: Container,
  rate: number,
  seconds: number,
): Promise<FlowCounts[]> {
  const program = join(lab.dir, 'udp-load');
  await buildUdpLoad(program);
  const receivers = await Promise.all(
    FLOWS.map((port) => receiverAt(to, program, String(++runs), String(port))),
  );
  return Promise.all(
    receivers.map(async ({ run, port, finish }) => {
      const send = [program, 'send', run, to.address, port, '1200', String(rate), String(seconds)];
      const [sent] = (await from.must(send)).trim().split(' ').map(Number);
      const [distinct, duplicates, reordered] = await finish(sent!);
      return { sent: sent!, distinct: distinct!, duplicates: duplicates!, reordered: reordered! };
    }),
  );
}

async function receiverAt(container: Container, program: string, run: string, port: string) {
  const receiver = start(container.inside([program, 'receive', run, port]));
  let output = '';
  receiver.stdout?.on('data', (chunk) => (output += String(chunk)));
  const closed = new Promise((resolve) => receiver.once('close', resolve));
  await until('receiver ready', 10_000, () => Promise.resolve(output.includes('ready')));
  // On a busy machine some are under way for longer than a receiver that knows nothing waits.
  const finish = async (expected: number): Promise<number[]> => {
    receiver.stdin?.end(String(expected));
    await closed;
    return output.replace('ready', '').trim().split(' ').map(Number);
  };
  return { run, port, finish };
}

for (const workers of [
  [2, 2],
  [4, 4],
  [1, 4],
] as const) {
  test(`${workers[0]} and ${workers[1]} workers carry eight TCP streams intact and UDP flows in order, both ways`, async (t) => {
    const { lab, hosts, containers } = await pair(t, workers);
    for (const [from, to] of [containers, [containers[1], containers[0]] as const]) {
      const [arrived, sent] = await tcpDigests(lab, from, to, 8);
      t.deepEqual(arrived, sent);
      const flows = await udpFlows(lab, from, to, RATE, 3);
      await assertUnharmed(t, hosts, flows);
      const fast = await udpFlows(lab, from, to, FAST_RATE, 1);
      t.deepEqual(
        fast.filter(({ distinct, duplicates, reordered }) => distinct === 0 || duplicates + reordered > 0),
        [],
      );
    }
    // Which worker a flow falls to is a matter of its ports: further flows, until each worker has had some.
    for (let rounds = 0; rounds < 8 && !(await everyWorkerMoved(hosts, workers)); rounds++)
      for (const [from, to] of [containers, [containers[1], containers[0]] as const])
        await udpFlows(lab, from, to, RATE, 1);
    for (const host of hosts) t.log(host.netns, JSON.stringify(await workersOf(host)));
    t.true(await everyWorkerMoved(hosts, workers));
  });
}

/** Between hosts with as many workers both ways, else by sending: the lanes of the others all end in the first. */
async function everyWorkerMoved(
  hosts: readonly LabHost[],
  workers: readonly [number, number],
): Promise<boolean> {
  // What has moved is reported once a second.
  await sleep(1_500);
  for (const [i, host] of hosts.entries()) {
    const counts = await workersOf(host);
    const moved = counts.filter(
      ({ sentBytes, receivedBytes }) =>
        sentBytes > MOVED && (receivedBytes > MOVED || workers[0] !== workers[1]),
    );
    if (counts.length !== workers[i] || moved.length !== counts.length) return false;
  }
  return true;
}

test('new keys under load lose nothing on any lane, whichever end asks', async (t) => {
  const { lab, hosts, containers } = await pair(t, [2, 4]);
  const load = udpFlows(lab, containers[0], containers[1], RATE, 8);
  for (const [i, host] of hosts.entries()) {
    await sleep(1_000);
    t.regex(await host.mustWeave(['rekey']), /^asked for new keys with/);
    for (const each of hosts) {
      await until('new keys in use', 20_000, async () => {
        return (await each.status()).router.links[0]?.rekeys === i + 1;
      });
    }
  }
  await assertUnharmed(t, hosts, await load);
});

test('kill -9 and restart of a host with workers: its lanes come back', async (t) => {
  const { lab, hosts, containers } = await pair(t, [2, 2]);
  await hosts[0].kill();
  await launch(hosts[0], 4, []);
  await lab.meshed();
  await containers[1].reaches(containers[0]);
  const [arrived, sent] = await tcpDigests(lab, containers[0], containers[1], 4);
  t.deepEqual(arrived, sent);
  t.is((await workersOf(hosts[0])).length, 4);
});

test('a worker that ends ends the daemon in order, and the next daemon has all lanes again', async (t) => {
  const { lab, hosts, containers } = await pair(t, [2, 2]);
  const [host] = hosts;
  await host.kill();
  await launch(host, 2, [], { NODE_OPTIONS: `--import=${LANE_ENDER}` });
  await lab.meshed();
  process.kill((await host.pid())!, 'SIGUSR2');
  await until('the daemon gone', 20_000, async () => (await host.pid()) === undefined);
  const log = readFileSync(host.socket.replace(/\.sock$/, '.log'), 'utf8');
  const lines = log.split('\n').filter((line) => line.includes('the daemon cannot go on'));
  t.is(lines.length, 1, log);
  t.regex(lines[0]!, /the lane thread ended/);
  t.notRegex(log, /the end was not orderly/);
  await launch(host, 2, []);
  await lab.meshed();
  const [arrived, sent] = await tcpDigests(lab, containers[1], containers[0], 4);
  t.deepEqual(arrived, sent);
});

test('lanes differ in their hop limit whatever the standard of the host', async (t) => {
  const { hosts, containers } = await pair(t, [2, 2]);
  const [{ address, address6 }] = hosts;
  await hosts[0].must(['sysctl', '-qw', 'net.ipv4.ip_default_ttl=63', 'net.ipv6.conf.eth0.hop_limit=63']);
  // Heartbeats are of lane 0, and so is who asks for an address that nobody has.
  const asks = start(containers[0].inside(['ping', '-q', '10.47.255.253']));
  t.teardown(() => end(asks));
  const filter = `udp port 6783 and (src ${address} or src ${address6})`;
  const { stdout, stderr } = await hosts[0].run(['tcpdump', '-i', 'eth0', '-nvc', '3', filter]);
  const limits = [...stdout.matchAll(/(?:ttl|hlim) (\d+)/g)].map(([, limit]) => limit);
  t.deepEqual([...new Set(limits)], ['64'], stderr);
});

test('without a password lanes carry TCP intact', async (t) => {
  const lab = await Lab.create(`wl${process.pid}x${labs++}`, 2);
  t.teardown(() => lab.remove());
  const [first, second] = lab.hosts as [LabHost, LabHost];
  await first.launch(['--workers', '2']);
  await second.launch(['--workers', '2', first.address]);
  await lab.meshed();
  const [a, b] = [await first.container('a'), await second.container('b')];
  const [arrived, sent] = await tcpDigests(lab, a, b, 4);
  t.deepEqual(arrived, sent);
});

test('a number of workers that cannot be is refused with what would be right', async (t) => {
  const lab = await Lab.create(`wl${process.pid}x${labs++}`, 1);
  t.teardown(() => lab.remove());
  const host = lab.hosts[0]!;
  for (const workers of ['0', 'abc', '99']) {
    const refused = await host.weave(['launch', ...host.launchFlags(), '--workers', workers]);
    t.is(refused.code, 1);
    t.regex(refused.stderr, new RegExp(`--workers "${workers}" is not a whole number from 1 to 16`));
  }
});
