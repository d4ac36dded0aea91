import test from 'ava';
import { spawn } from 'node:child_process';
import { setTimeout } from 'node:timers/promises';
import { preflight } from '../../plugin/host/host-network.ts';
import { Kernel } from '../../plugin/host/kernel.ts';
import { listAddresses, listLinks } from '../../plugin/host/link-query.ts';
import { hasTables } from '../../plugin/host/nftables.ts';
import { rejoin } from '../../plugin/host/port.ts';
import { runProgram } from '../../plugin/host/run.ts';
import { cidr } from '../plugin/host/host-fakes.ts';
import { ethernet, icmp6, ipv4, ipv6, sendFrame, sendFrames } from './forged-frames.ts';
import { HostLab, RANGE } from './host-lab.ts';

test('the bridge is made once, adopted again, and keeps its ports', async (t) => {
  const lab = await HostLab.start(t);
  const network = lab.network();
  await network.setUp();
  const before = (await listLinks(lab.commands)).find((link) => link.name === 'weave');
  t.like(before, { kind: 'bridge', mac: '7a:00:00:00:00:01', mtu: 1388, up: true });
  await lab.ip(lab.name, [['tuntap', 'add', 'dev', 'weave-tap', 'mode', 'tap']]);
  await network.adoptTap();
  await lab.network().setUp();
  await network.adoptTap();
  const links = await listLinks(lab.commands);
  t.is(links.find((link) => link.name === 'weave')?.index, before?.index);
  t.like(
    links.find((link) => link.name === 'weave-tap'),
    { master: 'weave', mtu: 1388, up: true },
  );
  t.deepEqual(
    (await listAddresses(lab.commands)).filter((entry) => entry.interface !== 'lo'),
    [],
  );
});

test('a bridge that somebody removes is made anew with TAP, ports and addresses, or status tells why not', async (t) => {
  const lab = await HostLab.start(t);
  const network = lab.network();
  await network.setUp();
  await lab.ip(lab.name, [['tuntap', 'add', 'dev', 'weave-tap', 'mode', 'tap']]);
  await network.adoptTap();
  const attachments = lab.attachments(network);
  await attachments.expose([], true);
  await attachments.attach({ target: await lab.container(), addresses: [] });
  await lab.ip(lab.name, [['link', 'delete', 'dev', 'weave']]);
  await attachments.check();
  t.deepEqual(network.problems(), []);
  t.true(await lab.pings(lab.name, '10.32.0.2'));
  t.is((await listLinks(lab.commands)).find((link) => link.name === 'weave-tap')?.master, 'weave');
  await lab.ip(lab.name, [
    ['link', 'delete', 'dev', 'weave'],
    ['tuntap', 'add', 'dev', 'weave', 'mode', 'tap'],
  ]);
  await attachments.check().catch(() => undefined);
  t.regex(network.problems().join(), /^the bridge weave is broken .*: the interface weave is not a bridge/);
});

test('an interface of the bridge name that is no bridge is refused', async (t) => {
  const lab = await HostLab.start(t);
  await lab.ip(lab.name, [['tuntap', 'add', 'dev', 'weave', 'mode', 'tap']]);
  const refused = { message: /^the interface weave is not a bridge/ };
  await t.throwsAsync(lab.network().setUp(), refused);
  await t.throwsAsync(preflight(lab.commands, { bridge: 'weave', tap: 'weave-tap' }, RANGE), refused);
  await preflight(lab.commands, { bridge: 'other', tap: 'other-tap' }, RANGE);
});

test('a range that the host uses already is refused', async (t) => {
  const lab = await HostLab.start(t);
  await lab.outside();
  await lab.ip(lab.name, [['route', 'add', '10.40.0.0/16', 'via', '192.0.2.2']]);
  await t.throwsAsync(preflight(lab.commands, { bridge: 'weave', tap: 'weave-tap' }, RANGE), {
    message:
      "the address range 10.32.0.0/12 overlaps the host's route 10.40.0.0/16 on eth0: choose another --ipalloc-range",
  });
});

test('an address outside the range may be exposed unless the host uses its network', async (t) => {
  const lab = await HostLab.start(t);
  await lab.outside();
  const network = lab.network();
  await network.setUp();
  const attachments = lab.attachments(network);
  for (const [address, other] of [
    ['192.0.2.9/25', 'the address 192.0.2.1/24 of eth0'],
    ['10.32.0.9/1', 'the address 127.0.0.1/8 of lo'],
  ] as const) {
    await t.throwsAsync(attachments.expose([address], true), {
      message: `${address} overlaps ${other}: choose another address`,
    });
  }
  for (let again = 0; again < 2; again++) await attachments.expose(['203.0.113.9/24'], true);
  t.deepEqual(lab.held(), ['203.0.113.9/24']);
});

test('expose gives the host an address and lets attached namespaces out behind it', async (t) => {
  const lab = await HostLab.start(t);
  const outside = await lab.outside();
  const network = lab.network();
  await network.setUp();
  const attachments = lab.attachments(network);
  const name = await lab.container();
  const exposed = await attachments.expose([], true);
  t.like(exposed, { id: 'weave:expose', addresses: ['10.32.0.1/12'], interface: 'weave' });
  t.regex(exposed.notes.join(), /net\.ipv4\.ip_forward/);
  t.deepEqual((await attachments.expose([], true)).addresses, ['10.32.0.1/12']);
  await attachments.attach({ target: name, addresses: [], defaultRoute: true });
  t.true(await lab.pings(lab.name, '10.32.0.2'));
  t.true(await lab.pings(name, '192.0.2.2'));
  await attachments.expose([], false);
  t.false(await lab.pings(name, '192.0.2.2'));
  await lab.run(outside, 'ip', 'route', 'add', '10.32.0.0/12', 'via', '192.0.2.1');
  t.true(await lab.pings(name, '192.0.2.2'));
  const via = ['via', '10.32.0.1', 'dev', 'ethwe'];
  await lab.ip(name, [
    ['route', 'add', '198.51.100.0/24', ...via, 'proto', 'static', 'metric', '50'],
    ['route', 'add', '203.0.113.0/24', ...via, 'table', '100'],
  ]);
  t.deepEqual(await attachments.hide([]), ['10.32.0.1/12']);
  t.deepEqual(await attachments.hide([]), []);
  t.notRegex(await lab.run(name, 'ip', 'route'), /via/);
  t.regex(await lab.run(name, 'ip', 'route', 'show', 'table', '100'), /203\.0\.113\.0\/24 via/);
  t.deepEqual(lab.held(), ['10.32.0.2/12']);
  await attachments.expose([], true);
  t.regex(await lab.run(name, 'ip', 'route', 'show', 'default'), /via 10\.32\.0\.1 dev ethwe/);
  t.regex(await lab.run(name, 'ip', 'route', 'show', '198.51.100.0/24'), /via 10\.32\.0\.1 .*metric 50/);
  t.is(await lab.run(name, 'ip', 'route', 'show', '203.0.113.0/24'), '', 'it is of a table of its own');
  t.true(await lab.pings(name, '192.0.2.2'));
});

for (const [tool, legacy] of [
  ['iptables-nft', false],
  ['iptables-legacy', true],
] as const) {
  test(`attached namespaces reach each other and the outside where ${tool} drops what is forwarded`, async (t) => {
    const lab = await HostLab.start(t);
    await lab.outside();
    await lab.run(lab.name, tool, '-P', 'FORWARD', 'DROP');
    const network = lab.network();
    await network.setUp();
    await network.refreshFirewall();
    const attachments = lab.attachments(network);
    const [a, b] = [await lab.container(), await lab.container()];
    await attachments.attach({ target: a, addresses: [], defaultRoute: true });
    const two = await attachments.attach({ target: b, addresses: [] });
    t.true(await lab.pings(a, two.addresses[0]!));
    t.true(await lab.pings(a, '192.0.2.2'));
    const rules = await lab.run(lab.name, tool, '-S', 'FORWARD');
    t.is(rules.match(/weave-ts/g)?.length, 2);
    await lab.run(lab.name, tool, '-F', 'FORWARD');
    t.false(await lab.pings(a, '192.0.2.2'));
    await network.refreshFirewall();
    t.true(await lab.pings(a, '192.0.2.2'));
    await network.clean();
    t.is((await lab.run(lab.name, tool, '-S', 'FORWARD')).trim(), '-P FORWARD DROP');
    t.is(legacy, (await lab.run(lab.name, 'cat', '/proc/net/ip_tables_names')).includes('filter'));
  });
}

test('our rules go into the chain that Docker leaves to the operator', async (t) => {
  const lab = await HostLab.start(t);
  const iptables = (...args: string[]): Promise<string> => lab.run(lab.name, 'iptables-nft', ...args);
  await iptables('-P', 'FORWARD', 'DROP');
  await iptables('-N', 'DOCKER-USER');
  await iptables('-A', 'FORWARD', '-j', 'DOCKER-USER');
  await iptables('-A', 'DOCKER-USER', '-j', 'RETURN');
  const network = lab.network();
  await network.setUp();
  const lines = (await iptables('-S', 'DOCKER-USER')).trim().split('\n');
  t.regex(lines[1]!, /-i weave .*weave-ts.* -j ACCEPT/);
  t.is(lines.at(-1), '-A DOCKER-USER -j RETURN');
  await network.clean();
  t.is((await iptables('-S', 'DOCKER-USER')).trim(), '-N DOCKER-USER\n-A DOCKER-USER -j RETURN');
});

test('a chain of nftables that ends in reject is opened, or with the firewall left alone, reported', async (t) => {
  const lab = await HostLab.start(t);
  const ruleset = `table inet firewalld {
    chain filter_FORWARD { type filter hook forward priority 10; policy accept;
      ct state established accept
      reject with icmpx admin-prohibited
    }
  }`;
  await lab.commands.run('nft', ['-f', '-'], { input: ruleset });
  const reporting = lab.network({ changeFirewall: false });
  await reporting.setUp();
  t.regex(reporting.problems().join(), /filter_FORWARD of the nftables table inet firewalld drops/);
  const before = await lab.run(lab.name, 'nft', 'list', 'table', 'inet', 'firewalld');
  const network = lab.network();
  await network.setUp();
  t.deepEqual(network.problems(), []);
  const attachments = lab.attachments(network);
  const [a, b] = [await lab.container(), await lab.container()];
  await attachments.attach({ target: a, addresses: [] });
  await attachments.attach({ target: b, addresses: [] });
  t.true(await lab.pings(a, '10.32.0.2'));
  await network.clean();
  t.is(await lab.run(lab.name, 'nft', 'list', 'table', 'inet', 'firewalld'), before);
});

test('attached namespaces cannot reach the control port of the host, but other ports', async (t) => {
  const lab = await HostLab.start(t);
  const network = lab.network();
  await network.setUp();
  const attachments = lab.attachments(network);
  const name = await lab.container();
  await attachments.expose([], true);
  await attachments.attach({ target: name, addresses: [] });
  const listen = "for (const p of [6783, 6784]) require('node:net').createServer().listen(p, '0.0.0.0')";
  const server = spawn('nsenter', [`--net=${lab.commands.netns!}`, process.execPath, '-e', listen]);
  t.teardown(() => server.kill());
  const connects = (port: number): Promise<string> => {
    const program = `const s = require('node:net').connect(${port}, '10.32.0.1');
      const end = (word) => { console.log(word); process.exit(0); };
      s.on('connect', () => end('connected')); s.on('error', () => end('refused')); setTimeout(end, 1500, 'dropped');`;
    return lab.run(name, process.execPath, '-e', program);
  };
  for (let i = 0; i < 50 && (await connects(6784)) !== 'connected\n'; i++) await setTimeout(100);
  t.is(await connects(6784), 'connected\n');
  t.is(await connects(6783), 'dropped\n');
});

test('what attached namespaces must not send into the mesh stops at their port', async (t) => {
  const lab = await HostLab.start(t);
  const network = lab.network();
  await network.setUp();
  const name = await lab.container();
  const { mac } = await lab.attachments(network).attach({ target: name, addresses: [] });
  const counted = async (counter: string): Promise<number> => {
    const text = await lab.run(lab.name, 'nft', 'list', 'counter', 'bridge', 'weave-ts', counter);
    return Number(/packets (\d+)/.exec(text)?.[1]);
  };
  const udp = (ports: string): string => `${ports}00080000`;
  const cases: [counter: string, frame: string][] = [
    ['router_advertisement', ethernet(mac, '86dd') + icmp6({ mac }, '86')],
    ['router_advertisement', ethernet(mac, '86dd') + icmp6({ mac }, '89')],
    ['dhcp_answer', ethernet(mac, '0800') + ipv4('10.32.0.1', '255.255.255.255', '11', udp('00430044'))],
    ['dhcp_answer', ethernet(mac, '86dd') + ipv6({ mac }, '11', udp('02230222'))],
    ['spanning_tree', ethernet(mac, '0027', '0180c2000000') + '424203' + '00'.repeat(40)],
  ];
  for (const [counter, frame] of cases) {
    const before = await counted(counter);
    await sendFrame(name, 'ethwe', frame);
    t.is(await counted(counter), before + 1, frame);
  }
  // Requests to servers are nothing of the kind, and whoever is no pod may speak for others.
  await sendFrame(
    name,
    'ethwe',
    ethernet(mac, '0800') + ipv4('10.32.0.1', '255.255.255.255', '11', udp('00440043')),
  );
  await sendFrame(name, 'ethwe', ethernet('02:00:00:00:00:99', '0800') + ipv4('10.32.9.9', '10.32.0.9'));
  t.deepEqual(await Promise.all(['dhcp_answer', 'forged_mac', 'forged_address'].map(counted)), [2, 0, 0]);
});

test('a storm of broadcasts stops at the port that it comes from, and at no other', async (t) => {
  const lab = await HostLab.start(t);
  const network = lab.network();
  await network.setUp();
  const attachments = lab.attachments(network);
  const pods: { name: string; mac: string }[] = [];
  for (let i = 0; i < 2; i++) {
    const name = await lab.container();
    pods.push({ name, mac: (await attachments.attach({ target: name, addresses: [] })).mac });
  }
  const [stormy, calm] = pods as [(typeof pods)[0], (typeof pods)[0]];
  const dropped = async (): Promise<number> => {
    const text = await lab.run(lab.name, 'nft', 'list', 'counter', 'bridge', 'weave-ts', 'storm');
    return Number(/packets (\d+)/.exec(text)?.[1]);
  };
  const sent = 20_000;
  await sendFrames(stormy.name, 'ethwe', ethernet(stormy.mac, '88b5'), sent);
  const before = await dropped();
  t.true(before > 0);
  t.true(sent - before >= 2_000, 'what a burst may be passes');
  await sendFrames(calm.name, 'ethwe', ethernet(calm.mac, '88b5'), 10);
  await sendFrames(stormy.name, 'ethwe', ethernet(stormy.mac, '88b5', '020000000009'), 3_000);
  t.is(await dropped(), before, 'neither another port nor frames to one host count');
});

test('rules that somebody flushed come back with every guard, and do not keep ports from coming and going', async (t) => {
  const lab = await HostLab.start(t);
  const network = lab.network();
  await network.setUp();
  const flush = () => lab.run(lab.name, 'nft', 'flush', 'ruleset');
  const guards = async () => {
    const text = await lab.run(lab.name, 'nft', 'list', 'set', 'bridge', 'weave-ts', 'guarded');
    return (text.match(/vethwe\w+/g) ?? []).sort();
  };
  const hasRules = async () => {
    const text = await lab.run(lab.name, 'nft', 'list', 'ruleset');
    return text.includes('goto guard') && text.includes('dport 6783');
  };
  const guard = (n: number) => ({
    hostInterface: `vethwe${n}`,
    mac: `02:00:00:00:00:0${n}`,
    addresses: [{ family: 4, value: 0x0a200000n + BigInt(n) } as const],
  });
  await network.setUp({ masquerade: [], guards: [guard(1), guard(2)] });
  await flush();
  await network.unplug('vethwe1');
  t.deepEqual(await guards(), ['vethwe2']);
  await flush();
  const name = await lab.container();
  const namespace = await network.open(name);
  const plan = { ...guard(3), interface: 'eth0', mtu: 1_388, routes: [], hairpin: false, guarded: true };
  const cidrs = { addresses: [{ ip: guard(3).addresses[0]!, prefix: 12 }], hostMac: '02:00:00:00:00:13' };
  await network.plug({ ...plan, ...cidrs }, namespace);
  await namespace.close();
  t.deepEqual(await guards(), ['vethwe2', 'vethwe3']);
  for (const spoil of [flush, () => lab.run(lab.name, 'nft', 'flush', 'table', 'bridge', 'weave-ts')]) {
    await spoil();
    t.false(await hasRules());
    await network.repair();
    t.deepEqual(await guards(), ['vethwe2', 'vethwe3']);
    t.true(await hasRules());
  }
});

test('a start takes three programs, a check none while nothing changes, and sees what does', async (t) => {
  const lab = await HostLab.start(t);
  let programs = 0;
  const run = lab.commands.run.bind(lab.commands);
  lab.commands.run = (program, ...rest) => {
    // Of a namespace apart, files are read by a program too.
    if (program !== 'cat') programs++;
    return run(program, ...rest);
  };
  await lab.ip(lab.name, [['tuntap', 'add', 'dev', 'weave-tap', 'mode', 'tap']]);
  await preflight(lab.commands, { bridge: 'weave', tap: 'weave-tap' }, RANGE);
  const network = lab.network();
  const attachments = lab.attachments(network);
  await network.setUp(attachments.restored());
  await network.adoptTap();
  t.is(programs, 3, 'what the host has, our rules, and the chains of others');
  await attachments.readopt();
  t.is(programs, 4, 'and ports that nobody knows');
  await attachments.attach({ target: await lab.container(), addresses: [] });
  const check = async () => {
    programs = 0;
    lab.now += 120_000;
    await attachments.check();
    return programs;
  };
  await check();
  t.is(await check(), 0);
  await lab.run(lab.name, 'nft', 'flush', 'ruleset');
  t.true((await check()) > 0);
  await check();
  t.is(await check(), 0);
  await lab.run(lab.name, 'nft', 'add', 'table', 'inet', 'other');
  t.true((await check()) > 0);
  await lab.ip(lab.name, [['link', 'set', 'dev', 'weave-tap', 'nomaster']]);
  t.true((await check()) > 0);
  t.is((await listLinks(lab.commands)).find((link) => link.name === 'weave-tap')?.master, 'weave');
});

test('a port that is gone meanwhile is not put back into the bridge', async (t) => {
  const lab = await HostLab.start(t);
  await lab.network().setUp();
  const place = { kernel: new Kernel(), netns: lab.commands.netns, bridge: 'weave' };
  await t.notThrowsAsync(rejoin(place, 'vethwe404'));
  await t.throwsAsync(rejoin({ ...place, bridge: 'nowhere' }, 'lo'), {
    message: 'cannot find the interface nowhere: No such device (ENODEV)',
  });
});

test('a daemon in its own namespace, entered from outside, does the same', async (t) => {
  const lab = await HostLab.start(t);
  await lab.outside();
  const target = await lab.container();
  const from = (path: string): string =>
    JSON.stringify(new URL(`../../plugin/host/${path}.js`, import.meta.url));
  const program = `
    const { HostCommands } = await import(${from('commands')});
    const { HostNetwork, preflight, defaultBridgeMtu } = await import(${from('host-network')});
    const host = new HostCommands();
    const names = { bridge: 'weave', tap: 'weave-tap' };
    const range = { ip: { family: 4, value: 0x0a200000n }, prefix: 12 };
    const mtu = defaultBridgeMtu(await preflight(host, names, range), [names], undefined);
    const network = new HostNetwork(host,
      { ...names, mac: '7a:00:00:00:00:01', mtu, range, controlPort: 6783, changeFirewall: true });
    await network.setUp();
    const namespace = await network.open(${JSON.stringify(target)});
    const addresses = [{ ip: { family: 4, value: 0x0a200001n }, prefix: 12 }];
    const plan = { hostInterface: 'vethwe1', interface: 'ethwe', mac: '02:00:00:00:00:07', mtu, addresses,
      routes: [], hostMac: '02:00:00:00:00:08', hairpin: false, guarded: false };
    await network.plug(plan, namespace);
    await network.expose({ addresses: [{ ip: { family: 4, value: 0x0a200002n }, prefix: 12 }], masquerade: [], remove: [] });
    console.log(mtu, [...await network.ports()].join());`;
  const words = ['netns', 'exec', lab.name, process.execPath, '--input-type=module', '-e', program];
  t.is(await runProgram('ip', words), '1388 vethwe1\n');
  t.true(await lab.pings(lab.name, '10.32.0.1'));
  t.is(await lab.run(lab.name, 'cat', '/proc/sys/net/ipv6/conf/weave/accept_ra'), '0\n');
  const inner = await lab.run(target, 'ip', '-details', 'link', 'show', 'dev', 'ethwe');
  t.regex(inner, /gso_max_size 59760 /);
});

test('clean removes attached interfaces, TAP, bridge and tables, and may be repeated', async (t) => {
  const lab = await HostLab.start(t);
  const network = lab.network();
  await network.setUp();
  await lab.ip(lab.name, [['tuntap', 'add', 'dev', 'weave-tap', 'mode', 'tap']]);
  await network.adoptTap();
  const attachments = lab.attachments(network);
  await attachments.attach({ target: await lab.container(), addresses: [] });
  t.true(await hasTables(new Kernel(), lab.commands.netns));
  await network.clean();
  await network.clean();
  t.false(await hasTables(new Kernel(), lab.commands.netns));
  t.deepEqual(
    (await listLinks(lab.commands)).map((link) => link.name),
    ['lo'],
  );
  t.is(await lab.run(lab.name, 'nft', 'list', 'tables'), '');
});

test('a bridge of somebody else under our name stays whole, with its ports, TAP and tables', async (t) => {
  const lab = await HostLab.start(t);
  await lab.ip(lab.name, [
    ['link', 'add', 'name', 'weave', 'type', 'bridge'],
    ['tuntap', 'add', 'dev', 'weave-tap', 'mode', 'tap'],
    ['link', 'set', 'dev', 'weave-tap', 'master', 'weave'],
    ['link', 'add', 'name', 'vethwe012345678', 'type', 'veth', 'peer', 'name', 'x'],
    ['link', 'set', 'dev', 'vethwe012345678', 'master', 'weave'],
    ['link', 'add', 'name', 'vethwe0123abcde', 'type', 'veth', 'peer', 'name', 'y'],
    ['address', 'add', '10.32.0.1/12', 'dev', 'weave'],
  ]);
  await lab.run(lab.name, 'nft', 'add', 'table', 'inet', 'weave-ts');
  const shown = async (): Promise<string> =>
    (await lab.run(lab.name, 'ip', '-o', 'address')) +
    (await lab.run(lab.name, 'ip', '-o', 'link')) +
    (await lab.run(lab.name, 'nft', 'list', 'tables'));
  const before = await shown();
  const former = lab.network().settings;
  await t.throwsAsync(lab.network().clean(), {
    message: /weave is not the bridge with the MAC .*nothing is removed/,
  });
  t.is(await shown(), before);
  const other = { bridge: 'other', tap: 'other-tap' };
  await t.throwsAsync(preflight(lab.commands, other, RANGE, [former]), { message: /10\.32\.0\.1/ });
  await lab.ip(lab.name, [['link', 'add', 'name', 'other', 'type', 'bridge']]);
  const withOther = await shown();
  t.is(await lab.network({ bridge: 'other' }).replace(former, [cidr('10.32.0.1/12')]), undefined);
  t.is(await shown(), withOther);
});

test('a start that fails beside the bridge of a former run removes its own and guards the former one again', async (t) => {
  const lab = await HostLab.start(t);
  const first = lab.network();
  await first.setUp();
  const second = lab.network({ bridge: 'other' });
  await second.setUp();
  await second.giveBack([first.settings]);
  const names = (await listLinks(lab.commands)).map(({ name }) => name);
  t.deepEqual(names.sort(), ['lo', 'weave']);
  const rules = await lab.run(lab.name, 'nft', 'list', 'chain', 'inet', 'weave-ts', 'input');
  t.regex(rules, /iifname "weave" .* drop/);
  t.notRegex(rules, /other/);
  await second.setUp();
  await first.clean();
  const after = await lab.run(lab.name, 'ip', '-o', 'link');
  await second.giveBack([first.settings]);
  t.is(await lab.run(lab.name, 'ip', '-o', 'link'), after, 'the former one is gone: what there is stays');
});

test('what could not be taken over from a former run is told, and tried again at each repair until it succeeds', async (t) => {
  const lab = await HostLab.start(t);
  const network = lab.network();
  await network.setUp();
  let tries = 0;
  await network.untilDone(() => (++tries < 3 ? Promise.reject(new Error('busy')) : Promise.resolve()));
  await network.repair();
  const told = network.problems().filter((problem) => problem.endsWith('could not be taken over: busy'));
  t.is(told.length, 1);
  await network.repair();
  await network.repair();
  t.is(tries, 3);
  t.false(network.problems().some((problem) => problem.includes('taken over')));
});

test('clean leaves a bridge that has ports of others, and tells of them', async (t) => {
  const lab = await HostLab.start(t);
  const network = lab.network();
  await network.setUp();
  await lab.ip(lab.name, [
    ['tuntap', 'add', 'dev', 'weave-tap', 'mode', 'tap'],
    ['link', 'add', 'name', 'vethwepl4711', 'type', 'veth', 'peer', 'name', 'x'],
    ['link', 'set', 'dev', 'vethwepl4711', 'master', 'weave'],
  ]);
  await network.adoptTap();
  await t.throwsAsync(network.clean(), { message: /weave has ports of others \(vethwepl4711\) and stays/ });
  const names = (await listLinks(lab.commands)).map(({ name }) => name);
  t.deepEqual(names.sort(), ['lo', 'vethwepl4711', 'weave', 'x']);
  t.false(await hasTables(new Kernel(), lab.commands.netns));
});

test('of a bridge with another name the attached interfaces move over, the rest goes, unless somebody else is in it', async (t) => {
  const lab = await HostLab.start(t);
  const first = lab.network();
  await first.setUp();
  const attachments = lab.attachments(first);
  await attachments.expose([], true);
  await attachments.attach({ target: await lab.container(), addresses: [] });
  await lab.ip(lab.name, [
    ['tuntap', 'add', 'dev', 'weave-tap', 'mode', 'tap'],
    ['tuntap', 'add', 'dev', 'foreign', 'mode', 'tap'],
    ['link', 'set', 'dev', 'foreign', 'master', 'weave'],
  ]);
  const former = first.settings;
  await t.throwsAsync(preflight(lab.commands, { bridge: 'other', tap: 'other-tap' }, RANGE));
  await preflight(lab.commands, { bridge: 'other', tap: 'other-tap' }, RANGE, [former]);
  const second = lab.network({ bridge: 'other' });
  const again = lab.attachments(second);
  await second.setUp(again.restored());
  const { addresses } = again.restored();
  t.deepEqual(await second.replace(former, addresses), { moved: 1, kept: true });
  await again.readopt();
  t.true(await lab.pings(lab.name, '10.32.0.2'));
  t.notRegex(await lab.run(lab.name, 'ip', 'address', 'show', 'dev', 'weave'), /10\.32/);
  await lab.ip(lab.name, [['link', 'delete', 'dev', 'foreign']]);
  t.deepEqual(await second.replace(former, addresses), { moved: 0, kept: false });
  await lab.ip(lab.name, [['tuntap', 'add', 'dev', 'weave-tap', 'mode', 'tap']]);
  t.is(await second.replace(former, addresses), undefined, 'only a TAP was left');
  const names = (await listLinks(lab.commands)).map(({ name }) => name.replace(/^vethwe.*/, 'port'));
  t.deepEqual(names.sort(), ['lo', 'other', 'port']);
});

test('a restarted daemon takes up bridge, exposure and attachments, and mends a lost bridge', async (t) => {
  const lab = await HostLab.start(t);
  const first = lab.network();
  await first.setUp();
  const attachments = lab.attachments(first);
  const name = await lab.container();
  await attachments.attach({ target: name, addresses: [], defaultRoute: true });
  await lab.ip(lab.name, [['link', 'delete', 'dev', 'weave']]);
  const second = lab.network();
  await second.setUp();
  const again = lab.attachments(second);
  await again.readopt();
  t.deepEqual(
    (await again.ps()).map((row) => row.state),
    ['attached', 'attached'],
  );
  t.true(await lab.pings(lab.name, '10.32.0.1'));
  t.deepEqual(lab.macs.at(-1)?.length, 24);
});
