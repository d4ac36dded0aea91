import test from 'ava';
import {
  cidrContains,
  cidrsOverlap,
  formatCidr,
  formatEndpoint,
  formatIp,
  ipFromBytes,
  ipToBytes,
  parseCidr,
  parseEndpoint,
  parseIp,
} from '../../core/address.ts';

for (const [text, canonical] of [
  ['192.0.2.1', '192.0.2.1'],
  ['0.0.0.0', '0.0.0.0'],
  ['255.255.255.255', '255.255.255.255'],
  ['2001:DB8::0:1', '2001:db8::1'],
  ['::', '::'],
  ['::ffff:192.0.2.7', '192.0.2.7'],
] as const) {
  test(`the address ${text} reads as ${canonical} and survives its bytes`, (t) => {
    const ip = parseIp(text)!;
    t.is(formatIp(ip), canonical);
    t.deepEqual(ipFromBytes(ipToBytes(ip)), ip);
  });
}

for (const text of [
  '',
  '1',
  '1.2.3',
  '01.2.3.4',
  '256.1.1.1',
  '1.2.3.4.5',
  'host',
  ':::',
  'fe80::1%eth0',
  '1.2.3.4 ',
]) {
  test(`"${text}" is not an address`, (t) => {
    t.is(parseIp(text), undefined);
  });
}

test('a CIDR keeps its host bits and refuses prefixes beyond its family', (t) => {
  t.is(formatCidr(parseCidr('10.32.0.7/12')!), '10.32.0.7/12');
  t.is(parseCidr('10.32.0.0/33'), undefined);
  t.is(parseCidr('2001:db8::/129'), undefined);
  t.is(parseCidr('10.32.0.0/'), undefined);
  t.is(parseCidr('10.32.0.0'), undefined);
});

test('containment and overlap go by network, not by host bits', (t) => {
  const net = parseCidr('10.32.5.5/12')!;
  t.true(cidrContains(net, parseIp('10.47.255.255')!));
  t.false(cidrContains(net, parseIp('10.48.0.0')!));
  t.false(cidrContains(net, parseIp('::1')!));
  t.true(cidrsOverlap(net, parseCidr('10.0.0.0/8')!));
  t.true(cidrsOverlap(parseCidr('10.0.0.0/8')!, net));
  t.false(cidrsOverlap(net, parseCidr('10.48.0.0/16')!));
});

for (const [text, canonical] of [
  ['192.0.2.1', '192.0.2.1:6783'],
  ['192.0.2.1:7000', '192.0.2.1:7000'],
  ['2001:db8::1', '[2001:db8::1]:6783'],
  ['[2001:db8::1]', '[2001:db8::1]:6783'],
  ['[2001:db8::1]:7000', '[2001:db8::1]:7000'],
] as const) {
  test(`the endpoint ${text} reads as ${canonical}`, (t) => {
    t.is(formatEndpoint(parseEndpoint(text, 6783)!), canonical);
  });
}

for (const text of ['host:1', '192.0.2.1:0', '192.0.2.1:65536', '192.0.2.1:', '[192.0.2.1', ':6783']) {
  test(`"${text}" is not an endpoint`, (t) => {
    t.is(parseEndpoint(text, 6783), undefined);
  });
}
