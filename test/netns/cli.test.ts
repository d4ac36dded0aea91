import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { checkSettings } from '../../cli/settings.ts';
import { Lab, type LabHost } from '../../scripts/lab.ts';
import { end, must, start } from '../../scripts/run.ts';
import { callApi } from '../../router/api/client.ts';
import { standardFlags } from '../cli/standard-flags.ts';

const CLI = fileURLToPath(new URL('../../cli/main.js', import.meta.url));
const DAEMON = fileURLToPath(new URL('../../cli/daemon-process.js', import.meta.url));

/** As a user without any power over the host would run it: root without capabilities. */
const powerless = (args: readonly string[]) => [
  'setpriv',
  '--bounding-set=-all',
  '--inh-caps=-all',
  process.execPath,
  ...args,
];

let labs = 0;

async function lab(t: ExecutionContext, hosts: number): Promise<Lab> {
  const made = await Lab.create(`wc${process.pid}x${labs++}`, hosts);
  t.teardown(() => made.remove());
  return made;
}

function stateDir(host: LabHost): string[] {
  return ['--state-dir', join(host.dir, 'state')];
}

/** What the kernel shows of a host's network, to tell whether something changed. */
async function networkOf(host: LabHost): Promise<string> {
  const links = await host.must(['ip', '-o', 'link']);
  const addresses = await host.must(['ip', '-o', 'addr']);
  return (
    links.replaceAll(/qdisc \S+ /g, '') +
    addresses.replaceAll(' tentative', '') +
    (await host.must(['nft', 'list', 'ruleset']))
  );
}

test('bad values of launch are refused with one line and change nothing', async (t) => {
  const made = await lab(t, 1);
  const host = made.hosts[0]!;
  await host.must(['ip', 'route', 'add', '198.51.100.0/24', 'dev', 'eth0']);
  const before = await networkOf(host);
  for (const [args, code, pattern] of [
    [['--frobnicate'], 2, /unknown option '--frobnicate'/],
    [['--ipalloc-range', '10.32.0.0'], 1, /"10\.32\.0\.0" is not of the form/],
    [['--ipalloc-range', '10.32.0.0/33'], 1, /is not of the form/],
    [['--ipalloc-range', '10.32.0.0/31'], 1, /10\.32\.0\.0\/31.*\/30/],
    [['--ipalloc-range', '192.0.2.0/24'], 1, /192\.0\.2\.0\/24 overlaps/],
    [['--ipalloc-range', '198.51.100.128/25'], 1, /198\.51\.100\.128\/25 overlaps.*198\.51\.100\.0\/24/],
    [['--ipalloc-default-subnet', '10.64.0.0/16'], 1, /does not lie within/],
    [['--ipalloc-init', 'dictator'], 1, /"dictator"/],
    [['--port', '0'], 1, /--port "0"/],
    [['--port', 'http'], 1, /--port "http"/],
    [['--mtu', '500'], 1, /--mtu "500"/],
    [['--name', 'bob'], 1, /--name "bob"/],
    [['--host', '203.0.113.77'], 1, /does not have the address 203\.0\.113\.77/],
    [['--engine', 'warp'], 1, /--engine "warp"/],
    [['--trusted-subnets', '10.0.0.0/8,x'], 1, /"x" is not a CIDR/],
    [['--password-file', '/nonexistent/password'], 1, /cannot read the password file/],
    [['--password-file', '/dev/null'], 1, /password file \/dev\/null is empty/],
    [['--password', 'a', '--password-file', '/dev/null'], 2, /--password-file and --password/],
    [['not a host'], 1, /peer "not a host"/],
    [['host:99999'], 1, /peer "host:99999"/],
  ] as const) {
    const outcome = await host.weave(['launch', ...host.launchFlags(), ...args]);
    t.is(outcome.code, code, `${args.join(' ')}: ${outcome.stderr}`);
    t.regex(outcome.stderr, pattern, args.join(' '));
  }
  for (const args of [[], ['--foreground']]) {
    const launch = [CLI, '--socket', host.socket, 'launch', ...host.launchFlags(), ...args];
    const outcome = await host.run(powerless(launch));
    t.is(outcome.code, 1);
    t.regex(outcome.stderr, /^weave-ts: .*run it as root.*\n$/);
  }
  t.is(await networkOf(host), before);
  t.is((await host.weave(['status'])).code, 3);
});

test('launch prints the name as JSON if asked, and a socket that may not be opened is no absent daemon', async (t) => {
  const host = (await lab(t, 1)).hosts[0]!;
  const printed = JSON.parse(await host.mustWeave(['launch', ...host.launchFlags(), '--json'])) as unknown;
  t.deepEqual(printed, { name: (await host.status()).router.name });
  chmodSync(host.socket, 0);
  const outcome = await host.run(powerless([CLI, '--socket', host.socket, 'status']));
  t.is(outcome.code, 1);
  t.regex(outcome.stderr, /^weave-ts: may not open .*api\.sock: run as root\n$/);
});

test('a name that no interface can have is refused in words, whatever its length', async (t) => {
  const made = await lab(t, 1);
  const host = made.hosts[0]!;
  await host.launch([]);
  const target = await made.namespace('web');
  const empty = await host.weave(['attach', target, '--interface', '']);
  t.deepEqual([empty.code, empty.stderr], [1, 'weave-ts: --interface is empty: name one, or leave it out\n']);
  for (const name of ['averylonginterface', 'a b', 'a/b']) {
    const outcome = await host.weave(['attach', target, '--interface', name]);
    t.is(outcome.code, 1);
    const sentence = `"${name}" is not an interface name: choose 1 to 15 characters without spaces and / : % " ' \\ #`;
    t.is(outcome.stderr, `weave-ts: ${sentence}\n`);
  }
});

test('commands without a daemon exit 3, and wrong usage exits 2', async (t) => {
  const made = await lab(t, 1);
  const host = made.hosts[0]!;
  for (const args of [['status'], ['ps'], ['stop'], ['attach', 'x'], ['expose'], ['prime'], ['report']]) {
    const outcome = await host.weave(args);
    t.is(outcome.code, 3, args.join(' '));
    t.regex(outcome.stderr, /no daemon answers on .*api\.sock/);
  }
  for (const args of [
    ['frobnicate'],
    ['attach'],
    ['connect'],
    ['status', 'weather'],
    ['ps', 'surplus'],
    ['stop', '--hard'],
    [],
  ]) {
    t.is((await host.weave(args)).code, 2, args.join(' '));
  }
  t.regex(await host.mustWeave(['version']), /^weave-ts \d+\.\d+\.\d+$/);
  t.regex(await host.mustWeave(['launch', '--help']), /WEAVE_TS_PORT/);
});

test('a port in use and a second launch on one socket are refused by name', async (t) => {
  const made = await lab(t, 1);
  const host = made.hosts[0]!;
  const listener = start(['ip', 'netns', 'exec', host.netns, 'socat', 'TCP-LISTEN:7001,fork', 'STDOUT']);
  t.teardown(() => end(listener));
  await host.launch([]);
  const second = await host.weave(['launch', ...host.launchFlags()]);
  t.is(second.code, 1);
  t.regex(second.stderr, /a daemon already answers on .*api\.sock/);
  t.is((await host.weave(['status'])).code, 0, 'the first one is untouched');
  await host.mustWeave(['stop']);
  const taken = await host.weave(['launch', ...host.launchFlags(), '--port', '7001']);
  t.is(taken.code, 1);
  t.regex(taken.stderr, /port 7001 is in use/);
});

test('attach refuses what does not exist, what is attached, and addresses that are taken', async (t) => {
  const made = await lab(t, 1);
  const host = made.hosts[0]!;
  await host.launch([]);
  const absent = await host.weave(['attach', 'no-such-namespace']);
  t.is(absent.code, 1);
  t.regex(absent.stderr, /no-such-namespace/);
  t.is((await host.weave(['attach', '999999999'])).code, 1);
  t.is((await host.weave(['attach', '/etc/passwd'])).code, 1);
  const first = await host.container('a');
  const again = await host.weave(['attach', first.netns]);
  t.is(again.code, 1);
  t.true(again.stderr.includes(first.cidr), again.stderr);
  const other = await made.namespace('b');
  const taken = await host.weave(['attach', other, first.cidr]);
  t.is(taken.code, 1);
  t.true(taken.stderr.includes(first.address), taken.stderr);
  const [{ id }] = JSON.parse(await host.mustWeave(['ps', '--json'])) as [{ id: string }];
  await t.throwsAsync(callApi(host.socket, 'POST', '/release', { id }), {
    message: new RegExp(`on an interface: weave-ts detach ${id} takes`),
  });
  await t.throwsAsync(callApi(host.socket, 'POST', '/claim', { id: 'mine', cidr: first.cidr }));
  for (const own of ['cni:weave-ts/a/eth0', 'weave:expose', id])
    await t.throwsAsync(callApi(host.socket, 'POST', '/allocate', { id: own }), {
      message: /choose another/,
    });
  t.is((await host.weave(['attach', other, 'ip:10.32.0'])).code, 1);
  t.is((await host.weave(['attach', other, 'net:192.0.2.0/24'])).code, 1);
  t.is((await must(['ip', '-n', other, '-o', 'link'])).trim().split('\n').length, 1, 'only loopback');
  t.is((JSON.parse(await host.mustWeave(['ps', '--json'])) as unknown[]).length, 1);
});

test('a namespace is attached by name, path or pid, gets what it asks for, and is detached twice without error', async (t) => {
  const made = await lab(t, 1);
  const host = made.hosts[0]!;
  await host.launch([]);
  const named = await host.container('named', ['ip:10.32.5.5/12']);
  t.is(named.cidr, '10.32.5.5/12');
  const byPath = await made.namespace('path');
  t.regex(
    await host.mustWeave(['attach', `/run/netns/${byPath}`, 'net:10.40.0.0/16']),
    /^10\.40\.\d+\.\d+\/16$/,
  );
  const byPid = await made.namespace('pid');
  const sleeper = start(['ip', 'netns', 'exec', byPid, 'sleep', '60']);
  t.teardown(() => end(sleeper));
  const result = JSON.parse(await host.mustWeave(['attach', String(sleeper.pid), '--json'])) as {
    addresses: string[];
    interface: string;
    mac: string;
    mtu: number;
  };
  t.is(result.interface, 'ethwe');
  t.is(result.mtu, 1_388);
  t.regex(result.mac, /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/);
  t.true(await named.pings(result.addresses[0]!.split('/')[0]!));
  for (const target of [named.netns, byPath, byPid]) {
    t.is((await host.weave(['detach', target])).code, 0);
    t.is((await host.weave(['detach', target])).code, 0);
  }
  t.deepEqual(JSON.parse(await host.mustWeave(['ps', '--json'])), []);
});

test('expose gives the host an address, attached namespaces reach the world through it, hide takes it back', async (t) => {
  const made = await lab(t, 2);
  const [host, outside] = made.hosts as [LabHost, LabHost];
  await host.must(['iptables', '-P', 'FORWARD', 'DROP']);
  await host.launch([]);
  const container = await host.container('a', ['--default-route']);
  const cidr = await host.mustWeave(['expose']);
  t.regex(cidr, /^10\.\d+\.\d+\.\d+\/12$/);
  t.true(await container.pings(cidr.split('/')[0]!));
  t.true(
    await container.pings(outside.address),
    'masqueraded: the outside knows no way back to 10.32.0.0/12',
  );
  t.is(await host.mustWeave(['hide']), cidr);
  t.is((await host.weave(['hide'])).code, 0);
  t.false(await container.pings(cidr.split('/')[0]!));
});

test('stop leaves interfaces for the next start, another --bridge takes them over, stop --clean removes all, with a daemon or without', async (t) => {
  const made = await lab(t, 1);
  const host = made.hosts[0]!;
  const before = await networkOf(host);
  await host.must(['iptables', '-P', 'FORWARD', 'DROP']);
  const never = await host.weave(['stop', '--clean', ...stateDir(host)]);
  t.is(never.code, 3);
  t.regex(never.stderr, /no daemon answers on .*, and none has left its state in /);
  await host.launch([]);
  const container = await host.container('a');
  const exposed = await host.mustWeave(['expose']);
  const elsewhere = await host.weave(['stop', '--clean', '--socket', '/nowhere.sock', ...stateDir(host)]);
  t.is(elsewhere.code, 1);
  t.regex(elsewhere.stderr, /lock is held by process \d+: stop that daemon/);
  const idler = connect(host.socket).on('error', () => undefined);
  t.teardown(() => idler.destroy());
  await host.mustWeave(['stop']);
  t.is((await host.weave(['status'])).code, 3);
  t.is(await host.pid(), undefined, 'it ended in order, although a client had the API open');
  t.regex(await host.must(['ip', '-o', 'link']), /weave-tap/);
  await host.launch(['--bridge', 'other']);
  t.false((await networkOf(host)).includes('weave:'), 'the bridge of before is gone');
  t.false((await host.must(['iptables', '-S', 'FORWARD'])).includes(' weave '));
  await container.must(['ping', '-q', '-c', '3', '-i', '0.2', '-w', '5', exposed.split('/')[0]!]);
  await host.kill();
  t.regex(await host.must(['ip', '-o', 'link']), /other-tap/);
  const cleaned = await host.weave(['stop', '--clean', ...stateDir(host)]);
  t.is(cleaned.code, 0, cleaned.stderr);
  t.regex(cleaned.stderr, /no daemon was running: removed what the last one left \(other, /);
  t.notRegex(await networkOf(host), /weave|other/);
  const again = await host.weave(['stop', '--clean', ...stateDir(host)]);
  t.regex(again.stderr, /the last one left nothing to remove/);
  await host.launch([]);
  await host.mustWeave(['expose']);
  await host.mustWeave(['stop', '--clean']);
  await host.must(['iptables', '-P', 'FORWARD', 'ACCEPT']);
  const after = await networkOf(host);
  t.is(after.includes('weave'), false, after);
  t.is((await host.must(['ip', '-o', 'addr'])).includes('10.3'), false);
  t.true(before.length > 0);
});

test('stop --clean without a daemon touches nothing unless it is what the daemon of this state directory left', async (t) => {
  const made = await lab(t, 2);
  const [host, other] = made.hosts as [LabHost, LabHost];
  await host.launch([]);
  const state = stateDir(host);
  const wrong = await host.weave(['stop', ...state]);
  t.is(wrong.code, 2);
  t.regex(wrong.stderr, /--state-dir only with --clean/);
  const configuration = join(host.dir, 'net.d');
  await host.mustWeave(['cni', 'install', '--bin-dir', join(host.dir, 'bin'), '--conf-dir', configuration]);
  await host.kill();
  await other.must(['ip', 'link', 'add', 'weave', 'type', 'bridge']);
  await other.must([
    'ip',
    'link',
    'add',
    'vethwe012345678',
    'master',
    'weave',
    'type',
    'veth',
    'peer',
    'name',
    'x',
  ]);
  await other.must(['nft', 'add', 'table', 'inet', 'weave-ts']);
  // The kernel tells only after a while that the TAP of a daemon that was killed has no carrier.
  const shown = async (of: LabHost) => (await networkOf(of)).replaceAll(/<[^>]*>| state \S+/g, '');
  const before = [await shown(host), await shown(other)];
  const words = [CLI, '--socket', host.socket, 'stop', '--clean', ...state];
  const clean = [process.execPath, ...words];
  const refusing = join(host.dir, 'refusing.sock');
  const server = createServer((socket) => socket.destroy()).listen(refusing);
  t.teardown(() => server.close());
  for (const [where, command, code, pattern] of [
    [other, clean, 1, /ran in another network namespace/],
    [host, powerless(words), 1, /run it as root/],
    [host, [...clean, '--socket', refusing], 3, /broke off/],
    [host, [...clean, '--socket', join(host.dir, 'b.sock')], 1, /had the socket .*api\.sock, not .*b\.sock/],
  ] as const) {
    const outcome = await where.run([...command]);
    t.is(outcome.code, code, outcome.stderr);
    t.regex(outcome.stderr, pattern);
    t.deepEqual([await shown(host), await shown(other)], before);
  }
  t.true(existsSync(host.socket) && existsSync(refusing));
  const mac = (await host.must(['cat', '/sys/class/net/weave/address'])).trim();
  await host.must(['ip', 'link', 'set', 'weave', 'address', '02:00:00:00:00:99']);
  const foreign = await host.weave(['stop', '--clean', ...state]);
  t.is(foreign.code, 1);
  t.regex(foreign.stderr, /is not the bridge with the MAC/);
  t.regex(await networkOf(host), /weave-tap/);
  await host.must(['ip', 'link', 'set', 'weave', 'address', mac]);
  rmSync(configuration, { recursive: true, force: true });
  writeFileSync(configuration, '');
  const halfway = await host.weave(['stop', '--clean', ...state]);
  t.regex(halfway.stderr, /CNI configuration .* cannot be removed: a part of the path is no directory/);
  t.notRegex(await networkOf(host), /weave/, 'the rest is gone');
  rmSync(configuration);
  await host.mustWeave(['stop', '--clean', ...state]);
});

test('a launch that is broken off leaves nothing behind but its log', async (t) => {
  const made = await lab(t, 1);
  const host = made.hosts[0]!;
  mkdirSync(dirname(host.socket), { recursive: true });
  const before = await networkOf(host);
  const place = { hostName: 'host1', socket: host.socket, passwordFile: undefined };
  const flags = { ...standardFlags, stateDir: join(host.dir, 'state') };
  const input = { settings: checkSettings(flags, [], place), passwords: [] };
  const child = spawn('nsenter', [`--net=/run/netns/${host.netns}`, process.execPath, DAEMON], {
    stdio: ['pipe', 'ignore', 'ignore', 'pipe'],
  });
  // Who launched it is gone: nobody will read what it reports.
  child.stdio[3]!.destroy();
  child.stdin!.end(JSON.stringify(input));
  t.is(await new Promise((resolve) => child.on('close', resolve)), 1);
  t.regex(await must(['cat', host.socket.replace('.sock', '.log')]), /the launch was broken off/);
  t.deepEqual(readdirSync(dirname(host.socket)), ['api.log']);
  t.is(await networkOf(host), before);
});

test('a password given on the command line or in the environment shows in no process afterwards', async (t) => {
  const made = await lab(t, 2);
  const [first, second] = made.hosts as [LabHost, LabHost];
  await first.launch(['--password', 'PlainlyVisible']);
  await second.launch([first.address], { env: { WEAVE_PASSWORD: 'PlainlyVisible' } });
  await made.meshed();
  for (const host of [first, second]) {
    const pid = await host.pid();
    for (const file of ['cmdline', 'environ']) {
      t.false(
        (await must(['cat', `/proc/${pid}/${file}`])).includes('PlainlyVisible'),
        `${host.netns} ${file}`,
      );
    }
    t.false((await host.mustWeave(['report'])).includes('PlainlyVisible'));
    t.false((await must(['cat', host.socket.replace('.sock', '.log')])).includes('PlainlyVisible'));
  }
});

test('connect, forget and targets do what they say', async (t) => {
  const made = await lab(t, 3);
  const [first, second, third] = made.hosts as [LabHost, LabHost, LabHost];
  for (const host of made.hosts) await host.launch(['--no-discovery']);
  await first.mustWeave(['connect', second.address]);
  const targets = async () => (await first.status()).router.targets.map(({ address }) => address);
  t.deepEqual(await targets(), [`${second.address}:6783`]);
  await first.mustWeave(['connect', '--replace', third.address]);
  t.deepEqual(await targets(), [`${third.address}:6783`]);
  await first.mustWeave(['forget', third.address]);
  t.deepEqual(await targets(), []);
  t.is((await first.weave(['connect', 'bad host'])).code, 1);
});
