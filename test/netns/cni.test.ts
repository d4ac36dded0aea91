import test from 'ava';
import type { ExecutionContext } from 'ava';
import { Lab } from '../../scripts/lab.ts';
import { CniRuntime } from './cni-lab.ts';

let labs = 0;

async function start(t: ExecutionContext, hosts: number): Promise<{ lab: Lab; runtimes: CniRuntime[] }> {
  const lab = await Lab.create(`wtcni${process.pid}x${++labs}`, hosts);
  t.teardown(() => lab.remove());
  const runtimes: CniRuntime[] = [];
  for (const host of lab.hosts) {
    await host.launch([
      '--ipalloc-init',
      `consensus=${hosts}`,
      ...lab.hosts.slice(0, host.number - 1).map((h) => h.address),
    ]);
    runtimes.push(new CniRuntime(host));
  }
  return { lab, runtimes };
}

test('smoke', async (t) => {
  const { lab, runtimes } = await start(t, 1);
  const [one] = runtimes;
  const a = await lab.namespace('a');
  const b = await lab.namespace('b');
  const result = await one!.add('aaa', a);
  t.log(result);
  t.log(await one!.add('bbb', b));
  t.log(
    await one!.call({
      command: 'CHECK',
      containerId: 'aaa',
      netns: a,
      ifname: 'eth0',
      config: { prevResult: result },
    }),
  );
  t.log(await one!.call({ command: 'STATUS' }));
  t.log(await one!.call({ command: 'ADD', containerId: 'aaa', netns: a, ifname: 'eth0' }));
  t.log(await lab.hosts[0]!.must(['nft', 'list', 'ruleset']));
  for (let i = 0; i < 5; i++) {
    const r = await one!.call({ command: 'DEL', containerId: 'aaa', netns: a, ifname: 'eth0' });
    const r2 = await one!.call({ command: 'ADD', containerId: 'aaa', netns: a, ifname: 'eth0' });
    t.log(r.ms, r2.ms, r.stdout);
  }
  t.log(await lab.hosts[0]!.must(['ip', 'netns', 'exec', a, 'ping', '-c', '2', '10.32.0.3']));
  t.pass();
});
