import test from 'ava';
import { listAddresses, listLinks } from '../../plugin/host/link-query.ts';
import { HostLab } from './host-lab.ts';

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

test('an interface of the bridge name that is no bridge is refused', async (t) => {
  const lab = await HostLab.start(t);
  await lab.ip(lab.name, [['tuntap', 'add', 'dev', 'weave', 'mode', 'tap']]);
  await t.throwsAsync(lab.network().setUp(), { message: /^the interface weave is not a bridge/ });
});

test('a range that the host uses already is refused', async (t) => {
  const lab = await HostLab.start(t);
  await lab.outside();
  await lab.ip(lab.name, [['route', 'add', '10.40.0.0/16', 'via', '192.0.2.2']]);
  await t.throwsAsync(lab.network().setUp(), {
    message:
      "the address range 10.32.0.0/12 overlaps the host's route 10.40.0.0/16 on eth0: choose another --ipalloc-range",
  });
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
  t.deepEqual(await attachments.hide([]), ['10.32.0.1/12']);
  t.deepEqual(await attachments.hide([]), []);
  t.false(await lab.pings(lab.name, '10.32.0.2'));
  t.deepEqual(lab.held(), ['10.32.0.2/12']);
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
  t.regex(reporting.firewallProblems().join(), /filter_FORWARD of the nftables table inet firewalld drops/);
  const before = await lab.run(lab.name, 'nft', 'list', 'table', 'inet', 'firewalld');
  const network = lab.network();
  await network.setUp();
  t.deepEqual(network.firewallProblems(), []);
  const attachments = lab.attachments(network);
  const [a, b] = [await lab.container(), await lab.container()];
  await attachments.attach({ target: a, addresses: [] });
  await attachments.attach({ target: b, addresses: [] });
  t.true(await lab.pings(a, '10.32.0.2'));
  await network.clean();
  t.is(await lab.run(lab.name, 'nft', 'list', 'table', 'inet', 'firewalld'), before);
});

test('attached namespaces cannot reach the control port of the host, nor answer DHCP', async (t) => {
  const lab = await HostLab.start(t);
  const network = lab.network();
  await network.setUp();
  const rules = await lab.run(lab.name, 'nft', 'list', 'ruleset');
  t.regex(rules, /iifname "weave" tcp dport 6783 drop/);
  t.regex(rules, /iifname "vethwe\*" .*nd-router-advert/);
  t.regex(rules, /iifname "vethwe\*" .*udp sport 67 udp dport 68 drop/);
});

test('clean removes attached interfaces, TAP, bridge and tables, and may be repeated', async (t) => {
  const lab = await HostLab.start(t);
  const network = lab.network();
  await network.setUp();
  await lab.ip(lab.name, [['tuntap', 'add', 'dev', 'weave-tap', 'mode', 'tap']]);
  await network.adoptTap();
  const attachments = lab.attachments(network);
  await attachments.attach({ target: await lab.container(), addresses: [] });
  await network.clean();
  await network.clean();
  t.deepEqual(
    (await listLinks(lab.commands)).map((link) => link.name),
    ['lo'],
  );
  t.is(await lab.run(lab.name, 'nft', 'list', 'tables'), '');
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
