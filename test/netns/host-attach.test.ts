import test from 'ava';
import { spawn } from 'node:child_process';
import { listAddresses, listLinks } from '../../plugin/host/link-query.ts';
import { hostInterfaceName } from '../../plugin/host/mac-address.ts';
import { HostLab } from './host-lab.ts';

test('two attached namespaces reach each other at once, with the MTU of the bridge', async (t) => {
  const lab = await HostLab.start(t);
  const network = lab.network();
  await network.setUp();
  const attachments = lab.attachments(network);
  const [a, b] = [await lab.container(), await lab.container()];
  const one = await attachments.attach({ target: a, addresses: [] });
  const two = await attachments.attach({ target: b, addresses: ['ip:10.40.0.9/12'], interface: 'mesh0' });
  t.like(one, { addresses: ['10.32.0.1/12'], interface: 'ethwe', mtu: 1388, notes: [] });
  t.like(two, { addresses: ['10.40.0.9/12'], interface: 'mesh0' });
  t.true(await lab.pings(a, '10.40.0.9'));
  const inner = (await listLinks(lab.commands.inside(`/run/netns/${b}`))).find((l) => l.name === 'mesh0');
  t.like(inner, { mtu: 1388, mac: two.mac, up: true });
  t.is(
    (await lab.run(b, 'ip', 'route')).trim(),
    '10.32.0.0/12 dev mesh0 proto kernel scope link src 10.40.0.9',
  );
});

test('a name, a path and a pid of one namespace are one target', async (t) => {
  const lab = await HostLab.start(t);
  const network = lab.network();
  await network.setUp();
  const attachments = lab.attachments(network);
  const name = await lab.container();
  const child = spawn('nsenter', [`--net=/run/netns/${name}`, 'sleep', '60'], { stdio: 'ignore' });
  t.teardown(() => child.kill());
  await new Promise((resolve) => setTimeout(resolve, 200));
  const first = await attachments.attach({ target: String(child.pid), addresses: [] });
  for (const target of [name, `/run/netns/${name}`, String(child.pid)]) {
    await t.throwsAsync(attachments.attach({ target, addresses: [] }), {
      message: `cannot attach ${target}: it is attached already, with 10.32.0.1/12 on ethwe`,
    });
  }
  t.deepEqual(
    (await attachments.ps()).map((row) => [row.id, row.state]),
    [[first.id, 'attached']],
  );
  t.deepEqual(await attachments.detach(`/run/netns/${name}`, []), ['10.32.0.1/12']);
  t.deepEqual(await attachments.detach(name, []), []);
  t.deepEqual(
    await listAddresses(lab.commands.inside(`/run/netns/${name}`)).then((l) => l.map((a) => a.interface)),
    ['lo', 'lo'],
  );
  t.deepEqual(lab.held(), []);
});

test('further addresses go to the same interface and can be taken away one by one', async (t) => {
  const lab = await HostLab.start(t);
  const network = lab.network();
  await network.setUp();
  const attachments = lab.attachments(network);
  const name = await lab.container();
  await attachments.attach({ target: name, addresses: ['net:10.33.0.0/16'] });
  const more = await attachments.attach({ target: name, addresses: ['ip:10.34.0.7/16', 'net:10.33.0.0/16'] });
  t.deepEqual(more.addresses, ['10.33.0.1/16', '10.34.0.7/16']);
  t.deepEqual(await attachments.detach(name, ['net:10.33.0.0/16']), ['10.33.0.1/16']);
  const left = (await listAddresses(lab.commands.inside(`/run/netns/${name}`))).filter(
    (entry) => entry.interface === 'ethwe' && entry.cidr.ip.family === 4,
  );
  t.is(left.length, 1);
  t.deepEqual(lab.held(), ['10.34.0.7/16']);
});

test('an attached namespace gets a default route later, once', async (t) => {
  const lab = await HostLab.start(t);
  const network = lab.network();
  await network.setUp();
  const attachments = lab.attachments(network);
  const name = await lab.container();
  await attachments.attach({ target: name, addresses: [] });
  const request = { target: name, addresses: [], defaultRoute: true };
  t.deepEqual((await attachments.attach(request)).addresses, ['10.32.0.1/12']);
  t.is((await lab.run(name, 'ip', 'route', 'show', 'default')).trim(), 'default via 10.32.0.2 dev ethwe');
  await t.throwsAsync(attachments.attach({ ...request, addresses: ['10.32.0.9/12'] }), {
    message: `cannot attach ${name}: it already has a default route: leave out --default-route`,
  });
  t.deepEqual(lab.held(), ['10.32.0.1/12', '10.32.0.2/12']);
});

test('an attach that fails half-way leaves neither interface nor address', async (t) => {
  const lab = await HostLab.start(t);
  const network = lab.network();
  await network.setUp();
  const attachments = lab.attachments(network);
  const name = await lab.container();
  await lab.ip(name, [['link', 'add', 'name', 'ethwe', 'type', 'bridge']]);
  await t.throwsAsync(attachments.attach({ target: name, addresses: [] }), {
    message: `cannot attach ${name}: it already has an interface ethwe: remove it or choose another --interface`,
  });
  await lab.ip(name, [
    ['link', 'set', 'dev', 'ethwe', 'up'],
    ['route', 'add', 'default', 'dev', 'ethwe'],
  ]);
  const request = { target: name, addresses: [], interface: 'other', defaultRoute: true };
  await t.throwsAsync(attachments.attach(request), {
    message: `cannot attach ${name}: it already has a default route: leave out --default-route`,
  });
  t.deepEqual(await network.ports(), new Set());
  t.deepEqual(
    (await attachments.ps()).map((row) => row.id),
    ['weave:expose'],
  );
  t.deepEqual(lab.held(), ['10.32.0.2/12']);
});

test('a target that is no namespace, does not exist, or is the host is refused by name', async (t) => {
  const lab = await HostLab.start(t);
  const network = lab.network();
  const attachments = lab.attachments(network);
  for (const [target, message] of [
    ['wt-nowhere', /^there is no network namespace wt-nowhere: /],
    ['/etc/hostname', /^\/etc\/hostname is not a network namespace$/],
    ['/proc/self/ns/uts', /is not a network namespace$/],
    ['999999999', /^there is no network namespace and no process 999999999/],
    [lab.name, /is the host's own network namespace/],
    ['..', /neither a namespace path/],
  ] as const) {
    await t.throwsAsync(attachments.attach({ target, addresses: [] }), { message });
  }
});

test('the address of a removed namespace is usable in another at once, as it announces itself', async (t) => {
  const lab = await HostLab.start(t);
  const network = lab.network();
  await network.setUp();
  const attachments = lab.attachments(network);
  const [watcher, first, second] = [await lab.container(), await lab.container(), await lab.container()];
  await attachments.attach({ target: watcher, addresses: [] });
  await attachments.attach({ target: first, addresses: ['ip:10.32.0.77/12'] });
  t.true(await lab.pings(watcher, '10.32.0.77'));
  await attachments.detach(first, []);
  const { mac } = await attachments.attach({ target: second, addresses: ['ip:10.32.0.77/12'] });
  await new Promise((resolve) => setTimeout(resolve, 300));
  t.true((await lab.run(watcher, 'ip', 'neigh', 'show', '10.32.0.77')).includes(mac));
  const third = await lab.container();
  await attachments.attach({ target: third, addresses: [] });
  await attachments.detach(second, []);
  const added = await attachments.attach({ target: third, addresses: ['ip:10.32.0.77/12'] });
  await new Promise((resolve) => setTimeout(resolve, 300));
  t.true((await lab.run(watcher, 'ip', 'neigh', 'show', '10.32.0.77')).includes(added.mac));
});

test('an attachment whose namespace is removed is gone, and released 30 s later', async (t) => {
  const lab = await HostLab.start(t);
  const network = lab.network();
  await network.setUp();
  const attachments = lab.attachments(network);
  const name = await lab.container();
  const { id } = await attachments.attach({ target: name, addresses: [] });
  t.true((await network.ports()).has(hostInterfaceName(id)));
  await lab.removeNamespace(name);
  await new Promise((resolve) => setTimeout(resolve, 500));
  await attachments.check();
  t.is((await attachments.ps())[0]?.state, 'gone');
  lab.now = 29_999;
  await attachments.check();
  t.is((await attachments.ps()).length, 1);
  lab.now = 30_000;
  await attachments.check();
  t.deepEqual(await attachments.ps(), []);
  t.deepEqual(lab.held(), []);
});
