import test, { type ExecutionContext } from 'ava';
import { callApi } from '../../router/api/client.ts';
import { Lab, type LabHost } from '../../scripts/lab.ts';
import { until } from '../../scripts/run.ts';

const AT_ONCE = 40;
/** A /20 without its first and its last address. */
const USABLE = 4_094;

let labs = 0;

async function lab(t: ExecutionContext, hosts: number): Promise<Lab> {
  const made = await Lab.create(`wa${process.pid}x${labs++}`, hosts);
  t.teardown(() => made.remove());
  return made;
}

/** Launches all hosts, each knowing the first, with the space shared among the first `seeds`. */
async function launchAll(hosts: readonly LabHost[], range: string, seeds: number): Promise<void> {
  const init = `seed=${hosts.slice(0, seeds).map(nameOf).join(',')}`;
  const flags = ['--ipalloc-range', range, '--ipalloc-init', init];
  for (const host of hosts) {
    const peers = host === hosts[0] ? [] : [hosts[0]!.address];
    await host.launch(['--name', nameOf(host), ...flags, ...peers]);
  }
  const views = async (): Promise<boolean> => {
    const all = await Promise.all(hosts.map((host) => host.status()));
    return all.every(({ router }) => router.peers.length === hosts.length);
  };
  await until('every host knows all', 60_000, views);
}

function nameOf({ number }: LabHost): string {
  return `02:00:00:00:00:0${number}`;
}

async function allocate(host: LabHost, id: string): Promise<string> {
  const answer = (await callApi(host.socket, 'POST', '/allocate', { id })) as { addresses: string[] };
  return answer.addresses[0]!;
}

async function release(host: LabHost, id: string): Promise<void> {
  await callApi(host.socket, 'POST', '/release', { id });
}

/** Does all `tasks`, some at once. */
async function inParallel<T>(tasks: readonly (() => Promise<T>)[]): Promise<T[]> {
  const left = tasks.toReversed();
  const results: T[] = [];
  const worker = async (): Promise<void> => {
    for (let task = left.pop(); task !== undefined; task = left.pop()) results.push(await task());
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return results;
}

test('three hosts hand out every address of a /20 once, say when none is left, and again after a release', async (t) => {
  t.timeout(5 * 60_000);
  const { hosts } = await lab(t, 3);
  await launchAll(hosts, '10.32.0.0/20', 3);
  for (const shares of [
    [3_000, 1_000, 94],
    [0, 1, 4_093],
  ]) {
    const ids = hosts.flatMap((host, i) =>
      Array.from({ length: shares[i]! }, (_, n) => ({ host, id: `${i}-${n}` })),
    );
    const addresses = await inParallel(
      ids.map(
        ({ host, id }) =>
          () =>
            allocate(host, id),
      ),
    );
    const given = new Set(addresses);
    t.is(given.size, USABLE, 'every address once');
    t.false(given.has('10.32.0.0/20') || given.has('10.32.15.255/20'));
    for (const host of hosts) {
      await t.throwsAsync(allocate(host, 'one-too-many'), { message: /^no free addresses: / });
    }
    await inParallel(
      ids.map(
        ({ host, id }) =>
          () =>
            release(host, id),
      ),
    );
  }
});
