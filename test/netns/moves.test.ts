import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { callApi } from '../../router/api/client.ts';
import { builtCli } from '../../scripts/built-cli.ts';
import { Lab, type Container, type LabHost } from '../../scripts/lab.ts';
import { must, sleep, until } from '../../scripts/run.ts';
import { Pings } from './traffic.ts';

const env = { WEAVE_PASSWORD: 'documentation' };
/**
 * A connection that is dead is missed after 30 s of silence, 20 s after the move at the earliest. Who is told of the move
 * needs hardly any of these, which are less in sum.
 */
const TRAFFIC_LIMIT = 10_000;
const CONTROL_LIMIT = 8_000;
/** For which an interface that carries nothing has to stay up before it is published. */
const IDLE_FOR = 10_000;

let labs = 0;

/** Hosts without IPv6, so that nothing goes on by another family. */
async function lab(t: ExecutionContext, hosts: number): Promise<Lab> {
  const made = await Lab.create(`wv${process.pid}x${labs++}`, hosts);
  t.teardown(() => made.remove());
  for (const { netns, address6 } of made.hosts)
    await must(['ip', '-n', netns, 'addr', 'del', `${address6}/64`, 'dev', 'eth0']);
  return made;
}

async function readdress(host: LabHost, address: string): Promise<void> {
  const batch = [`addr del ${host.address}/24 dev eth0`, `addr add ${address}/24 dev eth0`];
  await must(['ip', '-n', host.netns, '-batch', '-'], { input: batch.join('\n') + '\n' });
}

/** A bridge that is up without a carrier, as Docker's is where no container runs: nobody reaches its address. */
async function addIdleBridge({ netns }: LabHost): Promise<void> {
  const batch = [
    'link add idle type bridge',
    'addr add 172.17.0.1/16 dev idle',
    'link add port up master idle type veth peer far',
    'link set idle up',
  ];
  await must(['ip', '-n', netns, '-batch', '-'], { input: batch.join('\n') + '\n' });
}

interface Entry {
  readonly nickname: string;
  readonly addresses: readonly string[];
}

/** What `host` knows that another one publishes. */
async function publishedBy(other: LabHost, host: LabHost): Promise<readonly string[]> {
  const { topology } = (await callApi(host.socket, 'GET', '/report')) as { topology: readonly Entry[] };
  return topology.find(({ nickname }) => nickname === `host${other.number}`)?.addresses ?? [];
}

/** Starts the daemon with a file of host names of its own in place of /etc/hosts; returns that file. */
async function launchWithNames(host: LabHost, made: Lab, args: readonly string[]): Promise<string> {
  const names = join(made.dir, `names${host.number}`);
  writeFileSync(names, '');
  const mounted = `mount --bind ${names} /etc/hosts && exec "$@"`;
  const cli = [process.execPath, builtCli(), '--socket', host.socket, 'launch', ...host.launchFlags()];
  // Namespaces that are made later have to be seen by the daemon.
  const unshare = ['unshare', '--mount', '--propagation', 'slave', 'sh', '-c', mounted, 'sh'];
  await host.must([...unshare, ...cli, ...args], { env });
  return names;
}

async function established(host: LabHost): Promise<string[]> {
  const { connections } = (await host.status()).router;
  return connections.filter(({ state }) => state === 'established').map(({ address }) => address);
}

test('a host gets another address: traffic goes on, its peers drop the old one, and who comes later by name finds it', async (t) => {
  const made = await lab(t, 4);
  const [first, second, mover, late] = made.hosts as [LabHost, LabHost, LabHost, LabHost];
  const flags = ['--ipalloc-init', 'consensus=4'];
  await first.launch(flags, { env });
  await second.launch([...flags, first.address], { env });
  await addIdleBridge(mover);
  await mover.launch([...flags, first.address], { env });
  const names = await launchWithNames(late, made, [...flags, 'second.example']);
  await until('a name that does not resolve is told', 10_000, async () => {
    const { connections } = (await late.status()).router;
    return connections.some(({ address, error }) => {
      return address === 'second.example:6783' && error?.includes('second.example') === true;
    });
  });
  const shown = await late.mustWeave(['status', 'connections']);
  t.regex(shown, /second\.example.*host name/);
  await until('three hosts have a mesh', 30_000, async () => {
    const counts = await Promise.all([first, second, mover].map((host) => established(host)));
    return counts.every(({ length }) => length === 2);
  });
  const [a, c] = [await first.container('a'), await mover.container('c')];
  await a.reaches(c);

  await readdress(mover, '192.0.2.103');
  const traffic = await a.reaches(c, TRAFFIC_LIMIT);
  const control = await until('connections are made anew', CONTROL_LIMIT, async () => {
    const all = await Promise.all([first, second].map((host) => publishedBy(mover, host)));
    const isKnown = all.every((addresses) => addresses.join() === '192.0.2.103:6783');
    return isKnown && (await established(mover)).length === 2;
  });
  t.log(`traffic after ${Math.round(traffic)} ms, connections and addresses ${Math.round(control)} ms later`);

  // Nobody is at the first of the two addresses.
  writeFileSync(names, `192.0.2.77 second.example\n${second.address} second.example\n`);
  const d = await late.container('d');
  await d.reaches(c, 40_000);
  await until('the late host has a link to the new address', 20_000, async () => {
    const { links } = (await late.status()).router;
    return links.some(({ address, state }) => address === '192.0.2.103:6783' && state === 'up');
  });

  await must(['ip', '-n', mover.netns, 'link', 'set', 'far', 'up']);
  await until('the bridge that runs now is published, too', IDLE_FOR + CONTROL_LIMIT, async () => {
    return (await publishedBy(mover, first)).join() === '192.0.2.103:6783,172.17.0.1:6783';
  });
});

/** Puts `host` behind a NAT: a namespace with a foot in the underlay. Returns that namespace. */
async function behindNat(made: Lab, host: LabHost): Promise<string> {
  const nat = await made.namespace('nat');
  await must(['ip', '-n', made.underlay, 'link', 'del', `p${host.number}`]);
  const plumbing = [
    ['ip', '-n', made.underlay, 'link', 'add', 'pnat', 'type', 'veth', 'peer', 'outer', 'netns', nat],
    ['ip', '-n', made.underlay, 'link', 'set', 'pnat', 'master', 'br0', 'up'],
    ['ip', '-n', host.netns, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'inner', 'netns', nat],
    ['ip', '-n', nat, 'addr', 'add', '192.0.2.99/24', 'dev', 'outer'],
    ['ip', '-n', nat, 'addr', 'add', '198.51.100.1/24', 'dev', 'inner'],
    ['ip', '-n', nat, 'link', 'set', 'outer', 'up'],
    ['ip', '-n', nat, 'link', 'set', 'inner', 'up'],
    ['ip', '-n', host.netns, 'addr', 'add', '198.51.100.2/24', 'dev', 'eth0'],
    ['ip', '-n', host.netns, 'link', 'set', 'eth0', 'up'],
    ['ip', '-n', host.netns, 'route', 'add', 'default', 'via', '198.51.100.1'],
    ['ip', 'netns', 'exec', nat, 'sysctl', '-qw', 'net.ipv4.ip_forward=1'],
  ];
  for (const step of plumbing) await must(step);
  return nat;
}

/** Translates UDP to ports of this range from now on. What is under way to earlier ones is dropped. */
async function translateTo(nat: string, ports: string): Promise<void> {
  const rules = `table ip nat
delete table ip nat
table ip nat {
  chain out {
    type nat hook postrouting priority 100
    oifname outer meta l4proto udp masquerade to :${ports}
    oifname outer masquerade
  }
}
`;
  await must(['ip', 'netns', 'exec', nat, 'nft', '-f', '-'], { input: rules });
  // Exits 1 if it had nothing to forget.
  await must(['ip', 'netns', 'exec', nat, 'sh', '-c', 'conntrack -D -p udp >/dev/null 2>&1 || true']);
}

/** The port at which `host` sees the only other one on their link. */
async function portOf(host: LabHost): Promise<number> {
  const [link] = (await host.status()).router.links;
  return link?.path === 'direct' && link.state === 'up' ? Number(link.address?.split(':')[1]) : 0;
}

async function natted(t: ExecutionContext) {
  const made = await lab(t, 2);
  const [first, hidden] = made.hosts as [LabHost, LabHost];
  const nat = await behindNat(made, hidden);
  await translateTo(nat, '20000-29999');
  await first.launch([], { env });
  await hidden.launch([first.address], { env });
  await made.meshed();
  const [a, b] = [await first.container('a'), await hidden.container('b')] as [Container, Container];
  await b.reaches(a);
  return { first, nat, a, b };
}

test('a NAT that forgets what it translated costs a stream of packets some of them, whoever sends it', async (t) => {
  const { first, nat, a, b } = await natted(t);
  const before = await portOf(first);
  t.true(before >= 20_000 && before < 30_000, `port ${before}`);
  const connections = await established(first);

  const pings = new Pings(t, b, a, 0.1);
  await sleep(1_000);
  await translateTo(nat, '30000-39999');
  await until('the link follows', 10_000, async () => (await portOf(first)) >= 30_000);
  await sleep(1_000);
  const { count, faults } = await pings.result();
  t.log(`from behind the NAT: ${faults.length} of ${count} lost`);
  t.true(faults.length < 10, faults.join(', '));

  // What comes from outside cannot pass; the hidden end does not know of it before it hears nothing.
  await translateTo(nat, '40000-49999');
  const outside = await a.reaches(b, 30_000);
  t.log(`from outside: through again after ${Math.round(outside)} ms`);
  t.true((await portOf(first)) >= 40_000);
  t.deepEqual(await established(first), connections, 'the control connection was not needed');
});
