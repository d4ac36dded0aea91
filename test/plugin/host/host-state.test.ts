import test from 'ava';
import { parseIp } from '../../../core/address.ts';
import { pack } from '../../../core/msgpack.ts';
import { parsePeerName } from '../../../core/peer-name.ts';
import { bridgesHere, recordBridges, recordedBridges } from '../../../plugin/host/bridge-record.ts';
import { isInterfaceName, tapName } from '../../../plugin/host/bridge.ts';
import type { Link, Route } from '../../../plugin/host/link-query.ts';
import {
  attachmentMac,
  bridgeMac,
  concatMacs,
  hostInterfaceName,
  isHostInterfaceName,
} from '../../../plugin/host/mac-address.ts';
import { rulesetText } from '../../../plugin/host/nftables.ts';
import {
  capabilityProblem,
  programProblem,
  rangeProblem,
  tunProblem,
} from '../../../plugin/host/preflight.ts';
import { gsoMaxSize, underlayMtu } from '../../../plugin/host/underlay-mtu.ts';
import { cidr } from './host-fakes.ts';

const range = cidr('10.32.0.0/12');
const own = new Set(['weave', 'weave-tap']);
const route = (destination: string, name: string | undefined, type = 'unicast'): Route => ({
  destination: cidr(destination),
  interface: name,
  via: undefined,
  type,
  main: true,
  metric: 0,
});

test('the ruleset renews the rules of both tables, keeps counters and guards, and masquerades nothing unless asked', (t) => {
  const text = rulesetText({ bridge: 'weave', range, masquerade: [], controlPort: 6783 });
  t.regex(text, /iifname "weave" meta l4proto \{ tcp, udp \} th dport 6783 counter name control_port drop/);
  t.regex(
    text,
    /oifname != "weave" meta l4proto \{ tcp, udp \} th dport 6783 counter name control_port drop/,
  );
  const chains = ['inet weave-ts input', 'inet weave-ts forward', 'inet weave-ts postrouting'];
  for (const chain of [...chains, 'bridge weave-ts prerouting', 'bridge weave-ts guard']) {
    t.true(text.includes(`flush chain ${chain}\n`));
  }
  t.false(/flush set|delete/.test(text));
  t.false(text.includes(' masquerade'));
});

test('exposed subnets are masqueraded but for traffic within the mesh', (t) => {
  const masquerade = [
    cidr('10.33.0.1/16'),
    cidr('10.33.9.9/24'),
    cidr('192.0.2.9/24'),
    cidr('2001:db8::1/64'),
  ];
  const text = rulesetText({ bridge: 'weave', range, masquerade, controlPort: 6783 });
  const lines = text.split('\n').filter((line) => line.includes('masquerade'));
  t.deepEqual(
    lines.map((line) => line.trim()),
    [
      'ip saddr { 10.33.0.0/16, 192.0.2.0/24 } oifname != "weave" ip daddr != { 10.32.0.0/12, 192.0.2.0/24, 224.0.0.0/4 } masquerade fully-random',
      'ip6 saddr { 2001:db8::/64 } oifname != "weave" ip6 daddr != { 2001:db8::/64, ff00::/8 } masquerade fully-random',
    ],
  );
});

for (const [what, routes, addresses, expected] of [
  ['a default route', [route('0.0.0.0/0', 'eth0')], [], undefined],
  ['the halves of a VPN', [route('0.0.0.0/1', 'tun0')], [], undefined],
  ["the bridge's own", [route('10.32.0.0/12', 'weave')], [['weave', '10.32.0.1/12']], undefined],
  ['apart', [route('192.0.2.0/24', 'eth0')], [['eth0', '192.0.2.1/24']], undefined],
  ['a local entry', [route('10.32.0.9/32', 'eth0', 'local')], [], undefined],
  ['a route within', [route('10.40.0.0/16', 'eth0')], [], "the host's route 10.40.0.0/16 on eth0"],
  ['a route around', [route('10.0.0.0/8', undefined, 'blackhole')], [], "the host's route 10.0.0.0/8"],
  ['an address', [], [['eth0', '10.40.0.1/24']], 'the address 10.40.0.1/24 of eth0'],
] as const) {
  test(`a range meets ${what}: ${expected === undefined ? 'fine' : 'refused, naming both'}`, (t) => {
    const list = addresses.map(([name, text]) => ({ interface: name, cidr: cidr(text) }));
    const problem = rangeProblem(range, routes, list, own);
    const sentence = `the address range 10.32.0.0/12 overlaps ${expected ?? ''}: choose another --ipalloc-range`;
    t.is(problem, expected === undefined ? undefined : sentence);
  });
}

test('the capabilities for networks are needed, and no others', (t) => {
  t.is(capabilityProblem('Name:\tx\nCapEff:\t0000000000003000\n'), undefined);
  t.regex(capabilityProblem('CapEff:\t0000000000001000\n')!, /run it as root/);
  t.regex(capabilityProblem('CapEff:\t0000000000000000\n')!, /CAP_NET_ADMIN/);
});

test('a file that is not the TUN device is told from it', (t) => {
  const device = (isDevice: boolean, rdev: number) => ({ isCharacterDevice: () => isDevice, rdev });
  t.is(tunProblem(device(true, 0x0ac8)), undefined);
  t.regex(tunProblem(device(true, 0x0103)) ?? '', /is not the TUN device: .*mknod/);
  t.regex(tunProblem(device(false, 0x0ac8)) ?? '', /is not the TUN device/);
});

test('a program that would not start is told by name with its package, without starting it', (t) => {
  t.is(programProblem('nft', 'there', 'nftables'), undefined);
  const missing = 'the program nft is not installed: install the package nftables';
  t.is(programProblem('nft', 'missing', 'nftables'), missing);
  const refused = 'the program nft is not executable: chmod +x it, or reinstall nftables';
  t.is(programProblem('nft', 'not executable', 'nftables'), refused);
});

const link = (name: string, mtu: number, extra: Partial<Link> = {}): Link => ({
  name,
  index: 1,
  mtu,
  mac: '',
  up: true,
  operational: true,
  loopback: false,
  master: undefined,
  kind: undefined,
  ...extra,
});

test('the underlay MTU is that of the default routes, else of the listening address, else the smallest', (t) => {
  const links = [
    link('lo', 65536, { loopback: true }),
    link('eth0', 1500),
    link('eth1', 9000),
    link('wlan0', 1300, { up: false }),
    link('weave', 1000),
    link('vethwe1', 900, { master: 'weave' }),
  ];
  const addresses = [{ interface: 'eth1', cidr: cidr('192.0.2.1/24') }];
  const mtu = (routes: Route[], listen?: string): number =>
    underlayMtu(links, routes, addresses, own, listen === undefined ? undefined : parseIp(listen));
  t.is(mtu([route('0.0.0.0/0', 'eth1')]), 9000);
  t.is(mtu([route('0.0.0.0/0', 'eth1'), route('::/0', 'eth0')], '192.0.2.1'), 1500);
  t.is(mtu([route('192.0.2.0/24', 'eth0')], '192.0.2.1'), 9000);
  t.is(mtu([], '192.0.2.7'), 1500);
  t.is(underlayMtu([], [], [], own, undefined), 1500);
});

for (const mtu of [1280, 1388, 8888, 65_000]) {
  test(`a super-frame at MTU ${mtu} fits one train`, (t) => {
    const segments = Math.ceil((gsoMaxSize(mtu) - 40) / (mtu - 60));
    t.true(segments <= 64 && segments * (mtu + 48) <= 65_507 + 1);
    t.true(gsoMaxSize(mtu) > Math.min(55_000, mtu - 61));
  });
}

test('MACs are unicast, locally administered, stable, and differ between hosts, ids and interfaces', (t) => {
  const [a, b] = [parsePeerName('01:02:03:04:05:06')!, parsePeerName('01:02:03:04:05:07')!];
  t.is(bridgeMac(a), '02:02:03:04:05:06');
  const macs = [
    attachmentMac(a, 'x', 'ethwe'),
    attachmentMac(b, 'x', 'ethwe'),
    attachmentMac(a, 'y', 'ethwe'),
    attachmentMac(a, 'x', 'eth1'),
  ];
  t.is(new Set(macs).size, 4);
  t.is(attachmentMac(a, 'x', 'ethwe'), macs[0]!);
  for (const mac of macs) t.is(Number.parseInt(mac.slice(0, 2), 16) & 3, 2);
  t.is(Buffer.from(concatMacs([macs[0]!, 'bad', bridgeMac(a), bridgeMac(a)])).length, 12);
  t.is(
    Buffer.from(concatMacs(['02:00:00:00:00:02', '02:00:00:00:00:01'])).toString('hex'),
    '020000000001020000000002',
  );
});

test('bridges are remembered in order with MAC and place; what is no such record is not believed', (t) => {
  const place = { namespace: '4:4026531840', boot: 'b', socket: '/run/a.sock' };
  const own = (bridge: string, mac = '7a:00:00:00:00:01') => ({ bridge, tap: `${bridge}-tap`, mac });
  const stored = (...bridges: ReturnType<typeof own>[]) => {
    const { key, value } = recordBridges({ bridges, place });
    return new Map([[key, value!]]);
  };
  const both = [own('weave'), own('other', '7a:00:00:00:00:02')];
  t.deepEqual(recordedBridges(stored(...both)), { bridges: both, place });
  t.deepEqual(recordedBridges(stored()), { bridges: [], place });
  t.deepEqual(recordedBridges(stored(own('we/ave'), own('weave', 'x'), own('other')))?.bridges, [
    own('other'),
  ]);
  t.is(recordedBridges(new Map()), undefined);
  const { key } = recordBridges({ bridges: [], place });
  for (const value of [1, ['weave'], [[['weave', both[0]!.mac]], 'ns', 'b']]) {
    t.is(recordedBridges(new Map([[key, pack(value)]])), undefined);
  }
});

test('a recorded bridge is here only in its network namespace and until the next boot', (t) => {
  const place = { namespace: '4:4026531840', boot: 'b', socket: '/run/a.sock' };
  const bridges = [{ bridge: 'weave', tap: 'weave-tap', mac: '7a:00:00:00:00:01' }];
  const record = { bridges, place };
  t.deepEqual(bridgesHere(record, { ...place, socket: '/run/b.sock' }), bridges);
  t.deepEqual(bridgesHere(record, { ...place, boot: 'c' }), []);
  t.deepEqual(bridgesHere(record, { ...place, namespace: '4:4026532000' }), []);
  t.deepEqual(bridgesHere(undefined, place), []);
});

test('interface names keep to the limits of the kernel', (t) => {
  t.is(hostInterfaceName('netns:1').length, 15);
  t.true(isHostInterfaceName(hostInterfaceName('netns:1')));
  for (const name of ['vethwepl12345', 'vethwe-bridge', 'vethwe0123456789', 'veth012345678']) {
    t.false(isHostInterfaceName(name), name);
  }
  t.is(tapName('weave'), 'weave-tap');
  t.is(tapName('a-long-bridge-1').length, 15);
  for (const name of ['weave', 'a', 'eth0.5', '123456789012345']) t.true(isInterfaceName(name), name);
  for (const name of ['', '.', '..', 'a b', 'a/b', '1234567890123456', 'a:1', 'a"', 'a%d', '#']) {
    t.false(isInterfaceName(name), name);
  }
});
