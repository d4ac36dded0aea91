import test from 'ava';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Lab } from '../../scripts/lab.ts';
import type { LabHost } from '../../scripts/lab.ts';
import { must, run, until } from '../../scripts/run.ts';
import { CniRuntime } from '../netns/cni-lab.ts';
import { makeBusyboxImage } from './busybox-image.ts';
import { ContainerdHost, filesOf, runChain } from './containerd-host.ts';
import type { RealContainer } from './containerd-host.ts';

const HOSTS = 3;
const PER_HOST = 10;
/** Of create and delete, on each host; beyond the containers by calls of the plugin alone, which take less time. */
const CYCLES = 100;

let lab: Lab;
let hosts: ContainerdHost[] = [];
const folder = mkdtempSync(join(tmpdir(), `wtimage${process.pid}-`));

test.before(async () => {
  lab = await Lab.create(`wtreal${process.pid}`, HOSTS);
  const image = await makeBusyboxImage(folder);
  hosts = lab.hosts.map((host) => new ContainerdHost(host));
  for (const { host } of hosts) {
    const peers = lab.hosts.filter((other) => other.number < host.number).map(({ address }) => address);
    await host.launch(['--ipalloc-init', `consensus=${HOSTS}`, ...peers], { env: { WEAVE_PASSWORD: 'e2e' } });
  }
  await lab.meshed();
  for (const host of hosts) {
    await host.start(image);
    await host.installPlugin();
  }
});

test.after.always(async () => {
  for (const host of hosts) await host.stop();
  await lab?.remove();
  rmSync(folder, { recursive: true, force: true });
});

test.serial('the installation is the two programs and a configuration that chains what is there', (t) => {
  t.deepEqual(filesOf(hosts[0]!), [
    '10-weave-ts.conflist',
    'bandwidth',
    'loopback',
    'portmap',
    'weave-ts',
    'weave-ts-ipam',
  ]);
  const { cniVersion, name, plugins } = hosts[0]!.conflist();
  t.deepEqual(
    [cniVersion, name, plugins.map(({ type }) => type)],
    ['1.0.0', 'weave-ts', ['weave-ts', 'portmap', 'bandwidth']],
  );
});

const containers: RealContainer[] = [];

test.serial('thirty containers of three runtimes reach one another, all of them', async (t) => {
  t.timeout(240_000);
  await Promise.all(
    hosts.map(async (host, number) => {
      for (let i = 0; i < PER_HOST; i++) containers.push(await host.run(`h${number + 1}c${i}`, true));
    }),
  );
  const addresses = await Promise.all(containers.map((one) => one.address()));
  t.is(new Set(addresses).size, HOSTS * PER_HOST);
  const script = `for ip in ${addresses.join(' ')}; do ping -q -c 1 -W 5 $ip >/dev/null || echo "$ip lost"; done`;
  for (const { at, name } of containers) {
    const outcome = await at.exec(name, ['/bin/sh', '-c', script]);
    t.deepEqual([outcome.code, outcome.stdout], [0, ''], `${name}: ${outcome.stderr}`);
  }
});

test.serial(
  'a web server is reached by the port of its host, from another host, and no longer after two DELs',
  async (t) => {
    const [first, second] = [hosts[0]!, hosts[1]!];
    const web = await first.run('web', false);
    const capabilities = {
      portMappings: [{ hostPort: 18_080, containerPort: 80, protocol: 'tcp', hostIP: '' }],
      bandwidth: {
        ingressRate: 8_000_000,
        ingressBurst: 4_000_000,
        egressRate: 4_000_000,
        egressBurst: 4_000_000,
      },
    };
    const pod = { containerId: 'web', netns: web.netns, capabilities };
    const result = await runChain(first, 'ADD', pod);
    const check = { command: 'CHECK', containerId: 'web', netns: web.netns, ifname: 'eth0' };
    const config = { name: 'weave-ts', prevResult: result };
    t.is((await new CniRuntime(first.host).call({ ...check, config })).code, 0);
    // What goes to the pod is shaped where it leaves the host end, what comes from it on a device beside.
    t.deepEqual((await shapers(first.host)).sort(), ['4Mbit', '8Mbit']);
    await first.exec('web', [
      '/bin/sh',
      '-c',
      'echo hello from the mesh > /www/index.html; httpd -p 80 -h /www',
    ]);
    const fetch = (): Promise<{ code: number; stdout: string }> => {
      const to = `tcp:${first.host.address}:18080,connect-timeout=3`;
      return second.host.run(['socat', '-t', '3', '-', to], { input: 'GET / HTTP/1.0\r\n\r\n' });
    };
    await until('the page is served', 20_000, async () => {
      return (await fetch()).stdout.endsWith('\r\n\r\nhello from the mesh\n');
    });
    await runChain(first, 'DEL', pod, result);
    await first.remove('web');
    await runChain(first, 'DEL', { ...pod, netns: '' });
    t.deepEqual(await shapers(first.host), []);
    t.not((await fetch()).code, 0);
    t.false((await new CniRuntime(first.host).pods()).some((id) => id.includes('/web/')));
  },
);

/** Rates of the token buckets on a host. */
async function shapers(host: LabHost): Promise<string[]> {
  const queues = await host.must(['tc', 'qdisc', 'show']);
  return [...queues.matchAll(/^qdisc tbf .* rate (\w+) /gm)].map(([, rate]) => rate!);
}

test.serial('addresses of containers that the runtime forgot are released, and are used again', async (t) => {
  const [first] = hosts;
  const runtime = new CniRuntime(first!.host);
  // `ctr` sends no DEL for these.
  const gone = containers.filter(({ at }) => at === first);
  const addresses = await Promise.all(gone.map((one) => one.address()));
  for (const { name } of gone) await first!.remove(name);
  const kept = { config: { cniVersion: '1.1.0', name: 'weave-ts', 'cni.dev/valid-attachments': [] } };
  t.is((await runtime.call({ command: 'GC', ...kept })).code, 0);
  t.deepEqual(await runtime.leftovers(), []);
  const again = await first!.run('again', true);
  // Others still know the released addresses by the MACs of those that are gone.
  const [reused] = addresses;
  const netns = await lab.namespace('reuse');
  await runtime.add('reuse', netns, { args: `IP=${reused}` });
  const other = containers.find(({ at }) => at !== first)!;
  for (const address of [await again.address(), reused!]) {
    const ping = await other.at.exec(other.name, ['/bin/ping', '-q', '-c', '1', '-W', '5', address]);
    t.is(ping.code, 0, ping.stdout);
  }
  await runtime.delete('reuse', netns);
  await first!.remove('again');
  await runtime.call({ command: 'GC', ...kept });
});

test.serial('three hundred pods come and go, and nothing leaks', async (t) => {
  t.timeout(240_000);
  const kept = { config: { cniVersion: '1.1.0', name: 'weave-ts', 'cni.dev/valid-attachments': [] } };
  for (const { at, name } of containers.filter(({ at }) => at !== hosts[0])) await at.remove(name);
  await Promise.all(
    lab.hosts.map(async (host) => {
      const runtime = new CniRuntime(host);
      await runtime.call({ command: 'GC', ...kept });
      const netns = await lab.namespace(`cycle${host.number}`);
      for (let i = 0; i < CYCLES; i++) {
        await runtime.add(`pod${i}`, netns);
        await runtime.delete(`pod${i}`, netns);
      }
      t.deepEqual(await runtime.leftovers(), []);
      const inner = await run(['ip', '-n', netns, '-o', 'link', 'show', 'type', 'veth']);
      t.is(inner.stdout, '');
    }),
  );
  t.is((await must(['ip', 'netns', 'list'])).includes('cni-'), false);
});
