import { readFileSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import type { RemovedPeer } from '../../ipam/effects.ts';
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

/** Launches all hosts, each knowing the first, with the space shared among them. */
async function launchAll(hosts: readonly LabHost[], range: string): Promise<void> {
  for (const host of hosts) await host.launch(flagsOf(host, hosts, range));
  const views = async (): Promise<boolean> => {
    const all = await Promise.all(hosts.map((host) => host.status()));
    return all.every(({ router }) => router.peers.length === hosts.length);
  };
  await until('every host knows all', 60_000, views);
}

function flagsOf(host: LabHost, hosts: readonly LabHost[], range: string): string[] {
  const space = ['--ipalloc-range', range, '--ipalloc-init', `seed=${hosts.map(nameOf).join(',')}`];
  return ['--name', nameOf(host), ...space, ...(host === hosts[0] ? [] : [hosts[0]!.address])];
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
  await launchAll(hosts, '10.32.0.0/20');
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

/** Who owns how many addresses, as one host sees it. */
async function owners(host: LabHost): Promise<string[]> {
  const { owned } = (await host.status()).ipam;
  return owned.map(
    ({ name, addresses, reachable }) => `${name} ${addresses}${reachable ? '' : ' unreachable'}`,
  );
}

function rmpeerNow(host: LabHost, peer: string): Promise<{ removed: RemovedPeer[] }> {
  const body = { peers: [peer], now: true, strict: false };
  return callApi(host.socket, 'POST', '/rmpeer', body) as Promise<{ removed: RemovedPeer[] }>;
}

/** Hands out addresses on all hosts in turn until none has one left; address to where it is held. */
async function allocateAll(hosts: readonly LabHost[]): Promise<Map<string, { host: LabHost; id: string }>> {
  const held = new Map<string, { host: LabHost; id: string }>();
  let left = hosts.map((host, i) => ({ host, id: `${i}-` }));
  for (let n = 0; left.length > 0; n++) {
    const tries = await Promise.all(
      left.map(async ({ host, id }) => {
        const address = await allocate(host, `${id}${n}`).catch((error: unknown) => error as Error);
        return { host, id, address };
      }),
    );
    for (const { host, id, address } of tries) {
      if (address instanceof Error && !address.message.startsWith('no free addresses')) throw address;
      if (typeof address !== 'string') continue;
      if (held.has(address)) throw new Error(`${address} was handed out twice`);
      held.set(address, { host, id: `${id}${n}` });
    }
    left = tries.filter(({ address }) => typeof address === 'string');
  }
  return held;
}

test('of five hosts one dies and is removed on two at once: each address has one owner, all are usable, and back from the dead it claims what it uses', async (t) => {
  t.timeout(5 * 60_000);
  const { hosts } = await lab(t, 5);
  const range = '10.32.0.0/24';
  await launchAll(hosts, range);
  const [a, b, c, , dead] = hosts as [LabHost, LabHost, LabHost, LabHost, LabHost];
  const left = hosts.filter((host) => host !== dead);
  const [web, db] = [await dead.container('web'), await dead.container('db')];
  const client = await c.container('client');
  await web.reaches(client);
  await dead.kill();
  for (const host of left) {
    await until(`the dead host is out of reach of ${host.netns}`, 60_000, async () =>
      (await owners(host)).some((line) => line.endsWith('unreachable')),
    );
  }

  const answers = await Promise.all([rmpeerNow(a, nameOf(dead)), rmpeerNow(b, nameOf(dead))]);
  const taken = answers.map(({ removed: [one] }) => one!.addresses);
  t.true(Math.max(...taken) >= 32, `${taken.join(' and ')} addresses taken over`);
  await until('all see one owner of each address', 30_000, async () => {
    const [first, ...others] = await Promise.all(left.map(owners));
    const isOne = others.every((view) => view.join() === first!.join());
    const sum = first!.reduce((total, line) => total + Number(line.split(' ')[1]), 0);
    const quarantine = (await Promise.all(left.map((host) => host.status()))).flatMap(
      ({ ipam }) => ipam.quarantine,
    );
    return isOne && sum === 256 && !first!.join().includes(nameOf(dead)) && quarantine.length === 0;
  });
  t.is(await a.mustWeave(['ipam', 'check']), '4 of 4 nodes answered: nothing is wrong');

  // All but the network address, the broadcast address and that of the client.
  const held = await allocateAll(left);
  t.is(held.size, 253);
  const inUse = held.get(web.cidr)!;
  for (const [address, { host, id }] of held) if (address !== web.cidr) await release(host, id);

  await dead.launch(flagsOf(dead, hosts, range));
  const log = (): string => readFileSync(dead.socket.replace(/\.sock$/, '.log'), 'utf8');
  await until('it is told', 30_000, () =>
    Promise.resolve(log().includes('addresses that are in use here belong to another peer')),
  );
  const conflict = { address: web.address, user: nameOf(dead), owner: nameOf(inUse.host) };
  for (const host of [dead, inUse.host]) {
    await until('it has what nobody else uses, and both report the other address', 30_000, async () => {
      const { conflicts } = (await host.status()).ipam;
      return conflicts.length === 1 && conflicts[0]!.address === conflict.address;
    });
    t.like((await host.status()).ipam.conflicts[0], conflict);
  }
  await db.reaches(client);
  await client.reaches(db);
  await release(inUse.host, inUse.id);
  await until('it owns both', 90_000, async () => {
    const { conflicts } = (await dead.status()).ipam;
    return conflicts.length === 0 && (await owners(a)).includes(`${nameOf(dead)} 2`);
  });
  await web.reaches(client);
  t.is(await dead.mustWeave(['ipam', 'check']), '5 of 5 nodes answered: nothing is wrong');
  const fresh = await allocate(dead, 'fresh');
  t.false([web.cidr, db.cidr, client.cidr].includes(fresh));
});
