import test, { type ExecutionContext } from 'ava';
import type { Container, LabHost } from '../../scripts/lab.ts';
import { Lab } from '../../scripts/lab.ts';
import { end, must, start, until } from '../../scripts/run.ts';

const JUMBO = 9_000;
/** The underlay's less 112. */
const JUMBO_BRIDGE = 8_888;

let labs = 0;

/** Hosts on an underlay of the given MTUs, meshed, with a container each. */
async function meshOf(t: ExecutionContext, mtus: readonly number[]) {
  const lab = await Lab.create(`wj${process.pid}x${labs++}`, mtus.length);
  t.teardown(() => lab.remove());
  await must(['ip', '-n', lab.underlay, 'link', 'set', 'br0', 'mtu', String(JUMBO)]);
  const env = { WEAVE_PASSWORD: 'documentation' };
  for (const [i, host] of lab.hosts.entries()) {
    await setPort(lab, host, JUMBO);
    // A bridge asks a train of UDP_SEGMENT for the size of none of its datagrams: they part before they leave.
    await host.must(['ip', 'link', 'set', 'eth0', 'mtu', String(mtus[i]), 'gso_max_segs', '1']);
    await host.launch(i === 0 ? [] : [lab.hosts[0]!.address], { env });
  }
  await lab.meshed();
  const containers: Container[] = [];
  for (const host of lab.hosts) containers.push(await host.container(`c${host.number}`));
  for (const other of containers.slice(1)) await containers[0]!.reaches(other);
  return { lab, containers };
}

/** What the wire to a host carries: more is lost without a word. */
function setPort(lab: Lab, host: LabHost, mtu: number): Promise<string> {
  return must(['ip', '-n', lab.underlay, 'link', 'set', `p${host.number}`, 'mtu', String(mtu)]);
}

/** One echo request of a packet of `bytes`; what ping said. */
async function echo(
  from: Container,
  to: Container,
  bytes: number,
  fragments: 'do' | 'dont',
): Promise<string> {
  const size = String(bytes - 28);
  const { stdout, stderr } = await from.run([
    'ping',
    '-c',
    '1',
    '-W',
    '2',
    '-M',
    fragments,
    '-s',
    size,
    to.address,
  ]);
  return stdout + stderr;
}

const ANSWERED = / 0% packet loss/;

async function innerMtuOf(host: LabHost, other: LabHost): Promise<number | undefined> {
  const { links } = (await host.status()).router;
  return links.find(({ nickname }) => nickname === `host${other.number}`)?.mtu;
}

test('on an underlay of 9,000 bytes containers get 8,888, and packets of that size pass whole', async (t) => {
  const { lab, containers } = await meshOf(t, [JUMBO, JUMBO]);
  const [a, b] = containers as [Container, Container];
  t.is((await a.must(['cat', '/sys/class/net/ethwe/mtu'])).trim(), String(JUMBO_BRIDGE));
  await until(
    'the path MTU',
    30_000,
    async () => (await innerMtuOf(lab.hosts[0]!, lab.hosts[1]!)) === JUMBO_BRIDGE,
  );
  t.regex(await echo(a, b, JUMBO_BRIDGE, 'do'), ANSWERED);
  t.regex(await echo(b, a, 1_500, 'do'), ANSWERED);
});

test('towards a host of 1,500 bytes, packets that may not be fragmented are answered, others arrive', async (t) => {
  const { lab, containers } = await meshOf(t, [JUMBO, 1_500]);
  const [a, b] = containers as [Container, Container];
  t.is((await b.must(['cat', '/sys/class/net/ethwe/mtu'])).trim(), '1388');
  const inner = await innerMtuOf(lab.hosts[0]!, lab.hosts[1]!);
  t.true(inner !== undefined && inner <= 1_388, String(inner));
  t.regex(await echo(a, b, 5_000, 'dont'), ANSWERED);
  t.regex(await echo(b, a, 5_000, 'dont'), ANSWERED);
  t.regex(await echo(a, b, 5_000, 'do'), new RegExp(`mtu ?= ?${inner}`));
});

test('a wire that carries less than both hosts is found, and a stream outlives its becoming so', async (t) => {
  const { lab, containers } = await meshOf(t, [JUMBO, JUMBO]);
  const [first, second] = lab.hosts as [LabHost, LabHost];
  const [a, b] = containers as [Container, Container];
  await until('the path MTU', 30_000, async () => (await innerMtuOf(first, second)) === JUMBO_BRIDGE);
  const server = start(b.inside(['iperf3', '-s', '-1']));
  t.teardown(() => end(server));
  await until('iperf3 listens', 10_000, async () => (await b.must(['ss', '-ltn'])).includes(':5201'));
  const stream = a.must(['iperf3', '-c', b.address, '-t', '25', '-b', '20M', '-J'], { limit: 120_000 });
  await until('some of it', 30_000, async () => (await b.must(['ss', '-tn'])).includes(':5201'));
  await setPort(lab, second, 1_500);
  const took = await until('a smaller path MTU at both ends', 60_000, async () => {
    const found = await Promise.all([innerMtuOf(first, second), innerMtuOf(second, first)]);
    return found.every((mtu) => mtu !== undefined && mtu < 1_500);
  });
  t.log(`found after ${(took / 1_000).toFixed(1)} s`);
  t.regex(await echo(a, b, 5_000, 'dont'), ANSWERED);
  const said = await echo(a, b, 5_000, 'do');
  t.regex(said, /mtu ?= ?1[0-9]{3}\b/);
  const { intervals } = JSON.parse(await stream) as { intervals: { sum: { bytes: number } }[] };
  const bytes = intervals.map(({ sum }) => sum.bytes);
  t.log(bytes.join());
  t.true(bytes.slice(-10).some((count) => count > 0));
  t.deepEqual(await lab.problems(), []);
});
