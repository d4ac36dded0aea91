import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { callApi } from '../../router/api/client.ts';
import { builtCli } from '../../scripts/built-cli.ts';
import { Lab, type LabHost } from '../../scripts/lab.ts';
import { openLmdbStore } from '../../ipam/lmdb-store.ts';
import { end, must, sleep, start, until } from '../../scripts/run.ts';
import { Pings, assertUnharmed, tcpStream } from './traffic.ts';
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
      const { links } = (await host.status()).router;
      t.is(links[0]!.rekeys, 20);
    }
  });
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
    const trace = join(made.dir, 'trace');
    const strace = ['strace', '-f', '-v', '-s', '1000000', '-e', 'trace=execve', '-o', trace];
    const launch = [
      process.execPath,
      builtCli(),
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
  const { name } = (await second.status()).router;
  t.is(await first.mustWeave(['rekey', 'host2']), `asked for new keys with ${name} (host2)`);
  t.deepEqual(JSON.parse(await first.mustWeave(['rekey', name, '--json'])), [
    { peer: name, nickname: 'host2' },
  ]);
  t.deepEqual(await made.problems(), []);
});
