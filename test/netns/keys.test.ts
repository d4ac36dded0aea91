import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { callApi } from '../../router/api/client.ts';
import type { StatusDocument } from '../../router/status.ts';
import { Lab, type Container, type LabHost } from '../../scripts/lab.ts';
import { openLmdbStore } from '../../ipam/lmdb-store.ts';
import { end, must, sleep, start, until } from '../../scripts/run.ts';
import { spellings } from '../spellings.ts';

let labs = 0;

async function lab(t: ExecutionContext, hosts: number): Promise<Lab> {
  const made = await Lab.create(`wr${process.pid}x${labs++}`, hosts);
  t.teardown(() => made.remove());
  return made;
}

function passwordFile(host: LabHost, text: string): string {
  const path = join(host.dir, '..', `password${host.number}`);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}

/** Without the cost of a process. */
async function statusOf(host: LabHost): Promise<StatusDocument> {
  return (await callApi(host.socket, 'GET', '/status')) as StatusDocument;
}

/** ms after which an answer counts as lost; while the machine has other work, some take more than one second. */
const LOST_AFTER = 10_000;

/** Echo requests at an even pace, from now on. */
class Pings {
  readonly #child;
  readonly #interval: number;
  readonly #began = performance.now();
  #answers = '';
  #progress = '';

  constructor(t: ExecutionContext, from: Container, to: Container, seconds: number) {
    this.#interval = seconds;
    this.#child = start(from.inside(['ping', '-i', String(seconds), '-n', to.address]));
    this.#child.stdout?.on('data', (chunk) => (this.#answers += String(chunk)));
    this.#child.stderr?.on('data', (chunk) => (this.#progress += String(chunk)));
    t.teardown(() => end(this.#child));
  }

  /** Ends them: how many requests there were up to now, the least there must be, and what was lost or doubled. */
  async result() {
    const least = (performance.now() - this.#began) / 1_000 / this.#interval / 2;
    const count = await this.#sent();
    for (let waited = 0; this.#lostOf(count).length > 0 && waited < LOST_AFTER; waited += 50) await sleep(50);
    const gone = new Promise((resolve) => this.#child.once('close', resolve));
    this.#child.kill('SIGINT');
    await gone;
    const numbers = this.#answered();
    const doubled = numbers.length - new Set(numbers).size;
    const lost = this.#lostOf(count).map((number) => `${number} lost`);
    return { count, least, faults: doubled > 0 ? [...lost, `${doubled} doubled`] : lost };
  }

  /** Asks ping itself: at SIGQUIT it says ANSWERED/SENT, and goes on. */
  async #sent(): Promise<number> {
    this.#child.kill('SIGQUIT');
    const said = () => /\d+\/(\d+) packets/.exec(this.#progress);
    await until('ping to say what it has sent', 10_000, () => Promise.resolve(said() !== null));
    return Number(said()![1]);
  }

  #answered(): number[] {
    return [...this.#answers.matchAll(/icmp_seq=(\d+) ttl/g)].map(([, number]) => Number(number));
  }

  #lostOf(count: number): number[] {
    const seen = new Set(this.#answered());
    return Array.from({ length: count }, (_, i) => i + 1).filter((number) => !seen.has(number));
  }
}

/** Nothing was lost or doubled among as many requests as the time was long. */
async function assertUnharmed(t: ExecutionContext, pings: readonly Pings[]): Promise<void> {
  for (const each of pings) {
    const { count, least, faults } = await each.result();
    t.deepEqual(faults, []);
    t.true(count >= least, `${count} requests, not ${least}`);
    t.log(`${count} echo requests, none lost`);
  }
}

/** A TCP stream for some seconds; resolves with the bytes of each second, rejects if it breaks. */
function tcpStream(t: ExecutionContext, from: Container, to: Container, seconds: number, rate: string) {
  const server = start(to.inside(['iperf3', '-s', '-1']));
  t.teardown(() => end(server));
  return sleep(500).then(async () => {
    const argv = ['iperf3', '-c', to.address, '-t', String(seconds), '-b', rate, '-J'];
    const text = await from.must(argv, { limit: (seconds + 30) * 1_000 });
    const { intervals } = JSON.parse(text) as { intervals: { sum: { bytes: number } }[] };
    return intervals.map(({ sum }) => sum.bytes);
  });
}

for (const engine of ['native', 'portable']) {
  test(`the ${engine} engine gets new keys every second under load, and no packet is lost`, async (t) => {
    const made = await lab(t, 2);
    const [first, second] = made.hosts as [LabHost, LabHost];
    const env = { WEAVE_PASSWORD: 'documentation' };
    await first.launch(['--engine', engine], { env });
    await second.launch(['--engine', engine, first.address], { env });
    await made.meshed();
    const a = await first.container('a');
    const b = await second.container('b');
    await a.reaches(b);
    const pings = [new Pings(t, a, b, 0.02), new Pings(t, b, a, 0.02)];
    const stream = tcpStream(t, a, b, 22, '10M');
    for (let i = 0; i < 20; i++) {
      await sleep(1_000);
      await callApi([first, second][i % 2]!.socket, 'POST', '/rekey', {});
    }
    const bytes = await stream;
    await assertUnharmed(t, pings);
    t.true(bytes.length >= 22 && bytes.every((count) => count > 0), bytes.join());
    for (const host of [first, second]) {
      const { links } = (await statusOf(host)).router;
      t.is(links[0]!.rekeys, 20);
    }
  });
}

test('a rotation across three hosts under traffic loses no connection and no packet, and ejects a host within a minute', async (t) => {
  t.timeout(300_000);
  const made = await lab(t, 4);
  const members = made.hosts.slice(0, 3);
  const [first, , third, outsider] = made.hosts as [LabHost, LabHost, LabHost, LabHost];
  for (const host of made.hosts) {
    const peers = host === first ? [] : [first.address];
    const password = ['--password-file', passwordFile(host, 'old horse\n')];
    await host.launch([...password, '--ipalloc-init', 'consensus=4', ...peers]);
  }
  await made.meshed();
  const containers: Container[] = [];
  for (const host of made.hosts) containers.push(await host.container(`c${host.number}`));
  const [a, b, c, d] = containers as [Container, Container, Container, Container];
  for (const [from, to] of [
    [a, b],
    [b, c],
    [c, a],
    [a, d],
    [d, b],
  ] as const)
    await from.reaches(to);
  const pings = [new Pings(t, a, b, 0.02), new Pings(t, b, c, 0.02), new Pings(t, c, a, 0.02)];
  const stream = tcpStream(t, c, a, 75, '10M');
  const watch = watchConnections(members);
  let dropped = 0;
  for (const text of ['old horse\nnew horse\n', 'new horse\nold horse\n', 'new horse\n']) {
    for (const host of members) {
      passwordFile(host, text);
      dropped = performance.now();
      if (host !== third) t.regex(await host.mustWeave(['rotate']), /password/);
      else process.kill((await host.pid())!, 'SIGHUP');
      await sleep(1_000);
    }
  }
  t.true(await a.pings(d.address), 'for now');
  await until('the outsider is out', dropped + 60_000 - performance.now(), async () => {
    const links = (await Promise.all(members.map(statusOf))).flatMap(({ router }) => router.links);
    return !links.some(({ nickname }) => nickname === 'host4');
  });
  t.log(`out ${((performance.now() - dropped) / 1_000).toFixed(1)} s after the password was dropped`);
  for (const host of members) {
    const { connections, peers } = (await statusOf(host)).router;
    t.deepEqual(
      connections
        .filter((each) => each.state === 'established')
        .map((each) => each.nickname)
        .sort(),
      members.filter((each) => each !== host).map((each) => `host${each.number}`),
    );
    t.is(peers.length, 3);
  }
  const { router } = await statusOf(outsider);
  t.false(router.connections.some(({ state }) => state === 'established'));
  for (const [from, to] of [
    [a, d],
    [d, a],
    [d, b],
    [c, d],
  ] as const)
    t.false(await from.pings(to.address));
  await until('the mismatch shows', 30_000, async () =>
    (await statusOf(outsider)).router.connections.some(
      ({ error }) => error?.startsWith('password mismatch with') === true,
    ),
  );
  await assertUnharmed(t, pings);
  const bytes = await stream;
  t.true(bytes.length >= 75 && bytes.every((count) => count > 0), bytes.join());
  t.deepEqual(await watch(), []);
});

/** Looks at the connections among these hosts again and again; ends with when one was missing. */
function watchConnections(hosts: readonly LabHost[]): () => Promise<string[]> {
  const missing: string[] = [];
  let isOver = false;
  const look = async (host: LabHost) => {
    const { connections } = (await statusOf(host)).router;
    for (const other of hosts) {
      const nickname = `host${other.number}`;
      const found = connections.some((each) => each.nickname === nickname && each.state === 'established');
      if (other !== host && !found)
        missing.push(`host${host.number} without ${nickname}: ${JSON.stringify(connections)}`);
    }
  };
  const watching = (async () => {
    while (!isOver) {
      await Promise.all(hosts.map(look));
      await sleep(50);
    }
  })();
  return async () => {
    isOver = true;
    await watching;
    return missing;
  };
}

/** Everything that a host shows of itself to whoever may look: by what it is. */
async function everythingShown(host: LabHost): Promise<Map<string, string>> {
  const shown = new Map<string, string>();
  shown.set('report', await host.mustWeave(['report']));
  shown.set('status', await host.mustWeave(['status']));
  shown.set('log', readFileSync(host.socket.replace('.sock', '.log'), 'latin1'));
  for (const pid of (await must(['ip', 'netns', 'pids', host.netns])).trim().split('\n')) {
    for (const file of ['cmdline', 'environ'])
      shown.set(`${file} of ${pid}`, readFileSync(`/proc/${pid}/${file}`, 'latin1'));
  }
  return shown;
}

test('neither passwords nor the static key show in report, status, log, arguments or environments, nor to other users on disk', async (t) => {
  const made = await lab(t, 2);
  const [first, second] = made.hosts as [LabHost, LabHost];
  const flags = ['--log-level', 'debug', '--password-file'];
  mkdirSync(join(second.dir, 'state'), { recursive: true });
  chmodSync(join(second.dir, 'state'), 0o755);
  await first.launch([...flags, passwordFile(first, 'FirstMarker\n')]);
  await second.launch([...flags, passwordFile(second, 'FirstMarker\n'), first.address]);
  await made.meshed();
  for (const host of made.hosts) {
    passwordFile(host, 'SecondMarker\nFirstMarker\n');
    await host.mustWeave(['rotate']);
  }
  for (const host of made.hosts) {
    passwordFile(host, 'SecondMarker\n');
    await host.mustWeave(['rotate', '--json']);
  }
  passwordFile(first, 'SecondMarker\nFirstMarker\nThirdMarker\n');
  const refused = await first.weave(['rotate']);
  t.regex(refused.stderr, /^weave-ts: the password file .* holds 3 passwords: at most 2/);
  t.false(refused.stderr.includes('Marker'));
  await first.mustWeave(['rekey', 'host2']);
  await until('the connection of the new password', 20_000, async () => (await made.problems()).length === 0);
  const shown = await Promise.all(made.hosts.map(everythingShown));
  t.regex(shown[0]!.get('log')!, /passwords read again/);
  for (const host of made.hosts) await host.mustWeave(['stop']);
  for (const [i, host] of made.hosts.entries()) {
    const state = join(host.dir, 'state');
    t.is(statSync(join(state, 'store.mdb')).mode & 0o077, 0);
    const store = openLmdbStore(state);
    const secret = store.load().get('identity')!.slice(7, 39);
    await store.close();
    for (const [what, text] of shown[i]!) {
      for (const spelling of ['FirstMarker', 'SecondMarker', 'ThirdMarker', ...spellings(secret)])
        t.false(text.includes(spelling), `${what} of ${host.netns}`);
    }
  }
});

for (const [what, args, env] of [
  ['WEAVE_PASSWORD', [], { WEAVE_PASSWORD: 'PlainMarker' }],
  ['--password', ['--password', 'PlainMarker'], {}],
] as const) {
  test(`what launch starts, and all that starts, gets no password that came by ${what}`, async (t) => {
    const made = await lab(t, 1);
    const host = made.hosts[0]!;
    const main = fileURLToPath(new URL('../../cli/main.js', import.meta.url));
    const trace = join(made.dir, 'trace');
    const strace = ['strace', '-f', '-v', '-s', '1000000', '-e', 'trace=execve', '-o', trace];
    const launch = [
      process.execPath,
      main,
      '--socket',
      host.socket,
      'launch',
      ...host.launchFlags(),
      ...args,
    ];
    const child = start(['ip', 'netns', 'exec', host.netns, ...strace, ...launch], { env });
    t.teardown(() => end(child));
    await until('the daemon', 60_000, async () => (await host.weave(['status'])).code === 0);
    await host.container('a');
    await host.mustWeave(['expose']);
    const ended = new Promise((resolve) => child.once('close', resolve));
    await host.mustWeave(['stop']);
    await ended;
    const started = readFileSync(trace, 'utf8')
      .split('\n')
      .filter((line) => line.includes('execve('));
    t.true(
      started.some((line) => /"(\/usr)?\/s?bin\/nft"/.test(line)),
      'nft is among them',
    );
    t.true(started.length > 10);
    const telling = started.filter((line) => line.includes('PlainMarker'));
    t.is(telling.length, 1, 'the launch itself, as it was typed');
    t.true(telling[0]!.includes('main.js'));
  });
}

test('rotate and rekey refuse with one sentence, and change nothing', async (t) => {
  const made = await lab(t, 2);
  const [first, second] = made.hosts as [LabHost, LabHost];
  await first.launch([]);
  for (const [args, pattern] of [
    [['rotate'], /no password is set, so there is none to rotate/],
    [['rekey'], /no password is set: links have no keys/],
  ] as const) {
    const outcome = await first.weave(args);
    t.is(outcome.code, 1);
    t.regex(outcome.stderr, pattern);
  }
  t.is((await second.weave(['rotate'])).code, 3);
  t.is((await first.weave(['rotate', 'surplus'])).code, 2);
  await first.mustWeave(['stop']);
  await first.launch(['--password-file', passwordFile(first, 'one\n')]);
  await second.launch([first.address], { env: { WEAVE_PASSWORD: 'one' } });
  await made.meshed();
  const unread = await second.weave(['rotate']);
  t.deepEqual(
    [unread.code, unread.stderr.trim()],
    [
      1,
      `weave-ts: the password came from WEAVE_PASSWORD or --password, which cannot be read again: launch with --password-file to rotate`,
    ],
  );
  process.kill((await second.pid())!, 'SIGHUP');
  const log = () => readFileSync(first.socket.replace('.sock', '.log'), 'utf8');
  for (const [text, why] of [
    ['', /is empty.*passwords not read again/],
    ['one\ntwo\nthree\n', /holds 3 passwords.*passwords not read again/],
  ] as const) {
    passwordFile(first, text);
    t.is((await first.weave(['rotate'])).code, 1);
    process.kill((await first.pid())!, 'SIGHUP');
    await until(String(why), 10_000, () => Promise.resolve(why.test(log())));
  }
  const file = passwordFile(first, 'one\ntwo\n');
  chmodSync(file, 0o644);
  const open = await first.weave(['rotate']);
  t.deepEqual(open, {
    code: 0,
    stdout: '2 passwords accepted: 1 added, 0 dropped\n',
    stderr: `weave-ts: the password file ${file} can be read by others: chmod 600 ${file}\n`,
  });
  const unknown = await first.weave(['rekey', 'host9']);
  t.deepEqual(
    [unknown.code, unknown.stderr],
    [1, 'weave-ts: no peer is called "host9": weave-ts status peers lists them\n'],
  );
  const { name } = (await statusOf(second)).router;
  t.is(await first.mustWeave(['rekey', 'host2']), `asked for new keys with ${name} (host2)`);
  t.deepEqual(JSON.parse(await first.mustWeave(['rekey', name, '--json'])), [
    { peer: name, nickname: 'host2' },
  ]);
  t.deepEqual(await made.problems(), []);
});
