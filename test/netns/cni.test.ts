import test from 'ava';
import type { ExecutionContext } from 'ava';
import { copyFileSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Lab } from '../../scripts/lab.ts';
import { must, run, start as spawned, until } from '../../scripts/run.ts';
import { CONTROL_PORT_COUNTER } from '../../plugin/host/nftables.ts';
import { GUARD_COUNTERS } from '../../plugin/host/port-guard.ts';
import { CniRuntime, SHIM } from './cni-lab.ts';
import type { CniJson } from './cni-lab.ts';
import { arp, ethernet, icmp6, ipv4, linkLocal, neighbourProbe, sendFrame } from './forged-frames.ts';
import type { Sender } from './forged-frames.ts';

/** Debian: containernetworking-plugins. */
const BRIDGE_PLUGIN = '/usr/lib/cni/bridge';
const BRIDGE_NETWORK = {
  cniVersion: '1.0.0',
  name: 'foreign',
  type: 'bridge',
  bridge: 'foreign0',
  isGateway: true,
};

let labs = 0;

async function launched(t: ExecutionContext): Promise<{ lab: Lab; runtime: CniRuntime }> {
  const lab = await Lab.create(`wtcni${process.pid}x${++labs}`, 1);
  t.teardown(() => lab.remove());
  await lab.hosts[0]!.launch([]);
  return { lab, runtime: new CniRuntime(lab.hosts[0]!) };
}

function inside(netns: string, argv: readonly string[]): Promise<string> {
  return must(['ip', 'netns', 'exec', netns, ...argv]);
}

/** What `filter` lets through of what arrives at eth0, until `mark` is among it. */
async function sniff(
  t: ExecutionContext,
  netns: string,
  filter: string,
): Promise<(mark: RegExp) => Promise<string>> {
  const child = spawned(['ip', 'netns', 'exec', netns, 'tcpdump', '-l', '-n', '-e', '-i', 'eth0', filter]);
  t.teardown(() => child.kill());
  let seen = '';
  let said = '';
  child.stdout!.on('data', (chunk) => (seen += String(chunk)));
  child.stderr!.on('data', (chunk) => (said += String(chunk)));
  await until('tcpdump listens', 20_000, () => Promise.resolve(said.includes('listening on')));
  return async (mark) => {
    await until(`${String(mark)} is seen`, 20_000, () => Promise.resolve(mark.test(seen)));
    return seen;
  };
}

test('a pod is added, checked, reached, restarted around and deleted; nothing is left', async (t) => {
  const { lab, runtime } = await launched(t);
  const { host } = runtime;
  const [a, b] = [await lab.namespace('a'), await lab.namespace('b')];
  const first = await runtime.add('aaa', a, { config: { mtu: 1300, hairpinMode: true } });
  const second = await runtime.add('bbb', b);
  const port = first.interfaces![1]!.name;
  t.regex(await host.must(['ip', '-d', 'link', 'show', port]), /mtu 1300 .* hairpin on /s);
  t.regex(
    await host.must(['ip', 'link', 'show', port]),
    new RegExp(`link/ether ${first.interfaces![1]!.mac} `),
  );
  t.is(
    (await inside(a, ['ip', 'route', 'show', 'default'])).trim(),
    `default via ${first.ips![0]!.gateway} dev eth0`,
  );
  const address = second.ips![0]!.address.split('/')[0]!;
  t.regex(await inside(a, ['ping', '-c', '1', '-W', '2', address]), /1 received/);
  const check = {
    command: 'CHECK',
    containerId: 'aaa',
    netns: a,
    ifname: 'eth0',
    config: { prevResult: first },
  };
  t.is((await runtime.call(check)).code, 0);
  t.like((await runtime.call({ ...check, command: 'ADD' })).json, { code: 101 });
  await host.kill();
  await host.launch([]);
  t.is((await runtime.call(check)).code, 0);
  await inside(a, ['ip', 'route', 'delete', 'default']);
  t.like((await runtime.call(check)).json, { code: 103 });
  await runtime.delete('aaa', a);
  await runtime.delete('aaa', '');
  await runtime.delete('bbb', b);
  t.deepEqual(await runtime.leftovers(), []);
});

test('a route that cannot be set undoes the whole ADD', async (t) => {
  const { lab, runtime } = await launched(t);
  const a = await lab.namespace('a');
  const ipam = { routes: [{ dst: '10.9.0.0/16' }, { dst: '10.9.0.0/16' }] };
  const outcome = await runtime.call({
    command: 'ADD',
    containerId: 'a',
    netns: a,
    ifname: 'eth0',
    config: { ipam },
  });
  t.like(outcome.json, { code: 100, msg: 'it already has a route to 10.9.0.0/16: leave that one out' });
  t.deepEqual(await runtime.leftovers(), []);
  t.is((await runtime.add('a', a)).ips![0]!.gateway, '10.32.0.2');
});

test('a DEL without a daemon takes effect at the next start, and GC and the start release what is gone', async (t) => {
  const { lab, runtime } = await launched(t);
  const { host } = runtime;
  for (const name of ['a', 'b', 'c']) await runtime.add(name, await lab.namespace(name));
  await host.kill();
  await runtime.delete('a', `${lab.prefix}-a`);
  await host.launch([]);
  await runtime.add('d', await lab.namespace('d'));
  t.deepEqual((await runtime.pods()).sort(), ['cni:mesh/b/eth0', 'cni:mesh/c/eth0', 'cni:mesh/d/eth0']);
  const valid = [{ containerID: 'd', ifname: 'eth0' }];
  const collected = await runtime.call({ command: 'GC', config: { 'cni.dev/valid-attachments': valid } });
  t.is(collected.code, 0);
  t.deepEqual(await runtime.pods(), ['cni:mesh/d/eth0']);
  await runtime.delete('d');
  t.deepEqual(await runtime.leftovers(), []);
});

/** What a pod sends, and the counter by which it is stopped. */
const FORGED: readonly (readonly [what: string, counter: string, frame: (pod: Sender) => string])[] = [
  [
    'a frame with the MAC of another',
    'forged_mac',
    (pod) => ethernet('02:00:00:00:00:99', '0800') + ipv4(pod.ip, pod.otherIp),
  ],
  [
    'a packet with the address of another',
    'forged_address',
    (pod) => ethernet(pod.mac, '0800') + ipv4('10.32.99.99', pod.otherIp),
  ],
  [
    'an ARP answer for another address',
    'forged_address',
    (pod) => ethernet(pod.mac, '0806') + arp(pod.mac, '10.32.99.99'),
  ],
  [
    'an ARP answer with the MAC of another',
    'forged_mac',
    (pod) => ethernet(pod.mac, '0806') + arp('02:00:00:00:00:99', pod.ip),
  ],
  ['a router advertisement', 'router_advertisement', (pod) => ethernet(pod.mac, '86dd') + icmp6(pod, '86')],
  [
    'a neighbour advertisement for another',
    'forged_address',
    (pod) => ethernet(pod.mac, '86dd') + icmp6(pod, '88'),
  ],
  [
    'the answer of a DHCP server',
    'dhcp_answer',
    (pod) => ethernet(pod.mac, '0800') + ipv4(pod.ip, '255.255.255.255', '11', '0043004400080000'),
  ],
  [
    'a spanning tree message',
    'spanning_tree',
    (pod) => ethernet(pod.mac, '0027', '0180c2000000') + '424203' + '00'.repeat(40),
  ],
  [
    'the address of another under a VLAN tag',
    'forged_address',
    (pod) => ethernet(pod.mac, '8100') + '00010800' + ipv4('10.32.99.99', pod.otherIp),
  ],
  [
    'an ARP probe for the address of another',
    'forged_address',
    (pod) => ethernet(pod.mac, '0806') + arp(pod.mac, pod.otherIp, '0.0.0.0'),
  ],
  [
    'a probe for the IPv6 address of another',
    'forged_address',
    (pod) => ethernet(pod.mac, '86dd') + neighbourProbe(pod, 'fe800000000000000000000000000099'),
  ],
  ['a frame of another protocol', 'other_protocol', (pod) => ethernet(pod.mac, '88cc') + '00'.repeat(46)],
];

test('what a pod forges is stopped and counted, with the daemon and without', async (t) => {
  const { lab, runtime } = await launched(t);
  const { host } = runtime;
  const [a, b] = [await lab.namespace('a'), await lab.namespace('b')];
  const first = await runtime.add('aaa', a);
  const second = await runtime.add('bbb', b);
  const ipOf = (result: typeof first): string => result.ips![0]!.address.split('/')[0]!;
  const pod = { mac: first.interfaces![2]!.mac!, ip: ipOf(first), otherIp: ipOf(second) };
  for (const alive of [true, false]) {
    if (!alive) await host.kill();
    const untilSeen = await sniff(t, b, `ether host ${pod.mac} or ether host 02:00:00:00:00:99`);
    for (const [what, counter, frame] of FORGED) {
      const before = await runtime.counter(counter);
      await sendFrame(a, 'eth0', frame(pod));
      t.is((await runtime.counter(counter)) - before, 1, `${what}, daemon ${alive ? 'there' : 'gone'}`);
    }
    await sendFrame(a, 'eth0', ethernet(pod.mac, '0800') + ipv4(pod.ip, pod.otherIp, 'fd'));
    const seen = await untilSeen(/ip-proto-253|proto 253|unknown.*253/i);
    t.false(
      /ARP|VLAN|vlan|router adv|tgt is fe80::99|STP|BOOTP|10\.32\.99\.99|02:00:00:00:00:99/.test(seen),
      seen,
    );
    const before = await runtime.counter('forged_address');
    await sendFrame(a, 'eth0', ethernet(pod.mac, '0806') + arp(pod.mac, pod.ip, '0.0.0.0'));
    await sendFrame(a, 'eth0', ethernet(pod.mac, '86dd') + neighbourProbe(pod, linkLocal(pod.mac)));
    t.is((await runtime.counter('forged_address')) - before, 0, 'what probes for its own addresses');
  }
});

test('status and report tell how often a pod was stopped', async (t) => {
  const { lab, runtime } = await launched(t);
  const { host } = runtime;
  const a = await lab.namespace('a');
  const { interfaces } = await runtime.add('aaa', a);
  t.is((await host.status()).stopped['forged_mac'], 0);
  const forged = ethernet('02:00:00:00:00:99', '0800') + ipv4('10.32.0.1', '10.32.0.2');
  for (let i = 0; i < 3; i++) await sendFrame(a, 'eth0', forged);
  await sendFrame(a, 'eth0', ethernet(interfaces![2]!.mac!, '88cc') + '00'.repeat(46));
  const { stopped } = await host.status();
  t.deepEqual(Object.keys(stopped).sort(), [...GUARD_COUNTERS, CONTROL_PORT_COUNTER].sort());
  t.like(stopped, { forged_mac: 3, other_protocol: 1, forged_address: 0 });
  t.regex(await host.mustWeave(['status']), /Stopped: forged_mac 3, other_protocol 1\n/);
  t.deepEqual((JSON.parse(await host.mustWeave(['report'])) as { stopped: object }).stopped, stopped);
});

test('row 31, 32: under the bridge plugin of Debian, weave-ts-ipam gives addresses, checks them and takes them back', async (t) => {
  const { lab, runtime } = await launched(t);
  const { host } = runtime;
  const a = await lab.namespace('a');
  const folder = mkdtempSync(join(tmpdir(), 'weave-delegate-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  copyFileSync(SHIM, join(folder, 'weave-ts-ipam'));
  const ipam = { type: 'weave-ts-ipam', gateway: '10.32.255.254', routes: [{ dst: '0.0.0.0/0' }] };
  const config = { ...BRIDGE_NETWORK, socket: host.socket, ipam };
  const call = (command: string, netns: string, more: object = {}) =>
    host.run([BRIDGE_PLUGIN], {
      input: JSON.stringify({ ...config, ...more }),
      env: {
        CNI_COMMAND: command,
        CNI_CONTAINERID: 'aaa',
        CNI_NETNS: netns,
        CNI_IFNAME: 'eth0',
        CNI_PATH: `${folder}:${dirname(BRIDGE_PLUGIN)}`,
      },
    });
  const path = `/run/netns/${a}`;
  const added = await call('ADD', path);
  t.is(added.code, 0, added.stdout);
  const prevResult = JSON.parse(added.stdout) as CniJson;
  t.deepEqual(
    prevResult.ips!.map(({ address, gateway }) => [address, gateway]),
    [['10.32.0.1/12', '10.32.255.254']],
  );
  t.deepEqual(await runtime.pods(), ['cni-ipam:foreign/aaa/eth0']);
  t.regex(await inside(a, ['ping', '-c', '1', '-W', '5', '10.32.255.254']), /1 received/);
  t.is((await call('CHECK', path, { prevResult })).code, 0);
  await host.mustWeave(['detach', 'cni-ipam:foreign/aaa/eth0']);
  const lost = await call('CHECK', path, { prevResult });
  t.is(lost.code, 1, 'what the delegate says is passed up');
  t.like(JSON.parse(lost.stdout), { code: 103 });
  for (const netns of [path, '']) t.is((await call('DEL', netns, { prevResult })).code, 0);
  t.deepEqual(await runtime.pods(), []);
});

test('installed without a compiler, the plugin serves pods all the same', async (t) => {
  const { lab, runtime } = await launched(t);
  const folder = mkdtempSync(join(tmpdir(), 'weave-node-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const [bin, conf] = [join(folder, 'bin'), join(folder, 'net.d')];
  const installed = await runtime.host.weave([
    'cni',
    'install',
    '--node',
    '--bin-dir',
    bin,
    '--conf-dir',
    conf,
  ]);
  t.is(installed.code, 0, installed.stderr);
  t.regex(
    installed.stderr,
    /^weave-ts: installed weave-ts and weave-ts-ipam in .*conflist is there as soon as/,
  );
  const conflist = join(conf, '10-weave-ts.conflist');
  await until('the configuration is there', 30_000, () => Promise.resolve(existsSync(conflist)));
  t.deepEqual(readdirSync(bin).sort(), ['weave-ts', 'weave-ts-ipam']);
  const a = await lab.namespace('a');
  const program = join(bin, 'weave-ts');
  const { ips } = await runtime.add('aaa', a, { program });
  t.regex(await inside(a, ['ping', '-c', '1', '-W', '5', ips![0]!.gateway!]), /1 received/);
  await runtime.delete('aaa', a, { program });
  const lease = await runtime.add('bbb', a, { program: join(bin, 'weave-ts-ipam') });
  t.is(lease.interfaces, undefined);
  t.deepEqual(await runtime.pods(), ['cni-ipam:mesh/bbb/eth0']);
  await runtime.delete('bbb', a, { program: join(bin, 'weave-ts-ipam') });
  t.deepEqual(await runtime.leftovers(), []);
});

test('a pod cannot draw the frames of another to its port by frames that end at the bridge', async (t) => {
  const { lab, runtime } = await launched(t);
  const { host } = runtime;
  const [a, b] = [await lab.namespace('a'), await lab.namespace('b')];
  await runtime.add('aaa', a);
  const second = await runtime.add('bbb', b);
  const [mac, address] = [second.interfaces![2]!.mac!, second.ips![0]!.address.split('/')[0]!];
  const reaches = (): Promise<string> => host.must(['ping', '-c', '1', '-W', '5', address]);
  await reaches();
  for (const last of ['02', '0e', '0f']) {
    await sendFrame(a, 'eth0', ethernet(mac, '88cc', `0180c20000${last}`) + '00'.repeat(46));
    const learnt = await host.must(['bridge', 'fdb', 'show', 'br', 'weave']);
    const [, port] = new RegExp(`^${mac} dev (\\w+) `, 'm').exec(learnt) ?? [];
    t.is(port, second.interfaces![1]!.name, `01:80:c2:00:00:${last}`);
    t.regex(await reaches(), /1 received/);
  }
});

test('a pod reaches neither the control port of its host nor, through it, that of another', async (t) => {
  const { lab, runtime } = await launched(t);
  const { host } = runtime;
  const a = await lab.namespace('a');
  const { ips } = await runtime.add('aaa', a);
  const dial = async (address: string): Promise<number> => {
    const to = `tcp:${address}:6783,connect-timeout=1`;
    return (await run(['ip', 'netns', 'exec', a, 'socat', '-T', '1', '/dev/null', to])).code;
  };
  for (const address of [ips![0]!.gateway!, host.address, '192.0.2.77']) {
    const before = await runtime.counter('control_port', 'inet');
    t.not(await dial(address), 0);
    t.true((await runtime.counter('control_port', 'inet')) > before, address);
  }
});
