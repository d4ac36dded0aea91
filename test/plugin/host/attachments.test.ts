import test from 'ava';
import { formatIp, parseIp } from '../../../core/address.ts';
import { toHex } from '../../../core/bytes.ts';
import { silentLog } from '../../../core/log.ts';
import { parsePeerName } from '../../../core/peer-name.ts';
import { Attachments } from '../../../plugin/host/attachments.ts';
import { decodeRecord, encodeRecord } from '../../../plugin/host/attachment-record.ts';
import { hostInterfaceName } from '../../../plugin/host/mac-address.ts';
import { FakeAddresses, FakeHost, MemoryStore, cidr } from './host-fakes.ts';

const BRIDGE_MAC = '7a:00:00:00:00:01';

class Bench {
  readonly host = new FakeHost();
  readonly addresses = new FakeAddresses(cidr('10.32.0.0/12'));
  readonly store = new MemoryStore();
  readonly macs: string[] = [];
  now = 1_000;
  service = this.start();

  constructor() {
    this.host.namespaces.set('red', 'netns:1').set('/run/netns/red', 'netns:1').set('blue', 'netns:2');
  }

  /** A daemon that begins with what the store holds. */
  start(): Attachments {
    this.service = new Attachments({
      bridge: 'weave',
      mac: BRIDGE_MAC,
      mtu: 1388,
      defaultSubnet: this.addresses.defaultSubnet,
      peer: parsePeerName('7a:00:00:00:00:01')!,
      host: this.host,
      addresses: this.addresses,
      store: this.store,
      log: silentLog,
      now: () => this.now,
      onLocalMacs: (macs) => void this.macs.push(toHex(macs)),
    });
    return this.service;
  }

  held(): string[] {
    return [...this.addresses.held].map(([address, id]) => `${address} ${id}`).sort();
  }
}

test('attach gives an address, an interface and a MAC that the data plane is told of', async (t) => {
  const bench = new Bench();
  const result = await bench.service.attach({ target: 'red', addresses: [] });
  t.like(result, { id: 'netns:1', addresses: ['10.32.0.1/12'], interface: 'ethwe', mtu: 1388 });
  t.deepEqual(bench.held(), ['10.32.0.1/12 netns:1']);
  const macs = [BRIDGE_MAC, result.mac].map((mac) => mac.replaceAll(':', '')).sort();
  t.is(bench.macs.at(-1), macs.join(''));
  await bench.service.detach('red', []);
  t.is(bench.macs.at(-1), BRIDGE_MAC.replaceAll(':', ''));
  t.is(bench.host.opened, 0);
  t.is(bench.store.values.size, 0);
});

test('an attached target without a new address is refused, naming its address', async (t) => {
  const bench = new Bench();
  await bench.service.attach({ target: 'red', addresses: [] });
  for (const addresses of [[], ['net:default'], ['10.32.0.1/12']]) {
    await t.throwsAsync(bench.service.attach({ target: '/run/netns/red', addresses }), {
      message: 'cannot attach /run/netns/red: it is attached already, with 10.32.0.1/12 on ethwe',
    });
  }
  t.is((await bench.service.ps())[0]?.state, 'attached');
});

test('two attaches of one target at once make one attachment', async (t) => {
  const bench = new Bench();
  const results = await Promise.allSettled([
    bench.service.attach({ target: 'red', addresses: [] }),
    bench.service.attach({ target: '/run/netns/red', addresses: [] }),
  ]);
  t.deepEqual(
    results.map((result) => result.status),
    ['fulfilled', 'rejected'],
  );
  t.is(bench.host.plans.length, 1);
});

test('an address that another id has is refused, and what was got before it is given back', async (t) => {
  const bench = new Bench();
  await bench.service.attach({ target: 'red', addresses: ['10.32.0.9/12'] });
  await t.throwsAsync(
    bench.service.attach({ target: 'blue', addresses: ['net:10.33.0.0/16', '10.32.0.9/12'] }),
    {
      message: 'cannot attach blue: 10.32.0.9 is taken by netns:1',
    },
  );
  t.deepEqual(bench.held(), ['10.32.0.9/12 netns:1']);
  t.is((await bench.service.ps()).length, 1);
});

test('an address in a network of the host is neither attached nor exposed', async (t) => {
  const bench = new Bench();
  const refused = { message: /192\.0\.2\.1\/24 overlaps/ };
  await t.throwsAsync(bench.service.attach({ target: 'red', addresses: ['192.0.2.1/24'] }), refused);
  await t.throwsAsync(bench.service.expose(['192.0.2.1/24'], true), refused);
  t.deepEqual([bench.held(), bench.store.values.size], [[], 0]);
});

test('a kernel that refuses leaves no address, no record and no interface', async (t) => {
  const bench = new Bench();
  bench.host.failNext = 'no buffer space';
  await t.throwsAsync(bench.service.attach({ target: 'red', addresses: [] }), { message: /no buffer space/ });
  t.deepEqual([bench.held(), bench.store.values.size, bench.host.plugged.size], [[], 0, 0]);
  await bench.service.attach({ target: 'red', addresses: [] });
  bench.host.failNext = 'no buffer space';
  await t.throwsAsync(bench.service.attach({ target: 'red', addresses: ['10.32.0.9/12'] }));
  t.deepEqual(bench.held(), ['10.32.0.1/12 netns:1']);
  t.deepEqual(await bench.service.ps().then((rows) => rows.map((row) => [row.addresses, row.state])), [
    [['10.32.0.1/12'], 'attached'],
  ]);
});

test('a store that cannot write fails the attach before anything else is changed', async (t) => {
  const bench = new Bench();
  bench.store.failing = true;
  await t.throwsAsync(bench.service.attach({ target: 'red', addresses: [] }), { message: /disk full/ });
  t.deepEqual([bench.held(), bench.host.plugged.size], [[], 0]);
});

test('giving up the wait for an address undoes the attach', async (t) => {
  const bench = new Bench();
  const signal = AbortSignal.abort(new Error('given up'));
  await t.throwsAsync(bench.service.attach({ target: 'red', addresses: [], signal }), {
    message: /given up/,
  });
  t.is(bench.store.values.size, 0);
});

test('another interface for a further address is refused', async (t) => {
  const bench = new Bench();
  await bench.service.attach({ target: 'red', addresses: [] });
  const request = { target: 'red', addresses: ['10.32.0.9/12'], interface: 'eth7' };
  await t.throwsAsync(bench.service.attach(request), { message: /attached as ethwe/ });
  await t.throwsAsync(bench.service.attach({ ...request, interface: 'a/b' }), {
    message: /not an interface name/,
  });
});

test('a default route exposes the bridge in the subnet of the address, once', async (t) => {
  const bench = new Bench();
  const request = { addresses: ['net:10.33.0.0/16'], defaultRoute: true };
  const result = await bench.service.attach({ target: 'red', ...request });
  await bench.service.attach({ target: 'blue', ...request });
  t.deepEqual(result.notes, ['forwarding is on']);
  t.deepEqual(bench.held(), ['10.33.0.1/16 netns:1', '10.33.0.2/16 weave:expose', '10.33.0.3/16 netns:2']);
  t.deepEqual(
    bench.host.plans.map((plan) => plan.routes[0]?.via),
    [cidr('10.33.0.2/16').ip, cidr('10.33.0.2/16').ip],
  );
});

test('a default route is added to what is attached already, with a further address or without', async (t) => {
  const bench = new Bench();
  await bench.service.attach({ target: 'red', addresses: ['10.32.0.9/12'] });
  const routed = await bench.service.attach({ target: 'red', addresses: [], defaultRoute: true });
  t.like(routed, { addresses: ['10.32.0.9/12'], notes: ['forwarding is on'] });
  const request = { target: 'red', addresses: ['net:10.33.0.0/16'], defaultRoute: true };
  t.deepEqual((await bench.service.attach(request)).addresses, ['10.32.0.9/12', '10.33.0.1/16']);
  t.deepEqual(
    bench.host.plans.map((plan) => plan.routes[0]?.via),
    [undefined, cidr('10.32.0.1/12').ip, cidr('10.33.0.2/16').ip],
  );
  bench.host.failNext = 'it already has a default route';
  await t.throwsAsync(bench.service.attach({ target: 'red', addresses: [], defaultRoute: true }));
  t.is((await bench.service.ps())[0]?.state, 'attached');
});

test('detach of part of the addresses keeps the rest, and of nothing is no error', async (t) => {
  const bench = new Bench();
  await bench.service.attach({ target: 'red', addresses: ['net:default', 'net:10.33.0.0/16'] });
  t.deepEqual(await bench.service.detach('red', ['10.32.0.99/12']), []);
  t.deepEqual(await bench.service.detach('red', ['net:default']), ['10.32.0.1/12']);
  t.deepEqual(bench.held(), ['10.33.0.1/16 netns:1']);
  t.deepEqual([...bench.host.plugged.values()], [['10.33.0.1/16']]);
  t.deepEqual(await bench.service.detach('blue', []), []);
  t.deepEqual(await bench.service.detach('nowhere', []), []);
  await t.throwsAsync(bench.service.detach('red', ['rubbish']), { message: /"rubbish" is not an address/ });
});

test('an attachment whose namespace has no name any more is detached by its target or id', async (t) => {
  const bench = new Bench();
  await bench.service.attach({ target: 'red', addresses: ['net:default', 'net:10.33.0.0/16'] });
  bench.host.namespaces.delete('red');
  await t.throwsAsync(bench.service.detach('red', ['net:default']), { message: /detach it as a whole/ });
  t.deepEqual(await bench.service.detach('red', []), ['10.32.0.1/12', '10.33.0.1/16']);
  t.is(bench.host.plugged.size, 0);
});

test('an attachment that is gone keeps its address for 30 s, and an attach in that time takes it up', async (t) => {
  const bench = new Bench();
  await bench.service.attach({ target: 'red', addresses: ['10.32.0.9/12'] });
  await bench.service.attach({ target: 'blue', addresses: ['10.32.0.8/12'] });
  bench.host.plugged.clear();
  await bench.service.check();
  t.deepEqual(
    (await bench.service.ps()).map((row) => row.state),
    ['gone', 'gone'],
  );
  t.is(bench.macs.at(-1), BRIDGE_MAC.replaceAll(':', ''));
  bench.now += 20_000;
  t.deepEqual((await bench.service.attach({ target: 'red', addresses: [] })).addresses, ['10.32.0.9/12']);
  bench.now += 10_000;
  await bench.service.check();
  t.deepEqual(bench.held(), ['10.32.0.9/12 netns:1']);
});

test('a restart undoes an attach that a crash cut short, and keeps what was complete', async (t) => {
  const bench = new Bench();
  await bench.service.attach({ target: 'blue', addresses: [] });
  await bench.service.attach({ target: 'red', addresses: [] });
  const record = decodeRecord(bench.store.values.get('attachments/netns:1')!)!;
  const crashed = encodeRecord({ ...record, addresses: [], pending: true });
  bench.store.values.set('attachments/netns:1', crashed);
  const service = bench.start();
  t.deepEqual(
    (await service.ps()).map((row) => row.state),
    ['incomplete', 'attached'],
  );
  await service.readopt();
  t.deepEqual(bench.held(), ['10.32.0.1/12 netns:2']);
  t.deepEqual([...bench.host.plugged.keys()], [hostInterfaceName('netns:2')]);
});

test('a half-made attachment is completed by another attach', async (t) => {
  const bench = new Bench();
  await bench.service.attach({ target: 'red', addresses: [] });
  const record = decodeRecord(bench.store.values.get('attachments/netns:1')!)!;
  bench.store.values.set('attachments/netns:1', encodeRecord({ ...record, addresses: [], pending: true }));
  bench.host.plugged.clear();
  const result = await bench.start().attach({ target: 'red', addresses: [] });
  t.deepEqual(result.addresses, ['10.32.0.1/12']);
  t.is((await bench.service.ps())[0]?.state, 'attached');
});

test('a restart takes back the address that a further attach had got when it was cut short', async (t) => {
  const bench = new Bench();
  await bench.service.attach({ target: 'red', addresses: [] });
  const before = decodeRecord(bench.store.values.get('attachments/netns:1')!)!;
  await bench.service.attach({ target: 'red', addresses: ['10.32.0.9/12'] });
  bench.store.values.set('attachments/netns:1', encodeRecord({ ...before, pending: true }));
  await bench.start().readopt();
  t.deepEqual(bench.held(), ['10.32.0.1/12 netns:1']);
  t.deepEqual([...bench.host.plugged.values()], [['10.32.0.1/12']]);
  t.is((await bench.service.ps())[0]?.state, 'attached');
});

test('expose is idempotent, remembers who is masqueraded, and comes back after a restart', async (t) => {
  const bench = new Bench();
  t.deepEqual((await bench.service.expose([], true)).addresses, ['10.32.0.1/12']);
  t.deepEqual((await bench.service.expose([], true)).addresses, ['10.32.0.1/12']);
  t.deepEqual((await bench.service.expose(['net:10.33.0.0/16'], false)).addresses, [
    '10.32.0.1/12',
    '10.33.0.1/16',
  ]);
  t.deepEqual(bench.host.exposure?.masquerade, [cidr('10.32.0.1/12')]);
  bench.host.exposure = undefined;
  t.deepEqual(bench.start().restored().masquerade, [cidr('10.32.0.1/12')]);
  await bench.service.readopt();
  t.like(bench.host.exposure, { masquerade: [cidr('10.32.0.1/12')], remove: [] });
  t.deepEqual(await bench.service.hide(['net:default']), ['10.32.0.1/12']);
  t.deepEqual(bench.held(), ['10.33.0.1/16 weave:expose']);
  t.deepEqual(await bench.service.hide([]), ['10.33.0.1/16']);
  t.deepEqual(await bench.service.hide([]), []);
  t.is(bench.store.values.size, 0);
});

test('a bridge that was made anew gets the addresses of the host again, if need be at the next check', async (t) => {
  const bench = new Bench();
  await bench.service.expose([], true);
  bench.host.exposure = undefined;
  await bench.service.check();
  t.is(bench.host.exposure, undefined);
  bench.host.broken = true;
  bench.host.failNext = 'no buffer space';
  await t.throwsAsync(bench.service.check(), { message: 'no buffer space' });
  await bench.service.check();
  t.like(bench.host.exposure, { addresses: [cidr('10.32.0.1/12')], remove: [] });
});

test('an expose that fails gives its address back and keeps what was exposed', async (t) => {
  const bench = new Bench();
  bench.host.failNext = 'no such device';
  await t.throwsAsync(bench.service.expose([], true), { message: 'no such device' });
  t.deepEqual([bench.held(), bench.store.values.size], [[], 0]);
  await bench.service.expose([], true);
  bench.host.failNext = 'no such device';
  await t.throwsAsync(bench.service.expose(['net:10.33.0.0/16'], true));
  t.deepEqual(bench.held(), ['10.32.0.1/12 weave:expose']);
  t.deepEqual((await bench.service.ps())[0]?.addresses, ['10.32.0.1/12']);
});

test('bytes that are no record are passed over', async (t) => {
  const bench = new Bench();
  for (const [key, value] of [
    ['attachments/a', new Uint8Array([0xc1])],
    ['attachments/b', Uint8Array.of(0x81, 0xa2, 0x69, 0x64, 0x07)],
    ['attachments/c', new Uint8Array()],
    ['other', new Uint8Array([1])],
  ] as const) {
    bench.store.values.set(key, value);
  }
  t.deepEqual(await bench.start().ps(), []);
});

test('while everything is taken off the mesh nothing comes on it, and afterwards it may again', async (t) => {
  const bench = new Bench();
  await bench.service.attach({ target: 'red', addresses: [] });
  await bench.service.expose([], true);
  const refused = { message: /giving up all its addresses \(weave-ts reset\): try again/ };
  await bench.service.withoutAny(async () => {
    t.deepEqual([bench.held(), bench.host.plugged.size, await bench.service.ps()], [[], 0, []]);
    await t.throwsAsync(bench.service.attach({ target: 'blue', addresses: [] }), refused);
    await t.throwsAsync(bench.service.attach({ target: 'blue', addresses: ['10.32.0.9/12'] }), refused);
    await t.throwsAsync(bench.service.expose([], true), refused);
    const lease = {
      target: 'blue',
      interface: 'eth0',
      wanted: [{ kind: 'allocate' }],
      signal: undefined,
    } as const;
    await t.throwsAsync(bench.service.lease('cni:1', lease), refused);
    t.deepEqual(await bench.service.detach('red', []), []);
  });
  t.deepEqual(bench.held(), []);
  await bench.service.attach({ target: 'blue', addresses: [] });
  t.deepEqual(bench.held(), ['10.32.0.1/12 netns:2']);
});

test('an attach that is under way when everything is taken off ends first, and is taken off too', async (t) => {
  const bench = new Bench();
  const refused = { message: /giving up all its addresses/ };
  const attaching = t.throwsAsync(bench.service.attach({ target: 'red', addresses: [] }), refused);
  await bench.service.withoutAny(async () => {
    await attaching;
    t.deepEqual([bench.held(), bench.host.plugged.size, bench.store.values.size], [[], 0, 0]);
  });
});

test('an attach that waits for an address does not hold up what takes everything off', async (t) => {
  const bench = new Bench();
  let asked: () => void = () => undefined;
  const asking = new Promise<void>((resolve) => (asked = resolve));
  bench.addresses.allocate = (_id, _subnet, signal) =>
    new Promise((_resolve, reject) => {
      signal!.addEventListener('abort', () => reject(new Error('given up')));
      asked();
    });
  const refused = { message: /giving up all its addresses/ };
  const attaching = t.throwsAsync(bench.service.attach({ target: 'red', addresses: [] }), refused);
  await asking;
  await bench.service.withoutAny(() => Promise.resolve());
  await attaching;
  t.is(bench.store.values.size, 0);
});

test('what takes everything off and fails lets attaches in again, even if it was asked twice', async (t) => {
  const bench = new Bench();
  await bench.service.attach({ target: 'red', addresses: [] });
  bench.host.stuck = [...bench.host.plugged.keys()][0]!;
  await t.throwsAsync(
    bench.service.withoutAny(() => Promise.resolve()),
    { message: /busy/ },
  );
  bench.host.stuck = undefined;
  let endFirst: () => void = () => undefined;
  const first = bench.service.withoutAny(() => new Promise<void>((resolve) => (endFirst = resolve)));
  await bench.service.withoutAny(() => Promise.resolve());
  await t.throwsAsync(bench.service.attach({ target: 'red', addresses: [] }), { message: /reset/ });
  endFirst();
  await first;
  await bench.service.attach({ target: 'red', addresses: [] });
  t.is(bench.held().length, 1);
});

test('an expose that waits for an address holds up no attach that needs none of the host, and others no longer than they want', async (t) => {
  const bench = new Bench();
  await bench.service.expose([], true);
  const given = bench.addresses.allocate.bind(bench.addresses);
  bench.addresses.allocate = (id, subnet, signal) =>
    id !== 'weave:expose'
      ? given(id, subnet, signal)
      : new Promise((_resolve, reject) => {
          signal!.addEventListener('abort', () => reject(new Error('given up')));
        });
  const patience = new AbortController();
  const exposing = t.throwsAsync(bench.service.expose(['net:10.33.0.0/16'], true, patience.signal));
  await bench.service.attach({ target: 'red', addresses: [], defaultRoute: true });
  t.deepEqual(bench.host.plans.at(-1)?.routes[0]?.via, cidr('10.32.0.1/12').ip);

  await t.throwsAsync(bench.service.hide(['rubbish']));
  t.deepEqual(await bench.service.hide(['net:10.33.0.0/16']), []);
  await bench.service.attach({ target: 'red', addresses: ['10.34.0.9/16'] });
  patience.abort();
  await exposing;
  t.deepEqual(bench.held(), ['10.32.0.1/12 weave:expose', '10.32.0.2/12 netns:1', '10.34.0.9/16 netns:1']);
  t.deepEqual(
    (await bench.service.ps()).map(({ state }) => state),
    ['attached', 'attached'],
  );
});

test('of exposes side by side one that fails takes nothing from the others, and what it got goes back', async (t) => {
  const bench = new Bench();
  const claim = bench.addresses.claim.bind(bench.addresses);
  let refuse: () => void = () => undefined;
  bench.addresses.claim = (id, wanted) =>
    wanted.prefix !== 24
      ? claim(id, wanted)
      : new Promise((_resolve, reject) => (refuse = () => reject(new Error('it is taken'))));
  const failing = t.throwsAsync(
    bench.service.expose(['net:10.33.0.0/16', 'net:10.35.0.0/16', '10.34.0.9/24'], false),
    { message: 'it is taken' },
  );
  t.deepEqual((await bench.service.expose(['net:10.33.0.0/16'], false)).addresses, ['10.33.0.1/16']);
  t.is((await bench.service.ps())[0]?.state, 'incomplete');
  refuse();
  await failing;
  t.deepEqual(bench.held(), ['10.33.0.1/16 weave:expose']);
  t.is((await bench.service.ps())[0]?.state, 'attached');
  t.deepEqual(bench.host.exposure?.addresses, [cidr('10.33.0.1/16')]);
});

test('what is hidden while it is being exposed stays hidden', async (t) => {
  const bench = new Bench();
  await bench.service.expose(['10.32.0.9/12'], true);
  const claim = bench.addresses.claim.bind(bench.addresses);
  let goOn: () => void = () => undefined;
  const waiting = new Promise<void>((resolve) => (goOn = resolve));
  bench.addresses.claim = (id, wanted) => (wanted.prefix === 24 ? waiting : claim(id, wanted));
  const exposing = bench.service.expose(['net:default', '10.34.0.9/24'], true);
  t.deepEqual(await bench.service.hide(['net:default']), ['10.32.0.9/12']);
  goOn();
  await t.throwsAsync(exposing, { message: /was hidden meanwhile/ });
  t.deepEqual([bench.held(), bench.store.values.size, bench.host.exposure?.addresses], [[], 0, []]);
});

test('many attaches that need the same gateway at once expose it once or twice', async (t) => {
  const bench = new Bench();
  let exposed = 0;
  const expose = bench.host.expose.bind(bench.host);
  bench.host.expose = (exposure) => {
    exposed++;
    return expose(exposure);
  };
  const names = Array.from({ length: 20 }, (_, i) => `many${i}`);
  for (const [i, name] of names.entries()) bench.host.namespaces.set(name, `netns:${100 + i}`);
  await Promise.all(
    names.map((target) => bench.service.attach({ target, addresses: [], defaultRoute: true })),
  );
  t.true(exposed <= 2, `${exposed} times`);
  t.is(new Set(bench.host.plans.map((plan) => plan.routes[0]?.via?.value)).size, 1);
  t.is(bench.held().filter((line) => line.endsWith('weave:expose')).length, 1);
});

test('a hide that failed halfway is ended by another one', async (t) => {
  const bench = new Bench();
  await bench.service.expose(['10.32.0.9/12', '10.33.0.9/16'], true);
  bench.host.failNext = 'no buffer space';
  await t.throwsAsync(bench.service.hide(['10.32.0.9/12']), { message: 'no buffer space' });
  t.deepEqual(await bench.service.hide(['10.32.0.9/12']), ['10.32.0.9/12']);
  t.like(bench.host.exposure, { addresses: [cidr('10.33.0.9/16')], remove: [cidr('10.32.0.9/12')] });
  t.deepEqual(bench.held(), ['10.33.0.9/16 weave:expose']);
  t.deepEqual(
    (await bench.service.ps()).map(({ state }) => state),
    ['attached'],
  );
});

test('a detach of part of the addresses that failed halfway is ended by another one', async (t) => {
  const bench = new Bench();
  await bench.service.attach({ target: 'red', addresses: ['10.32.0.9/12', '10.33.0.9/16'] });
  const remove = bench.host.removeAddresses.bind(bench.host);
  bench.host.removeAddresses = () => Promise.reject(new Error('no buffer space'));
  await t.throwsAsync(bench.service.detach('red', ['10.32.0.9/12']), { message: 'no buffer space' });
  bench.host.removeAddresses = remove;
  t.deepEqual(await bench.service.detach('red', ['10.32.0.9/12']), ['10.32.0.9/12']);
  t.deepEqual(
    [bench.held(), [...bench.host.plugged.values()]],
    [['10.33.0.9/16 netns:1'], [['10.33.0.9/16']]],
  );
  t.deepEqual(
    (await bench.service.ps()).map(({ state }) => state),
    ['attached'],
  );
});

test('a namespace that got the number of one that is gone gets none of its addresses', async (t) => {
  const bench = new Bench();
  await bench.service.attach({ target: 'red', addresses: ['10.32.0.9/12'] });
  bench.host.plugged.clear();
  bench.host.namespaces.delete('red');
  bench.host.namespaces.set('green', 'netns:1');
  const { addresses } = await bench.service.attach({ target: 'green', addresses: [] });
  t.deepEqual(addresses, ['10.32.0.1/12']);
  t.deepEqual(bench.held(), ['10.32.0.1/12 netns:1']);
});

test('routes through an address of the host go when that is hidden, and come back, over a restart, with another of its subnet', async (t) => {
  const bench = new Bench();
  await bench.service.attach({ target: 'blue', addresses: [], defaultRoute: true });
  await bench.service.attach({ target: 'red', addresses: [] });
  const routes = () =>
    [...bench.host.routes].flatMap(([id, list]) => list.map(({ via }) => `${id} ${formatIp(via)}`));
  t.deepEqual(routes(), ['netns:2 10.32.0.2']);
  await bench.service.hide(['net:10.33.0.0/16']);
  t.deepEqual(routes(), ['netns:2 10.32.0.2'], 'nothing was hidden');
  await bench.service.hide([]);
  t.deepEqual(routes(), []);
  const service = bench.start();
  await service.check();
  await service.expose(['203.0.113.9/24'], true);
  t.deepEqual(routes(), [], 'of another subnet');
  bench.addresses.held.set('10.32.0.2/12', 'another');
  await service.expose(['net:default'], true);
  t.deepEqual(routes(), ['netns:2 10.32.0.4']);
  await service.expose(['10.32.0.9/12'], true);
  await service.hide(['10.32.0.4/12']);
  t.deepEqual(routes(), ['netns:2 10.32.0.9'], 'another address of the host is the gateway now');
  await service.hide([]);
  bench.host.namespaces.delete('blue');
  await t.notThrowsAsync(service.expose([], true));
  t.deepEqual(routes(), []);
});

test('a route comes back only with a gateway in the subnet of the one that it had', async (t) => {
  const bench = new Bench();
  await bench.service.attach({
    target: 'blue',
    addresses: ['net:default', '2001:db8::7/64'],
    defaultRoute: true,
  });
  await bench.service.expose(['2001:db8::9/64'], false);
  const [id, [four]] = [...bench.host.routes][0]!;
  const six = { destination: cidr('::/0'), via: parseIp('2001:db8::9')!, metric: 1_024 };
  bench.host.routes.set(id, [four!, six]);
  await bench.service.hide([]);
  t.deepEqual(bench.host.routes.get(id), []);
  const service = bench.start();
  await service.expose(['net:default'], true);
  t.deepEqual(
    bench.host.routes.get(id)?.map(({ via }) => via.family),
    [4],
  );
  await service.expose(['2001:db8::a/64'], false);
  t.deepEqual(bench.host.routes.get(id)?.[1], { ...six, via: parseIp('2001:db8::a')! });
});

test('what cannot be taken up at the start keeps nothing else from being, and is tried again by each check', async (t) => {
  const bench = new Bench();
  await bench.service.attach({ target: 'blue', addresses: [] });
  await bench.service.attach({ target: 'red', addresses: [] });
  await bench.service.expose([], true);
  for (const id of ['netns:1', 'netns:2']) {
    const record = decodeRecord(bench.store.values.get(`attachments/${id}`)!)!;
    bench.store.values.set(`attachments/${id}`, encodeRecord({ ...record, addresses: [], pending: true }));
  }
  const service = bench.start();
  bench.host.exposure = undefined;
  bench.host.stuck = hostInterfaceName('netns:1');
  bench.host.failNext = 'no buffer space';
  await service.readopt();
  t.deepEqual(bench.held(), ['10.32.0.2/12 netns:1', '10.32.0.3/12 weave:expose']);
  bench.host.stuck = undefined;
  await service.check();
  t.deepEqual([bench.held(), bench.host.plugged.size], [['10.32.0.3/12 weave:expose'], 0]);
  t.like(bench.host.exposure, { addresses: [cidr('10.32.0.3/12')] });
});

test('addresses of a pod that is added while strays are looked for are kept', async (t) => {
  const bench = new Bench();
  const pod = { id: 'cni:net/1/eth0', mtu: undefined, hairpin: false, gateway: undefined, routes: () => [] };
  const request = {
    target: 'red',
    interface: 'eth0',
    wanted: [{ kind: 'allocate' }],
    pod,
    signal: undefined,
  } as const;
  const release = bench.addresses.release.bind(bench.addresses);
  let goOn: () => void = () => undefined;
  const held = new Promise<void>((resolve) => (goOn = resolve));
  bench.addresses.release = (id, address) => held.then(() => release(id, address));
  bench.addresses.ids = () => Promise.resolve([pod.id]);
  // A DEL of what is not there has its turn, then the ADD, and then the stray that was seen before it.
  const deleted = bench.service.removePod(pod.id);
  const added = bench.service.attachPod(request);
  await new Promise(setImmediate);
  const released = bench.service.releaseStrayAddresses();
  await new Promise(setImmediate);
  goOn();
  await Promise.all([deleted, added, released]);
  t.is(bench.held().filter((line) => line.endsWith(pod.id)).length, 1);
});

test('close waits for the check that is under way', async (t) => {
  const bench = new Bench();
  let goOn: () => void = () => undefined;
  bench.host.refreshFirewall = () => new Promise((resolve) => (goOn = resolve));
  const order: string[] = [];
  const check = bench.service.check().then(() => order.push('checked'));
  await new Promise(setImmediate);
  const closed = bench.service.close().then(() => order.push('closed'));
  await new Promise(setImmediate);
  goOn();
  await Promise.all([check, closed]);
  t.deepEqual(order, ['checked', 'closed']);
});
