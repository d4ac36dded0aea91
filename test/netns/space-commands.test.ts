import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Lab, type LabHost } from '../../scripts/lab.ts';
import { must, run, until } from '../../scripts/run.ts';
import { openLmdbStore } from '../../ipam/lmdb-store.ts';
import { callApi } from '../../router/api/client.ts';

let labs = 0;

/** Hosts that are connected and have agreed on a ring of a /24. */
async function mesh(t: ExecutionContext, count: number): Promise<[Lab, ...LabHost[]]> {
  const made = await Lab.create(`ws${process.pid}x${labs++}`, count);
  t.teardown(() => made.remove());
  const [first, ...others] = made.hosts;
  const range = ['--ipalloc-range', '10.32.0.0/24', '--ipalloc-init', `consensus=${count}`];
  await first!.launch(range);
  for (const host of others) await host.launch([...range, first!.address]);
  await first!.mustWeave(['prime']);
  for (const host of made.hosts) await host.mustWeave(['prime']);
  return [made, ...made.hosts];
}

async function nameOf(host: LabHost): Promise<string> {
  return (await host.status()).router.name;
}

async function unreachable(host: LabHost, name: string): Promise<void> {
  await until(`${name} out of reach`, 60_000, async () => {
    const { owned } = (await host.status()).ipam;
    return owned.some((line) => line.name === name && !line.reachable);
  });
}

test('at night with a host gone: rmpeer says what it refuses, what it took and when that is free', async (t) => {
  const [, a, b, c] = await mesh(t, 3);
  const [nameA, nameC] = [await nameOf(a!), await nameOf(c!)];
  await c!.mustWeave(['allocate', 'web']);
  for (const [args, code, pattern] of [
    [['rmpeer'], 2, /missing required argument 'peer'/],
    [['rmpeer', 'nobody'], 1, /no peer is called "nobody": weave-ts status ipam lists the owners/],
    [['rmpeer', 'host1'], 1, /"host1" is this host: use reset/],
    [['rmpeer', nameA], 1, /is this host: use reset/],
    [['rmpeer', 'host3'], 1, /host3 \(.*\) is in reach: stop it there first, or run reset there/],
    [['rmpeer', 'host3', 'nobody'], 1, /./],
    [['rmpeer', 'host3', '--frobnicate'], 2, /unknown option/],
    [['ipam', 'frobnicate'], 2, /frobnicate/],
    [['reset', 'now'], 2, /too many arguments|argument/],
  ] as const) {
    const outcome = await a!.weave(args);
    t.is(outcome.code, code, `${args.join(' ')}: ${outcome.stderr}`);
    t.regex(outcome.stderr, pattern, args.join(' '));
    t.is(outcome.stderr.trimEnd().split('\n').length, 1, outcome.stderr);
  }
  t.regex(await a!.mustWeave(['ipam', 'check']), /^3 of 3 nodes answered: nothing is wrong$/);
  await c!.kill();
  await unreachable(a!, nameC);
  t.regex(await a!.mustWeave(['status', 'ipam']), /host3 \(.*\) +\d+ addresses .* unreachable/);
  const check = await a!.weave(['ipam', 'check']);
  t.is(check.code, 1);
  t.regex(
    check.stdout,
    /problem: \d+ addresses belong to host3 .*\n +do: if it will not come back: weave-ts rmpeer /,
  );
  const took = await a!.weave(['rmpeer', 'host3']);
  t.is(took.code, 0, took.stderr);
  t.regex(
    took.stdout,
    /^\d+ addresses taken over from host3 \(.*\), free in 10 min, once 1 peer has acknowledged it\n$/,
  );
  t.regex(
    await a!.mustWeave(['status', 'ipam']),
    /Quarantine: +\d+ addresses taken over from host3 .*free in \d+ s/,
  );
  t.regex(await a!.mustWeave(['rmpeer', 'host3']), /host3 \(.*\) owns no addresses that could be taken over/);
  const [again] = JSON.parse(await a!.mustWeave(['rmpeer', nameC, '--now', '--json'])) as {
    addresses: number;
  }[];
  t.is(again!.addresses, 0);
  await c!.launch(['--ipalloc-range', '10.32.0.0/24', a!.address]);
  await until('what host3 uses is its own again', 60_000, async () => {
    const { owned, conflicts } = (await b!.status()).ipam;
    const { conflicts: own } = (await c!.status()).ipam;
    const back = owned.some((line) => line.name === nameC && line.addresses === 1 && line.reachable);
    return back && conflicts.length === 0 && own.length === 0;
  });
});

test('with rmpeer --now the addresses of a dead host are used at once', async (t) => {
  const [, a, b] = await mesh(t, 2);
  const nameB = await nameOf(b!);
  await b!.kill();
  await unreachable(a!, nameB);
  t.regex(
    await a!.mustWeave(['rmpeer', nameB, '--now']),
    /^128 addresses taken over from host2 \(.*\), free at once$/,
  );
  t.is(await a!.mustWeave(['claim', 'x', '10.32.0.200/24']), '10.32.0.200/24');
});

test('reset takes everything off, hands all to another host, and without one says what to do', async (t) => {
  const [, a, b] = await mesh(t, 2);
  await a!.container('web');
  await a!.mustWeave(['allocate', 'x']);
  t.regex(
    await a!.mustWeave(['reset']),
    /^2 addresses released; 128 addresses handed to host2 \([0-9a-f:]+\)$/,
  );
  t.is(await a!.mustWeave(['ps']), '');
  const { owned } = (await b!.status()).ipam;
  t.deepEqual(
    owned.map(({ nickname, addresses }) => [nickname, addresses]),
    [['host2', 256]],
  );
  await a!.mustWeave(['stop', '--clean']);
  await until('host1 is out of reach', 60_000, async () => (await b!.status()).router.peers.length === 1);
  const alone = await b!.weave(['reset']);
  t.is(alone.code, 1);
  t.regex(alone.stderr, /no other peer of this cluster is in reach to take the 256 addresses of this host/);
  t.regex(await b!.mustWeave(['reset', '--force']), /^0 addresses released; 256 addresses given up$/);
  t.is((await b!.status()).ipam.status, 'idle');
});

test('without a daemon the commands of the address space exit 3', async (t) => {
  const made = await Lab.create(`ws${process.pid}x${labs++}`, 1);
  t.teardown(() => made.remove());
  for (const args of [['rmpeer', 'host2'], ['reset'], ['reset', '--force'], ['ipam', 'check']]) {
    const outcome = await made.hosts[0]!.weave(args);
    t.is(outcome.code, 3, args.join(' '));
    t.regex(outcome.stderr, /no daemon answers on/);
  }
});

test('a full disk refuses what needs it and names the file; the daemon goes on', async (t) => {
  const made = await Lab.create(`ws${process.pid}x${labs++}`, 1);
  t.teardown(() => made.remove());
  const [a] = made.hosts;
  const state = join(a!.dir, 'state');
  mkdirSync(state, { recursive: true });
  await must(['mount', '-t', 'tmpfs', '-o', 'size=2m,mode=700', 'tmpfs', state]);
  t.teardown(() => must(['umount', '-l', state]));
  await a!.launch([]);
  await a!.mustWeave(['allocate', 'before']);
  await run(['dd', 'if=/dev/zero', `of=${join(state, 'filler')}`, 'bs=4k']);
  const refused = await firstRefusal(a!);
  t.regex(refused, /not recorded: cannot write .*store\.mdb: .*(space|ENOSPC)/i);
  t.is((await a!.status()).ipam.status, 'ready');
  rmSync(join(state, 'filler'));
  await until('addresses are handed out again', 20_000, async () => {
    return (await a!.weave(['allocate', 'after'])).code === 0;
  });
  t.is(await a!.mustWeave(['allocate', 'before']), '10.32.0.1/12');
});

/** Allocates until the disk has no more room. */
async function firstRefusal(host: LabHost): Promise<string> {
  for (let i = 0; i < 5_000; i++) {
    try {
      await callApi(host.socket, 'POST', '/allocate', { id: `${'x'.repeat(200)}${i}` });
    } catch (error) {
      return (error as Error).message;
    }
  }
  return 'none was refused';
}

test('launch refuses a store that is cut off, empty or unreadable inside, naming it and how to go on', async (t) => {
  const made = await Lab.create(`ws${process.pid}x${labs++}`, 1);
  t.teardown(() => made.remove());
  const host = made.hosts[0]!;
  await host.launch(['--ipalloc-range', '10.32.0.0/24', '--ipalloc-init', 'consensus=1']);
  for (let i = 0; i < 40; i++)
    await callApi(host.socket, 'POST', '/allocate', { id: `id-${i}-${'x'.repeat(200)}` });
  await host.mustWeave(['stop']);
  const directory = join(host.dir, 'state');
  const file = join(directory, 'store.mdb');
  const whole = readFileSync(file);
  const refused = async (what: string, pattern: RegExp): Promise<void> => {
    const outcome = await host.weave(['launch', ...host.launchFlags(), '--ipalloc-range', '10.32.0.0/24']);
    t.is(outcome.code, 1, `${what}: ${outcome.stderr}`);
    t.true(outcome.stderr.startsWith(`weave-ts: ${file} is damaged: `), `${what}: ${outcome.stderr}`);
    t.regex(outcome.stderr, pattern, what);
    t.regex(outcome.stderr, /move .*state away, launch, and weave-ts rmpeer the old name/);
    t.is(outcome.stderr.trimEnd().split('\n').length, 1, outcome.stderr);
  };
  for (const length of [0, 100, 4_096, 8_192, 12_288, whole.length >> 1]) {
    writeFileSync(file, whole.subarray(0, length));
    await refused(`${length} of ${whole.length} bytes`, length === 0 ? /it is empty/ : /it ends after/);
  }
  writeFileSync(file, whole);
  const store = openLmdbStore(directory);
  await store.commit([{ key: 'ipam/ring', value: Uint8Array.of(9) }]);
  await store.close();
  await refused('a ring that is none', /what is stored as "ipam\/ring" is not readable/);
  writeFileSync(file, whole);
  await host.launch(['--ipalloc-range', '10.32.0.0/24', '--ipalloc-init', 'consensus=1']);
  t.is((await host.status()).ipam.active, 40);
});
