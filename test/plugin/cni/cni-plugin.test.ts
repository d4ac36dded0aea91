import test from 'ava';
import { BadNamespace, InterfaceExists, NoNamespace } from '../../../plugin/host/host-error.ts';
import { encodeCallBody } from '../../../plugin/cni/call-body.ts';
import { hostInterfaceName } from '../../../plugin/host/mac-address.ts';
import { cidr } from '../host/host-fakes.ts';
import { BRIDGE, CniBench, CONFIG, POD } from './cni-bench.ts';
import type { Answer } from './cni-bench.ts';

/** The numbers are those of the checklist in docs/CNI.md. */

test('row 3, 4, 5: what is missing or bad in the environment is error 4 that names it', async (t) => {
  const bench = new CniBench();
  const cases: [command: string, change: Record<string, string>, names: RegExp][] = [
    ['EXPLODE', {}, /CNI_COMMAND "EXPLODE"/],
    ['ADD', { CNI_NETNS: '', CNI_IFNAME: '' }, /CNI_NETNS, CNI_IFNAME/],
    ['CHECK', { CNI_CONTAINERID: '' }, /CNI_CONTAINERID/],
    ['DEL', { CNI_IFNAME: '' }, /CNI_IFNAME/],
    ['ADD', { CNI_NETNS: 'one' }, /CNI_NETNS "one"/],
    ['CHECK', { CNI_NETNS: '17' }, /CNI_NETNS "17"/],
    ['ADD', { CNI_CONTAINERID: 'a'.repeat(257) }, /CNI_CONTAINERID is 257 characters/],
    ['ADD', { CNI_CONTAINERID: '/a' }, /CNI_CONTAINERID "\/a"/],
    ['ADD', { CNI_CONTAINERID: '.a' }, /CNI_CONTAINERID/],
    ['ADD', { CNI_IFNAME: 'sixteen-letters-' }, /CNI_IFNAME "sixteen-letters-"/],
    ['ADD', { CNI_IFNAME: '..' }, /CNI_IFNAME/],
    ['ADD', { CNI_IFNAME: 'a/b' }, /CNI_IFNAME/],
    ['ADD', { CNI_IFNAME: 'a:b' }, /CNI_IFNAME/],
    ['ADD', { CNI_IFNAME: 'a b' }, /CNI_IFNAME/],
  ];
  for (const [command, change, names] of cases) {
    const { failed, json } = await bench.call(command, { ...POD, ...change });
    t.true(failed, command);
    t.is(json?.code, 4, JSON.stringify(change));
    t.regex(json!.msg!, names);
  }
  const long = { ...POD, CNI_CONTAINERID: 'a'.repeat(257) };
  t.false((await bench.call('DEL', long)).failed);
  t.false((await bench.call('DEL', { ...POD, CNI_NETNS: 'one' })).failed);
  t.deepEqual(bench.left(), []);
});

test('the configuration is refused as plugins on the official skeleton do it', async (t) => {
  const bench = new CniBench();
  const cases: [command: string, config: object | string, code: number, names: RegExp][] = [
    ['STATUS', { ...CONFIG, cniVersion: '1.0.0' }, 1, /STATUS does not exist in cniVersion 1\.0\.0/],
    ['GC', { ...CONFIG, cniVersion: '1.0.0' }, 1, /GC/],
    ['CHECK', { ...CONFIG, cniVersion: '0.3.1' }, 1, /CHECK/],
    ['ADD', { ...CONFIG, cniVersion: '2.0.0' }, 1, /2\.0\.0/],
    ['STATUS', { ...CONFIG, cniVersion: undefined }, 1, /0\.1\.0/],
    ['ADD', '{"cniVersion":', 6, /not JSON/],
    ['ADD', '', 6, /not JSON/],
    ['ADD', '[]', 7, /must be an object/],
    ['ADD', { ...CONFIG, name: undefined }, 7, /no name/],
    ['ADD', { ...CONFIG, name: 'a/b' }, 7, /name "a\/b"/],
    ['ADD', { ...CONFIG, mtu: 'big' }, 7, /mtu is "big"/],
    ['ADD', { ...CONFIG, mtu: 70 }, 7, /mtu "70"/],
    ['ADD', { ...CONFIG, ipam: { type: 'host-local' } }, 2, /ipam\.type is "host-local"/],
    ['ADD', { ...CONFIG, ipam: { subnet: '10.32.4.1/24' } }, 7, /10\.32\.4\.0\/24/],
    ['ADD', { ...CONFIG, ipam: { subnet: '10.99.4.0/24' } }, 7, /ipam\.subnet: it is not in the range/],
    [
      'ADD',
      { ...CONFIG, ipam: { subnet: '10.32.4.0/24', gateway: '10.33.0.1' } },
      7,
      /ipam\.gateway "10\.33\.0\.1"/,
    ],
    ['ADD', { ...CONFIG, ipam: { routes: [{ dst: 'there' }] } }, 7, /ipam\.routes\[0\]\.dst "there"/],
    ['ADD', { ...CONFIG, runtimeConfig: { ips: ['x'] } }, 7, /runtimeConfig\.ips "x"/],
  ];
  for (const [command, config, code, names] of cases) {
    const { failed, json } = await bench.call(command, POD, config);
    t.true(failed);
    t.is(json?.code, code, JSON.stringify(config));
    t.regex(json!.msg!, names);
  }
  t.deepEqual(bench.left(), []);
});

test('row 8, 9, 12: ADD makes the interface and answers with bridge, both ends, addresses and the default route', async (t) => {
  const bench = new CniBench();
  const { failed, json } = await bench.call('ADD');
  t.false(failed);
  const plan = bench.host.plans[0]!;
  t.like(plan, { interface: 'eth0', mtu: 1_388, hairpin: false, guarded: true });
  t.deepEqual(json, {
    cniVersion: '1.1.0',
    interfaces: [
      BRIDGE,
      { name: plan.hostInterface, mac: plan.hostMac, mtu: 1_388 },
      { name: 'eth0', mac: plan.mac, mtu: 1_388, sandbox: '/run/netns/one' },
    ],
    ips: [{ address: '10.32.0.1/12', gateway: '10.32.0.2', interface: 2 }],
    routes: [{ dst: '0.0.0.0/0', gw: '10.32.0.2' }],
    dns: {},
  });
  t.deepEqual(bench.held(), ['10.32.0.1/12 cni:mesh/pod1/eth0', '10.32.0.2/12 weave:expose']);
  t.is(bench.replays, 1);
});

test('row 12: results of older versions lack what is new, and name the family before 1.0.0', async (t) => {
  const bench = new CniBench();
  const dns = { nameservers: ['10.32.0.9'], search: ['mesh'] };
  const prevResult = {
    cniVersion: '1.1.0',
    interfaces: [
      {
        name: 'lo',
        mac: '00:00:00:00:00:00',
        mtu: 65_536,
        sandbox: '/run/netns/one',
        pciID: 'x',
        socketPath: 'y',
      },
    ],
    ips: [{ address: '127.0.0.1/8', interface: 0 }],
    routes: [{ dst: '10.9.0.0/16', gw: '10.9.0.1', mtu: 1_300, priority: 7 }],
  };
  for (const [i, cniVersion] of ['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'].entries()) {
    const config = { ...CONFIG, cniVersion, dns, prevResult };
    const { json } = await bench.call('ADD', { ...POD, CNI_CONTAINERID: `pod${i}` }, config);
    t.is(json?.cniVersion, cniVersion);
    t.deepEqual(json!.dns, dns);
    const isNew = cniVersion === '1.1.0';
    t.is('mtu' in json!.interfaces![3]!, isNew);
    t.is('pciID' in json!.interfaces![0]!, isNew);
    t.is('priority' in json!.routes![0]!, isNew);
    t.is('version' in json!.ips![0]!, cniVersion.startsWith('0.'));
  }
});

test('row 7: fields that runtimes add, capitalised, null or unknown, do no harm', async (t) => {
  const bench = new CniBench();
  const config = {
    ...CONFIG,
    'cni.dev/attachments': [],
    capabilities: { portMappings: true },
    args: { cni: null, other: 1 },
    runtimeConfig: {
      portMappings: [{ HostPort: 18_080, ContainerPort: 80, Protocol: 'tcp', HostIP: '' }],
      'io.kubernetes.cri.pod-annotations': null,
      ips: null,
    },
    ipam: null,
    mtu: null,
    prevResult: null,
    somethingNew: { deep: [1] },
  };
  const args = 'K8S_POD_NAME=web;IgnoreUnknown=1;K8S_POD_INFRA_CONTAINER_ID=x;;odd';
  t.false((await bench.call('ADD', { ...POD, CNI_ARGS: args }, config)).failed);
});

test('row 10: an interface that exists is refused, and nothing of the first is undone', async (t) => {
  const bench = new CniBench();
  await bench.call('ADD');
  const before = bench.left();
  const again = await bench.call('ADD');
  t.is(again.json?.code, 101);
  t.deepEqual(bench.left(), before);
  bench.host.failNext = undefined;
  const other = new CniBench();
  other.host.refuse = new InterfaceExists('it already has an interface eth0');
  t.is((await other.call('ADD')).json?.code, 101);
  t.deepEqual(other.left(), []);
  const prevResult = { interfaces: [{ name: 'eth0', sandbox: '/run/netns/one' }] };
  t.is((await other.call('ADD', POD, { ...CONFIG, prevResult })).json?.code, 101);
});

test('row 11: what earlier plugins of the chain made is passed on, and ours is added with its indices', async (t) => {
  const bench = new CniBench();
  const prevResult = {
    cniVersion: '1.1.0',
    interfaces: [{ name: 'net1', mac: '02:00:00:00:00:01', sandbox: '/run/netns/one' }],
    ips: [{ address: '192.0.2.7/24', gateway: '192.0.2.1', interface: 0 }],
    routes: [{ dst: '198.51.100.0/24', gw: '192.0.2.1' }],
    dns: { nameservers: ['192.0.2.53'] },
  };
  const { json } = await bench.call('ADD', POD, { ...CONFIG, prevResult });
  t.deepEqual(
    json!.interfaces!.map(({ name }) => name).filter((name) => !name.startsWith('veth')),
    ['net1', 'weave', 'eth0'],
  );
  t.deepEqual(
    json!.ips!.map((ip) => [ip.address, ip.interface]),
    [
      ['192.0.2.7/24', 0],
      ['10.32.0.1/12', 3],
    ],
  );
  t.deepEqual(json!.routes, [...prevResult.routes, { dst: '0.0.0.0/0', gw: '10.32.0.2' }]);
  t.deepEqual(json!.dns, prevResult.dns);
});

test('row 13: whatever fails in an ADD, nothing is left of it', async (t) => {
  const failures: ((bench: CniBench) => void)[] = [
    (bench) => (bench.host.failNext = 'no more veths'),
    (bench) => (bench.host.refuse = new Error('the interface cannot be made')),
    (bench) => (bench.store.failAfter = 0),
    (bench) => (bench.store.failAfter = 1),
    (bench) => (bench.store.failAfter = 2),
    (bench) => (bench.store.failAfter = 3),
    (bench) => (bench.addresses.failing = 'no free addresses'),
    (bench) => void bench.host.namespaces.delete('/run/netns/one'),
  ];
  for (const [i, fail] of failures.entries()) {
    const bench = new CniBench();
    fail(bench);
    const { failed, json } = await bench.call('ADD');
    t.true(failed, `failure ${i}`);
    t.truthy(json?.code);
    bench.store.failAfter = undefined;
    bench.addresses.failing = undefined;
    t.deepEqual([...bench.host.plugged.keys()], [], `failure ${i}`);
    // What the store could not be told is ended at the next start.
    await bench.attachments.readopt();
    t.deepEqual(bench.left(), [], `failure ${i}`);
    t.is(bench.host.opened, 0);
    bench.host.refuse = undefined;
    bench.host.namespaces.set('/run/netns/one', 'netns:1');
    t.false((await bench.call('ADD')).failed, `ADD after failure ${i}`);
  }
});

test('a runtime that gives up before ADD has an address, or while the interface is made, leaves nothing behind', async (t) => {
  const bench = new CniBench();
  const early = new AbortController();
  early.abort();
  t.true((await bench.call('ADD', POD, CONFIG, early.signal)).failed);
  t.deepEqual(bench.left(), []);
  const late = new AbortController();
  bench.host.whilePlugging = () => late.abort();
  t.true((await bench.call('ADD', POD, CONFIG, late.signal)).failed);
  t.is(bench.host.plans.length, 1);
  t.deepEqual(bench.left(), []);
});

test('row 14, 15, 16: DEL gives everything back; again, without namespace and without prevResult it succeeds', async (t) => {
  const bench = new CniBench();
  const { json } = await bench.call('ADD');
  const first = await bench.call('DEL', POD, { ...CONFIG, prevResult: json });
  t.deepEqual(first, { failed: false, json: undefined });
  t.deepEqual(bench.left(), []);
  t.false((await bench.call('DEL', { ...POD, CNI_NETNS: '' }, CONFIG)).failed);
  t.false((await bench.call('DEL', { CNI_CONTAINERID: 'never', CNI_IFNAME: 'eth0' }, CONFIG)).failed);
  bench.host.namespaces.delete('/run/netns/one');
  t.false((await bench.call('DEL')).failed);
});

test('row 16: DEL releases the address of a pod whose namespace is gone', async (t) => {
  const bench = new CniBench();
  await bench.call('ADD');
  bench.host.namespaces.clear();
  bench.host.plugged.clear();
  t.false((await bench.call('DEL', { ...POD, CNI_NETNS: '' })).failed);
  t.deepEqual(bench.left(), []);
});

test('row 17, 21: CHECK needs prevResult and is content straight after ADD', async (t) => {
  const bench = new CniBench();
  const { json } = await bench.call('ADD');
  t.is((await bench.call('CHECK')).json?.code, 7);
  t.deepEqual(await bench.call('CHECK', POD, { ...CONFIG, prevResult: json }), {
    failed: false,
    json: undefined,
  });
});

test('row 18: CHECK does not mind what later plugins add', async (t) => {
  const bench = new CniBench();
  const { json } = await bench.call('ADD');
  const prevResult = {
    ...json,
    interfaces: [...json!.interfaces!, { name: 'ifb0', mac: '02:00:00:00:00:09' }],
    ips: [...json!.ips!, { address: '192.0.2.9/24', interface: 3 }],
    routes: [...json!.routes!, { dst: '203.0.113.0/24', gw: '192.0.2.1' }],
  };
  bench.change = (state) => ({ ...state, routes: [...state.routes, state.routes[0]!] });
  t.false((await bench.call('CHECK', POD, { ...CONFIG, prevResult })).failed);
});

test('row 19, 20: CHECK names what is missing or changed', async (t) => {
  const bench = new CniBench();
  const { json } = await bench.call('ADD');
  const other = { ip: { family: 4, value: 1n }, prefix: 12 } as const;
  const cases: [change: CniBench['change'], names: RegExp][] = [
    [(state) => ({ ...state, inner: undefined }), /interface eth0 is missing/],
    [(state) => ({ ...state, inner: { mac: '02:00:00:00:00:01', up: true } }), /MAC of eth0/],
    [(state) => ({ ...state, inner: { ...state.inner!, up: false } }), /is down/],
    [(state) => ({ ...state, master: undefined }), /not in the bridge/],
    [(state) => ({ ...state, addresses: [] }), /address 10\.32\.0\.1\/12 is missing/],
    [(state) => ({ ...state, routes: [] }), /route 0\.0\.0\.0\/0 via 10\.32\.0\.2 is missing/],
    [(state) => ({ ...state, allocated: [other] }), /not allocated to this pod/],
    [(state) => ({ ...state, guarded: false }), /rules that guard/],
  ];
  for (const [change, names] of cases) {
    bench.change = change;
    const checked = await bench.call('CHECK', POD, { ...CONFIG, prevResult: json });
    t.is(checked.json?.code, 103);
    t.regex(checked.json!.msg!, names);
  }
  bench.change = (state) => state;
  await bench.call('DEL');
  t.regex((await bench.call('CHECK', POD, { ...CONFIG, prevResult: json })).json!.msg!, /no such pod/);
});

test('row 23, 24: STATUS tells whether ADD can be served, and ADD does not ask for it', async (t) => {
  const bench = new CniBench();
  t.deepEqual(await bench.call('STATUS', {}), { failed: false, json: undefined });
  bench.obstacle = { message: 'the address range is exhausted', limitsPods: false };
  t.like((await bench.call('STATUS', {})).json, { code: 50, msg: 'the address range is exhausted' });
  bench.obstacle = { message: 'the bridge is broken', limitsPods: true };
  t.is((await bench.call('STATUS', {})).json?.code, 51);
  t.false((await bench.call('ADD')).failed);
});

test('row 26, 28: GC drops what is not listed, in its own network only, and prints nothing', async (t) => {
  const bench = new CniBench();
  const two = { CNI_CONTAINERID: 'pod2', CNI_NETNS: '/run/netns/two', CNI_IFNAME: 'eth0' };
  await bench.call('ADD');
  await bench.call('ADD', two);
  await bench.call('ADD', { ...POD, CNI_IFNAME: 'net1' }, { ...CONFIG, name: 'other' });
  const valid = [{ containerID: 'pod2', ifname: 'eth0' }];
  const collected = await bench.call('GC', {}, { ...CONFIG, 'cni.dev/valid-attachments': valid });
  t.deepEqual(collected, { failed: false, json: undefined });
  t.deepEqual(
    bench.held().map((line) => line.split(' ')[1]),
    ['weave:expose', 'cni:mesh/pod2/eth0', 'cni:other/pod1/net1'],
  );
  await bench.call('GC', {}, { ...CONFIG, 'cni.dev/valid-attachments': [] });
  t.deepEqual(
    bench.held().map((line) => line.split(' ')[1]),
    ['weave:expose', 'cni:other/pod1/net1'],
  );
});

test('row 26: GC without a list of what is valid drops nothing that lives', async (t) => {
  const bench = new CniBench();
  await bench.call('ADD');
  const before = bench.left();
  t.false((await bench.call('GC', {}, CONFIG)).failed);
  t.false((await bench.call('GC', {}, { ...CONFIG, 'cni.dev/valid-attachments': null })).failed);
  t.deepEqual(bench.left(), before);
});

test('row 26: GC and a start remove ports that no record knows', async (t) => {
  const bench = new CniBench();
  bench.host.plugged.set('vethwe000000000', []);
  await bench.call('GC', {}, CONFIG);
  t.deepEqual([...bench.host.plugged.keys()], []);
  bench.host.plugged.set('vethwe000000000', []);
  await bench.attachments.readopt();
  t.deepEqual([...bench.host.plugged.keys()], []);
});

test('row 27: GC goes on after a failure and reports it at the end', async (t) => {
  const bench = new CniBench();
  await bench.call('ADD');
  await bench.call('ADD', { CNI_CONTAINERID: 'pod2', CNI_NETNS: '/run/netns/two', CNI_IFNAME: 'eth0' });
  const stuck = [...bench.host.plugged.keys()][0]!;
  bench.host.stuck = stuck;
  const { failed, json } = await bench.call('GC', {}, { ...CONFIG, 'cni.dev/valid-attachments': [] });
  t.true(failed);
  t.regex(json!.msg!, /device or resource busy/);
  t.deepEqual([...bench.host.plugged.keys()], [stuck]);
});

test('row 29: VERSION echoes the version it was asked with, and works without input', async (t) => {
  const bench = new CniBench();
  const supportedVersions = ['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'];
  t.like((await bench.call('VERSION', {}, '')).json, { cniVersion: '1.1.0', supportedVersions });
  t.like((await bench.call('VERSION', {}, { cniVersion: '0.4.0' })).json, {
    cniVersion: '0.4.0',
    supportedVersions,
  });
});

test('row 30: as an IPAM plugin it answers addresses only, and makes no interface', async (t) => {
  const bench = new CniBench();
  const program = { ...POD, WEAVE_TS_PROGRAM: 'weave-ts-ipam' };
  const ipam = {
    type: 'weave-ts-ipam',
    subnet: '10.33.0.0/16',
    gateway: '10.33.255.1',
    routes: [{ dst: '0.0.0.0/0' }],
  };
  const config = { ...CONFIG, type: 'bridge', ipam };
  const { json } = await bench.call('ADD', program, config);
  t.deepEqual(json, {
    cniVersion: '1.1.0',
    ips: [{ address: '10.33.0.1/16', gateway: '10.33.255.1' }],
    routes: [{ dst: '0.0.0.0/0' }],
    dns: {},
  } as never);
  t.deepEqual((await bench.call('ADD', program, config)).json, json);
  t.deepEqual([...bench.host.plugged.keys()], []);
  t.false((await bench.call('CHECK', program, config)).failed);
  t.false((await bench.call('STATUS', program, config)).failed);
  t.false(
    (
      await bench.call('GC', program, {
        ...config,
        'cni.dev/valid-attachments': [{ containerID: 'pod1', ifname: 'eth0' }],
      })
    ).failed,
  );
  t.deepEqual(bench.held(), ['10.33.0.1/16 cni-ipam:mesh/pod1/eth0']);
  t.false((await bench.call('DEL', program, config)).failed);
  t.deepEqual(bench.left(), []);
  t.is((await bench.call('CHECK', program, config)).json?.code, 103);
});

test('row 20, 32: CHECK as an IPAM plugin misses an address that was released behind its back', async (t) => {
  const bench = new CniBench();
  const program = { ...POD, WEAVE_TS_PROGRAM: 'weave-ts-ipam' };
  const two = { ...CONFIG, args: { cni: { ips: ['10.40.0.8', '10.41.0.9'] } } };
  await bench.call('ADD', program, two);
  t.false((await bench.call('CHECK', program)).failed);
  await bench.addresses.release('cni-ipam:mesh/pod1/eth0', cidr('10.41.0.9/12'));
  t.is((await bench.call('CHECK', program)).json?.code, 103);
});

test('row 22, 25, 32: there are no delegates: another IPAM plugin is refused where it would be called', async (t) => {
  const bench = new CniBench();
  const config = { ...CONFIG, ipam: { type: 'host-local' } };
  const { json } = await bench.call('ADD');
  for (const command of ['ADD', 'CHECK']) {
    const refused = await bench.call(command, POD, { ...config, prevResult: json });
    t.is(refused.json?.code, 2, command);
  }
  t.false((await bench.call('STATUS', {}, config)).failed);
  t.false((await bench.call('GC', {}, { ...config, 'cni.dev/valid-attachments': [] })).failed);
  t.deepEqual(bench.left(), []);
});

test('static addresses come from the ips capability, args or CNI_ARGS; one that is taken is error 102', async (t) => {
  const bench = new CniBench();
  const two = { CNI_CONTAINERID: 'pod2', CNI_NETNS: '/run/netns/two', CNI_IFNAME: 'eth0' };
  const first = await bench.call('ADD', { ...POD, CNI_ARGS: 'IgnoreUnknown=1;IP=10.40.0.7' });
  t.is(first.json?.ips?.[0]?.address, '10.40.0.7/12');
  const runtimeConfig = { ips: ['10.40.0.7/12'] };
  const taken = await bench.call('ADD', two, { ...CONFIG, runtimeConfig });
  t.is(taken.json?.code, 102);
  t.regex(taken.json!.msg!, /10\.40\.0\.7 is taken/);
  const both = await bench.call('ADD', two, {
    ...CONFIG,
    args: { cni: { ips: ['10.40.0.8', '10.41.0.9/16'] } },
  });
  t.deepEqual(
    both.json?.ips?.map(({ address }) => address),
    ['10.40.0.8/12', '10.41.0.9/16'],
  );
});

test('subnet, gateway, routes, mtu and hairpin mode of the configuration are obeyed', async (t) => {
  const bench = new CniBench();
  const ipam = {
    subnet: '10.33.4.0/24',
    gateway: '10.33.4.99',
    routes: [{ dst: '192.168.0.0/16' }, { dst: '172.16.0.0/12', gw: '10.33.4.50' }],
  };
  const { json } = await bench.call('ADD', POD, { ...CONFIG, mtu: 1_200, hairpinMode: true, ipam });
  t.like(bench.host.plans[0], { mtu: 1_200, hairpin: true });
  t.deepEqual(json!.ips, [{ address: '10.33.4.1/24', gateway: '10.33.4.99', interface: 2 }]);
  t.deepEqual(json!.routes, [
    { dst: '192.168.0.0/16', gw: '10.33.4.99' },
    { dst: '172.16.0.0/12', gw: '10.33.4.50' },
  ]);
  t.deepEqual(
    json!.interfaces!.map(({ mtu }) => mtu),
    [1_388, 1_200, 1_200],
  );
});

test('a namespace that is missing is error 4, one that cannot be attached error 8', async (t) => {
  const bench = new CniBench();
  bench.host.openError = new NoNamespace('there is no network namespace /run/netns/x');
  t.like((await bench.call('ADD')).json, {
    code: 4,
    msg: 'CNI_NETNS: there is no network namespace /run/netns/x',
  });
  bench.host.openError = new BadNamespace("/proc/1/ns/net is the host's own network namespace");
  t.is((await bench.call('ADD')).json?.code, 8);
  t.deepEqual(bench.left(), []);
});

test('an allocation that fails is for later, and a lease whose namespace is gone is released', async (t) => {
  const bench = new CniBench();
  bench.addresses.failing = 'no free addresses';
  t.like((await bench.call('ADD')).json, { code: 11, msg: 'no free addresses' });
  bench.addresses.failing = undefined;
  const program = { ...POD, CNI_NETNS: '/nowhere/one', WEAVE_TS_PROGRAM: 'weave-ts-ipam' };
  bench.host.namespaces.set('/nowhere/one', 'netns:3');
  t.false((await bench.call('ADD', program)).failed);
  await bench.attachments.check();
  t.is(bench.left().length, 2);
  bench.now += 31_000;
  await bench.attachments.check();
  t.deepEqual(bench.left(), []);
  t.is(bench.host.opened, 0);
});

test('a lease for a namespace that the daemon cannot see is released by DEL or GC only', async (t) => {
  const bench = new CniBench();
  const program = { ...POD, CNI_NETNS: '/unseen/one', WEAVE_TS_PROGRAM: 'weave-ts-ipam' };
  for (const end of ['DEL', 'GC']) {
    t.false((await bench.call('ADD', program)).failed);
    for (let i = 0; i < 2; i++) {
      bench.now += 31_000;
      await bench.attachments.check();
      t.false((await bench.call('GC', program, CONFIG)).failed);
    }
    t.deepEqual(bench.held(), ['10.32.0.1/12 cni-ipam:mesh/pod1/eth0']);
    t.deepEqual(await bench.attachments.detach('', []), []);
    await bench.call(end, program, { ...CONFIG, 'cni.dev/valid-attachments': [] });
    t.deepEqual(bench.left(), []);
  }
});

test('DEL and STATUS read nothing of the configuration but version and name, GC only what is valid', async (t) => {
  const bench = new CniBench();
  const edited = {
    ...CONFIG,
    mtu: 'big',
    ipam: { type: 'host-local', routes: 7 },
    prevResult: { interfaces: 'none', ips: [{ address: 1, interface: 9 }] },
    runtimeConfig: { ips: ['x'] },
    dns: 3,
  };
  for (const [command, more] of [
    ['DEL', { ...edited, 'cni.dev/valid-attachments': 'x' }],
    ['GC', { ...edited, 'cni.dev/valid-attachments': [] }],
  ] as const) {
    t.false((await bench.call('ADD')).failed);
    t.false((await bench.call('STATUS', {}, { ...edited, 'cni.dev/valid-attachments': 'x' })).failed);
    t.false((await bench.call(command, { ...POD, CNI_ARGS: 'IP=x' }, more)).failed);
    t.deepEqual(bench.left(), []);
  }
  t.is((await bench.call('DEL', POD, { ...edited, name: '' })).json?.code, 7);
  t.is((await bench.call('DEL', POD, { ...edited, cniVersion: '9.0.0' })).json?.code, 1);
});

test('row 28: a list of valid attachments that names nothing is refused before anything is touched', async (t) => {
  const bench = new CniBench();
  await bench.call('ADD');
  const before = bench.left();
  for (const entry of [
    {},
    { containerID: 'pod1' },
    { ifname: 'eth0' },
    { containerID: '', ifname: 'eth0' },
    'pod1',
  ]) {
    const config = { ...CONFIG, 'cni.dev/valid-attachments': [entry] };
    const { json } = await bench.call('GC', {}, config);
    t.is(json?.code, 7);
    t.regex(json!.msg!, /^cni\.dev\/valid-attachments\[0\]/);
  }
  t.deepEqual(bench.left(), before);
});

test('row 26: GC releases at once what has lost its interface, in its own network', async (t) => {
  const bench = new CniBench();
  await bench.call('ADD');
  await bench.call('ADD', { ...POD, CNI_CONTAINERID: 'pod2' }, { ...CONFIG, name: 'other' });
  bench.host.plugged.clear();
  t.false((await bench.call('GC', {}, CONFIG)).failed);
  t.deepEqual(bench.held(), ['10.32.0.2/12 weave:expose', '10.32.0.3/12 cni:other/pod2/eth0']);
});

test('an address that is given at the moment in which the runtime gives up goes back', async (t) => {
  const bench = new CniBench();
  bench.addresses.tooLate = true;
  for (const program of ['weave-ts', 'weave-ts-ipam']) {
    t.true((await bench.call('ADD', { ...POD, WEAVE_TS_PROGRAM: program })).failed);
    t.deepEqual([bench.held(), bench.left()], [[], []]);
  }
  await t.throwsAsync(bench.attachments.expose([], true));
  t.deepEqual(bench.held(), []);
  bench.addresses.tooLate = false;
  await bench.attachments.attach({ target: '/run/netns/two', addresses: [] });
  bench.addresses.tooLate = true;
  const more = { target: '/run/netns/two', addresses: ['net:10.33.0.0/16'] };
  await t.throwsAsync(bench.attachments.attach(more));
  t.deepEqual(bench.held(), ['10.32.0.1/12 netns:2']);
});

test('addresses of pods that no record knows are released by DEL, GC and a start, those of others never', async (t) => {
  const bench = new CniBench();
  const others = ['10.32.9.1/12 somebody', '10.32.9.2/12 weave:expose'];
  for (const line of others) bench.addresses.held.set(line.split(' ')[0]!, line.split(' ')[1]!);
  const ends = [
    () => bench.call('DEL', { ...POD, CNI_CONTAINERID: 'lost' }),
    () => bench.call('GC', {}, CONFIG),
    () => bench.attachments.readopt(),
  ];
  for (const end of ends) {
    bench.addresses.held.set('10.32.0.7/12', 'cni:mesh/lost/eth0');
    await end();
    t.deepEqual(bench.held(), others);
  }
  bench.addresses.held.set('10.32.0.7/12', 'cni-ipam:mesh/lost/eth0');
  await bench.call('GC', {}, CONFIG);
  t.deepEqual(bench.held(), others);
});

test('a DEL that is still queued makes an ADD of the same pod wait, not one of another', async (t) => {
  const bench = new CniBench();
  const queued = (environment: Readonly<Record<string, string>>): Buffer =>
    encodeCallBody({
      environment: new Map(Object.entries({ CNI_COMMAND: 'DEL', ...environment })),
      input: JSON.stringify(CONFIG),
    });
  const other = queued({ ...POD, CNI_CONTAINERID: 'pod2' });
  const rubbish = queued({ CNI_IFNAME: 'a/b' });
  bench.replayed = Promise.resolve([Buffer.from('rubbish'), rubbish, other, queued(POD)]);
  t.like((await bench.call('ADD')).json, { code: 11 });
  t.deepEqual(bench.left(), []);
  bench.replayed = Promise.resolve([rubbish, other]);
  t.false((await bench.call('ADD')).failed);
});

test('a runtime that gives up need not wait for the queue of DELs', async (t) => {
  const bench = new CniBench();
  bench.replayed = new Promise(() => undefined);
  const gone = new AbortController();
  const answer = bench.call('ADD', POD, CONFIG, gone.signal);
  gone.abort();
  t.true((await answer).failed);
  t.deepEqual(bench.left(), []);
});

test('row 26: an ADD whose beginning is not written down yet is nothing that leaked', async (t) => {
  const bench = new CniBench();
  await bench.attachments.expose([], true);
  let release: () => void = () => undefined;
  bench.store.held = new Promise((resolve) => (release = resolve));
  const added = bench.call('ADD');
  while (bench.held().length < 2) await new Promise((resolve) => setImmediate(resolve));
  const collected = bench.call('GC', {}, CONFIG);
  for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve));
  release();
  t.false((await added).failed);
  t.false((await collected).failed);
  t.deepEqual(bench.held(), ['10.32.0.1/12 weave:expose', '10.32.0.2/12 cni:mesh/pod1/eth0']);
  t.is(bench.host.plugged.size, 1);
});

test('row 26: a port that comes while strays are removed stays', async (t) => {
  const bench = new CniBench();
  const port = hostInterfaceName('cni:mesh/pod1/eth0');
  for (const first of ['vethwe000000000', port]) {
    bench.host.plugged.set('vethwe000000000', []);
    bench.host.plugged.set(port, []);
    let added: Promise<Answer> | undefined;
    bench.host.whileUnplugging = async (unplugged) => {
      if (unplugged !== first || added !== undefined) return;
      added = bench.call('ADD');
      for (let i = 0; i < 100; i++) await Promise.resolve();
    };
    await bench.attachments.removeStrayPorts();
    t.false((await added)?.failed);
    t.deepEqual([...bench.host.plugged.keys()], [port], `while ${first} was removed`);
    await bench.call('DEL');
  }
});

test('only finished ports are put back into the bridge', async (t) => {
  const bench = new CniBench();
  await bench.call('ADD');
  const finished = [...bench.host.plugged.keys()];
  // It can neither be made nor undone, and stays pending.
  bench.host.refuse = new Error('no more veths');
  bench.host.stuck = hostInterfaceName('cni:mesh/pod2/eth0');
  await bench.call('ADD', { ...POD, CNI_CONTAINERID: 'pod2' });
  bench.host.plugged.set(bench.host.stuck, []);
  await bench.attachments.check();
  t.deepEqual(bench.host.rejoined, finished);
});

test('what cannot work is refused: an MTU above that of the bridge, an IPv6 address without a prefix', async (t) => {
  const bench = new CniBench();
  const cases: [config: object, names: RegExp][] = [
    [{ mtu: 1_389 }, /mtu 1389 is more than the 1388 of the bridge weave/],
    [{ runtimeConfig: { ips: ['fd00::7'] } }, /fd00::7 needs the prefix/],
  ];
  for (const [config, names] of cases) {
    const { json } = await bench.call('ADD', POD, { ...CONFIG, ...config });
    t.is(json?.code, 7);
    t.regex(json!.msg!, names);
  }
  t.deepEqual(bench.left(), []);
  t.false((await bench.call('ADD', POD, { ...CONFIG, mtu: 1_388 })).failed);
});

test('the gateway stands beside addresses whose subnet contains it, and beside no others', async (t) => {
  const bench = new CniBench();
  const config = { ...CONFIG, args: { cni: { ips: ['10.33.4.7/24', '10.34.0.7/16'] } } };
  const { json } = await bench.call('ADD', POD, { ...config, ipam: { gateway: '10.33.4.99' } });
  t.deepEqual(
    json!.ips!.map(({ gateway }) => gateway),
    ['10.33.4.99', undefined],
  );
});

test('row 22: CHECK of a namespace that is missing is error 4, of one that is none error 8', async (t) => {
  const bench = new CniBench();
  const { json } = await bench.call('ADD');
  const check = () => bench.call('CHECK', POD, { ...CONFIG, prevResult: json });
  for (const [error, code] of [
    [new NoNamespace('there is no network namespace /run/netns/one'), 4],
    [new BadNamespace('/run/netns/one is not a network namespace'), 8],
  ] as const) {
    bench.change = () => {
      throw error;
    };
    t.like((await check()).json, { code, msg: `CNI_NETNS: ${error.message}` });
  }
});

test('a restart guards the ports of pods again', async (t) => {
  const bench = new CniBench();
  await bench.call('ADD');
  await bench.attachments.attach({ target: '/run/netns/two', addresses: [] });
  const guarded = bench.attachments.restored().guards.map(({ hostInterface }) => hostInterface);
  t.deepEqual(guarded, [bench.host.plans[0]!.hostInterface]);
});

test('a lease for another plugin is given whatever the MTU of its interface and whether that is there already', async (t) => {
  const bench = new CniBench();
  const config = {
    ...CONFIG,
    type: 'bridge',
    mtu: 1_500,
    ipam: { type: 'weave-ts-ipam' },
    prevResult: {
      cniVersion: '1.1.0',
      interfaces: [{ name: 'eth0', sandbox: POD.CNI_NETNS }],
      ips: [],
    },
  };
  const { failed, json } = await bench.call('ADD', { ...POD, WEAVE_TS_PROGRAM: 'weave-ts-ipam' }, config);
  t.false(failed, json?.msg ?? '');
  t.is(json?.ips?.length, 1);
  t.is((await bench.call('ADD', POD, { ...config, type: 'weave-ts' })).json?.code, 101);
});
