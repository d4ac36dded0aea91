import test from 'ava';
import type { ExecutionContext } from 'ava';
import { readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { Lab } from '../../scripts/lab.ts';
import { must, until } from '../../scripts/run.ts';
import { CniRuntime } from './cni-lab.ts';
import type { CniOutcome } from './cni-lab.ts';

let labs = 0;

/** One host, and so many namespaces for pods. */
async function launched(
  t: ExecutionContext,
  pods: number,
): Promise<{ runtime: CniRuntime; names: string[] }> {
  const lab = await Lab.create(`wtload${process.pid}x${++labs}`, 1);
  t.teardown(() => lab.remove());
  await lab.hosts[0]!.launch([]);
  const names = Array.from({ length: pods }, (_, i) => `${lab.prefix}-p${i}`);
  await must(['ip', '-batch', '-'], { input: names.map((name) => `netns add ${name}\n`).join('') });
  return { runtime: new CniRuntime(lab.hosts[0]!), names };
}

/** Less than a tenth of one CPU within a fifth of a second, as ticks of 10 ms. */
const IDLE_TICKS = 2;
const WINDOW_MS = 200;

/** Resolves to whether a process did next to nothing for a while. */
async function isIdle(pid: number): Promise<boolean> {
  const before = cpuTicks(pid);
  await setTimeout(WINDOW_MS);
  return cpuTicks(pid) - before <= IDLE_TICKS;
}

function cpuTicks(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return Number(fields[11]) + Number(fields[12]);
}

test('row 6: fifty ADDs at once all succeed, with addresses of their own, and the host is idle again', async (t) => {
  const { runtime, names } = await launched(t, 50);
  const pid = (await runtime.host.pid())!;
  const results = await Promise.all(names.map((name) => runtime.add(name, name)));
  const began = performance.now();
  // Ten times as long as it may take.
  await until('the daemon is idle', 30_000, () => isIdle(pid));
  t.log(`idle ${Math.round(performance.now() - began - WINDOW_MS)} ms after the last answer`);
  t.is(new Set(results.map(({ ips }) => ips![0]!.address)).size, names.length);
  t.is(new Set(results.map(({ interfaces }) => interfaces![2]!.mac)).size, names.length);
  const checks = await Promise.all(
    names.map((name, i) => {
      const config = { prevResult: results[i] };
      return runtime.call({ command: 'CHECK', containerId: name, netns: name, ifname: 'eth0', config });
    }),
  );
  t.deepEqual(
    checks.filter(({ code }) => code !== 0),
    [],
  );
  await Promise.all(names.map((name) => runtime.delete(name, name)));
  t.deepEqual(await runtime.leftovers(), []);
});

test('a daemon that is killed in the midst of a hundred ADDs and DELs loses and leaks nothing', async (t) => {
  const { runtime, names } = await launched(t, 100);
  const call = (command: string, name: string): Promise<CniOutcome> =>
    runtime.call({ command, containerId: name, netns: name, ifname: 'eth0' });
  const early = names.slice(0, 50);
  for (let i = 0; i < early.length; i += 10) {
    await Promise.all(early.slice(i, i + 10).map((name) => runtime.add(name, name)));
  }
  const late = names.slice(50);
  const begun = Promise.all([
    ...late.map((name) => call('ADD', name)),
    ...early.map((name) => call('DEL', name)),
  ]);
  await runtime.host.kill();
  await runtime.host.launch([]);
  const outcomes = await begun;
  t.deepEqual(
    outcomes.slice(late.length).filter(({ code }) => code !== 0),
    [],
    'every DEL succeeds',
  );
  const added = late.filter((_, i) => outcomes[i]!.code === 0);
  for (const [i, name] of late.entries()) {
    if (outcomes[i]!.code === 0) continue;
    t.is(outcomes[i]!.json?.code, 11, outcomes[i]!.stdout);
    // What a runtime does after a failure: clean up, and try again.
    await runtime.delete(name, name);
    await runtime.add(name, name);
  }
  t.deepEqual((await runtime.pods()).sort(), late.map((name) => `cni:mesh/${name}/eth0`).sort());
  for (const [i, name] of late.entries()) {
    if (!added.includes(name)) continue;
    const config = { prevResult: outcomes[i]!.json };
    const check = { command: 'CHECK', containerId: name, netns: name, ifname: 'eth0', config };
    t.is((await runtime.call(check)).code, 0);
  }
  for (let i = 0; i < late.length; i += 10) {
    await Promise.all(late.slice(i, i + 10).map((name) => runtime.delete(name, name)));
  }
  t.deepEqual(await runtime.leftovers(), []);
});
