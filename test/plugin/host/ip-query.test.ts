import test from 'ava';
import { formatCidr } from '../../../core/address.ts';
import { parseAddresses, parseHostState, parseLinks, parseRoutes } from '../../../plugin/host/link-query.ts';

test('links are read with what the bridge code needs, and rows without the essentials are passed over', (t) => {
  const json = JSON.stringify([
    {
      ifname: 'vethwe1',
      ifindex: 3,
      mtu: 1388,
      flags: ['BROADCAST', 'UP'],
      operstate: 'UP',
      master: 'weave',
      address: 'd2:75:0f:b6:1d:fa',
      linkinfo: { info_kind: 'veth', info_slave_kind: 'bridge' },
    },
    { ifname: 'lo', ifindex: 1, mtu: 65536, flags: ['LOOPBACK'], operstate: 'UNKNOWN' },
    { ifname: 'broken', mtu: '1500' },
    'nonsense',
  ]);
  t.deepEqual(parseLinks(json), [
    {
      name: 'vethwe1',
      index: 3,
      mtu: 1388,
      mac: 'd2:75:0f:b6:1d:fa',
      up: true,
      operational: true,
      loopback: false,
      master: 'weave',
      kind: 'veth',
    },
    {
      name: 'lo',
      index: 1,
      mtu: 65536,
      mac: '',
      up: false,
      operational: false,
      loopback: true,
      master: undefined,
      kind: undefined,
    },
  ]);
});

test('no output means nothing to list, and other text than JSON is an error', (t) => {
  t.deepEqual(parseLinks(''), []);
  t.deepEqual(parseRoutes(' \n', 4), []);
  t.throws(() => parseAddresses('Error: x'), { message: /not JSON/ });
});

test('addresses are listed with their interface', (t) => {
  const json = JSON.stringify([
    {
      ifname: 'eth0',
      addr_info: [
        { family: 'inet', local: '192.0.2.1', prefixlen: 24 },
        { family: 'inet6', local: '2001:db8::1', prefixlen: 64 },
        { family: 'inet', local: 'bad', prefixlen: 24 },
      ],
    },
    {},
  ]);
  t.deepEqual(
    parseAddresses(json).map((entry) => `${entry.interface} ${formatCidr(entry.cidr)}`),
    ['eth0 192.0.2.1/24', 'eth0 2001:db8::1/64'],
  );
});

test('routes have a network, a type and perhaps an interface', (t) => {
  const json = JSON.stringify([
    { type: 'unicast', dst: 'default', gateway: '192.0.2.2', dev: 'eth0' },
    { dst: '10.40.0.0/16', dev: 'eth0' },
    { type: 'local', dst: '192.0.2.1', dev: 'eth0' },
    { type: 'blackhole', dst: '10.0.0.0/8' },
    { dst: 'weird' },
  ]);
  t.deepEqual(
    parseRoutes(json, 4).map((r) => [formatCidr(r.destination), r.interface, r.type]),
    [
      ['0.0.0.0/0', 'eth0', 'unicast'],
      ['10.40.0.0/16', 'eth0', 'unicast'],
      ['192.0.2.1/32', 'eth0', 'local'],
      ['10.0.0.0/8', undefined, 'blackhole'],
    ],
  );
  const other = '[{"dst":"default","dev":"eth0","table":"100","metric":50},{"dst":"default","table":"main"}]';
  t.deepEqual(
    parseRoutes(other, 4).map(({ main, metric }) => [main, metric]),
    [
      [false, 50],
      [true, 0],
    ],
  );
  t.is(formatCidr(parseRoutes('[{"dst":"default","dev":"eth0"}]', 6)[0]!.destination), '::/0');
});

test('addresses and routes of a host come from one program, and there may be no routes', (t) => {
  const eth0 = {
    ifname: 'eth0',
    ifindex: 2,
    mtu: 1500,
    addr_info: [{ local: '192.0.2.1', prefixlen: 24 }],
  };
  const links = JSON.stringify([{ ifname: 'lo', ifindex: 1, mtu: 65536, addr_info: [] }, eth0]);
  const routes = JSON.stringify([{ dst: 'default', dev: 'eth0' }]);
  for (const rest of ['', '\n', '[]\n', `${routes}\n`]) {
    const state = parseHostState(`${links}\n${rest}`);
    t.deepEqual(
      state.links.map(({ name }) => name),
      ['lo', 'eth0'],
    );
    t.deepEqual(
      state.addresses.map(({ cidr }) => formatCidr(cidr)),
      ['192.0.2.1/24'],
    );
    t.is(state.routes.length, rest.includes('default') ? 1 : 0);
  }
});
