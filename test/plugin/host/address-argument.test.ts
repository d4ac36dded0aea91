import test from 'ava';
import { formatCidr } from '../../../core/address.ts';
import { argumentNames, parseAddressArgument } from '../../../plugin/host/address-argument.ts';
import { cidr } from './host-fakes.ts';

for (const [text, kind, value] of [
  ['ip:10.32.0.7/12', 'claim', '10.32.0.7/12'],
  ['10.32.0.7/12', 'claim', '10.32.0.7/12'],
  ['ip:192.0.2.4/31', 'claim', '192.0.2.4/31'],
  ['192.0.2.4/32', 'claim', '192.0.2.4/32'],
  ['ip:2001:db8::1/64', 'claim', '2001:db8::1/64'],
  ['net:10.33.0.0/16', 'allocate', '10.33.0.0/16'],
  ['net:default', 'allocate', undefined],
] as const) {
  test(`"${text}" asks to ${kind} ${value ?? 'from the default subnet'}`, (t) => {
    const argument = parseAddressArgument(text);
    const named = argument.kind === 'claim' ? argument.cidr : argument.subnet;
    t.is(argument.kind, kind);
    t.is(named && formatCidr(named), value);
  });
}

for (const [text, message] of [
  ['', /is not an address: write/],
  ['ip:', /is not an address/],
  ['10.32.0.7', /is not an address/],
  ['ip:10.32.0.7/33', /is not an address/],
  ['ip:10.32.0.0/12', /its subnet's own address/],
  ['ip:10.47.255.255/12', /its subnet's broadcast address/],
  ['ip:0.0.0.0/8', /the unspecified address/],
  ['ip:127.0.0.1/8', /a loopback/],
  ['ip:224.0.0.1/24', /a multicast/],
  ['ip:255.255.255.255/32', /a multicast or reserved/],
  ['ip:10.32.0.7/0', /without a subnet/],
  ['ip:::1/128', /a loopback/],
  ['ip:ff02::1/64', /a multicast/],
  ['net:10.33.0.1/16', /the subnet is net:10\.33\.0\.0\/16/],
  ['net:everything', /is not a subnet: write/],
] as const) {
  test(`"${text}" is refused by a sentence that quotes it`, (t) => {
    const error = t.throws(() => parseAddressArgument(text), { name: 'HostError', message });
    t.true(error.message.startsWith(`"${text}"`));
  });
}

test('an argument names held addresses by value, or by their whole subnet', (t) => {
  const standard = cidr('10.32.0.0/12');
  const names = (text: string, held: string): boolean =>
    argumentNames(parseAddressArgument(text), cidr(held), standard);
  t.true(names('ip:10.32.0.7/12', '10.32.0.7/12'));
  t.false(names('ip:10.32.0.7/12', '10.32.0.8/12'));
  t.true(names('net:default', '10.40.1.1/12'));
  t.false(names('net:default', '10.40.1.1/16'));
  t.true(names('net:10.40.0.0/16', '10.40.1.1/16'));
  t.false(names('net:10.41.0.0/16', '10.40.1.1/16'));
});
