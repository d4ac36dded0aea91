import test from 'ava';
import { formatCidr, formatIp, parseCidr } from '../../core/address.ts';
import { parseInitMode } from '../../ipam/init-mode.ts';
import { AddressRange } from '../../ipam/range.ts';
import { seedRing } from '../../ipam/seed.ts';
import { parseIpamSettings } from '../../ipam/settings.ts';
import { peer } from './network.ts';

for (const [range, subnet, expected] of [
  ['10.32.0.0/12', undefined, ['10.32.0.0/12', '10.32.0.0/12']],
  ['10.32.0.0/30', '10.32.0.0/30', ['10.32.0.0/30', '10.32.0.0/30']],
  ['10.32.0.0/12', '10.40.1.0/24', ['10.32.0.0/12', '10.40.1.0/24']],
  ['2001:db8::/80', undefined, ['2001:db8::/80', '2001:db8::/80']],
] as const) {
  test(`the range ${range} with subnet ${subnet ?? 'by default'} is accepted`, (t) => {
    const settings = parseIpamSettings(range, subnet);
    if ('error' in settings) return t.fail(settings.error);
    t.deepEqual([settings.range.text, formatCidr(settings.defaultSubnet)], [...expected]);
  });
}

for (const [range, subnet, error] of [
  ['10.32.0.0', undefined, 'the address range "10.32.0.0" is not of the form 10.32.0.0/12'],
  [
    '10.32.0.0/31',
    undefined,
    '10.32.0.0/31 is too small: an address range needs at least 4 addresses (/30 or /126)',
  ],
  ['10.33.0.0/12', undefined, '10.33.0.0/12 is not a network address: did you mean 10.32.0.0/12?'],
  [
    '2001:db8::/64',
    undefined,
    '2001:db8::/64 is too large: an address range holds at most 2^52 addresses (/76)',
  ],
  ['10.32.0.0/12', 'x', 'the default subnet "x" is not of the form 10.32.0.0/12'],
  ['10.32.0.0/12', '10.0.0.0/8', 'the subnet 10.0.0.0/8 does not lie within the address range 10.32.0.0/12'],
  [
    '10.32.0.0/12',
    '192.0.2.0/24',
    'the subnet 192.0.2.0/24 does not lie within the address range 10.32.0.0/12',
  ],
  [
    '10.32.0.0/12',
    '2001:db8::/80',
    'the subnet 2001:db8::/80 does not lie within the address range 10.32.0.0/12',
  ],
  [
    '10.32.0.0/12',
    '10.32.0.0/31',
    'the subnet 10.32.0.0/31 is too small: it needs at least 4 addresses (/30 or /126)',
  ],
] as const) {
  test(`the range ${range} with subnet ${subnet ?? 'by default'} is refused`, (t) => {
    t.deepEqual(parseIpamSettings(range, subnet), { error });
  });
}

for (const [text, mode] of [
  ['', { type: 'consensus', voters: 3 }],
  ['consensus', { type: 'consensus', voters: 3 }],
  ['consensus=5', { type: 'consensus', voters: 5 }],
  ['observer', { type: 'observer' }],
  ['seed=::2,::1', { type: 'seed', names: [peer(1), peer(2)] }],
] as const) {
  test(`the mode "${text}" is understood`, (t) => {
    t.deepEqual(parseInitMode(text, 2), mode);
  });
}

for (const [text, error] of [
  ['consensus=0', /between 1 and/],
  ['consensus=two', /between 1 and/],
  ['consensus=', /between 1 and/],
  ['seed', /needs the names/],
  ['seed=', /needs the names/],
  ['seed=::1,x', /"x" is not a peer name/],
  ['seed=::1,::1', /00:00:00:00:00:01 is given twice/],
  ['observer=1', /unknown address allocation mode "observer=1"/],
  ['raft', /unknown address allocation mode "raft"/],
] as const) {
  test(`the mode "${text}" is refused`, (t) => {
    const mode = parseInitMode(text, 2);
    t.regex('error' in mode ? mode.error : '', error);
  });
}

test('addresses and offsets of both families correspond', (t) => {
  for (const [text, offset, address] of [
    ['10.32.0.0/12', 2 ** 20 - 1, '10.47.255.255'],
    ['2001:db8::/76', 2 ** 52 - 1, '2001:db8::f:ffff:ffff:ffff'],
  ] as const) {
    const range = new AddressRange(parseCidr(text)!);
    t.is(formatIp(range.ipAt(offset)), address);
    t.is(range.offsetOf(range.ipAt(offset)), offset);
    t.is(range.offsetOf(parseCidr('192.0.2.1/32')!.ip), undefined);
  }
});

test('the seeded cluster depends on the range and the set of names, not on their order', (t) => {
  const range = new AddressRange(parseCidr('10.32.0.0/12')!);
  const id = seedRing(range, [peer(1), peer(2)]).clusterId;
  t.deepEqual(seedRing(range, [peer(2), peer(1)]), seedRing(range, [peer(1), peer(2)]));
  t.not(seedRing(range, [peer(1), peer(3)]).clusterId, id);
  t.not(seedRing(new AddressRange(parseCidr('10.32.0.0/13')!), [peer(1), peer(2)]).clusterId, id);
});
