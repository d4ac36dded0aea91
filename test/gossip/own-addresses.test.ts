import test from 'ava';
import { formatEndpoint } from '../../core/address.ts';
import { OwnAddresses } from '../../gossip/own-addresses.ts';
import { endpoint } from './mesh.ts';

function textOf(addresses: OwnAddresses): string[] {
  return addresses.list().map(formatEndpoint);
}

test('what the host has comes first, then where others see it, in order and once', (t) => {
  const addresses = new OwnAddresses([endpoint('192.0.2.9')]);
  for (const ip of ['203.0.113.7', '192.0.2.9', '198.51.100.3', '0.0.0.0', '224.0.0.1'])
    addresses.onSeen(endpoint(ip), 0);
  t.deepEqual(textOf(addresses), ['192.0.2.9:6783', '198.51.100.3:6783', '203.0.113.7:6783']);
});

test('an address that the host has lost is not published on, nor what others saw of it before', (t) => {
  const addresses = new OwnAddresses([endpoint('192.0.2.9'), endpoint('192.0.2.10')]);
  addresses.onSeen(endpoint('192.0.2.9'), 0);
  addresses.onSeen(endpoint('203.0.113.7'), 0);
  t.true(addresses.replace([endpoint('192.0.2.10'), endpoint('192.0.2.11')], 0));
  t.deepEqual(textOf(addresses), ['192.0.2.10:6783', '192.0.2.11:6783']);
  addresses.onSeen(endpoint('203.0.113.7'), 0);
  t.false(addresses.replace([endpoint('192.0.2.10'), endpoint('192.0.2.11'), endpoint('192.0.2.12')], 0));
  t.is(textOf(addresses).at(-1), '203.0.113.7:6783', 'an address more leaves true what was seen');
});

test('no more than eight are published', (t) => {
  const addresses = new OwnAddresses(Array.from({ length: 12 }, (_, i) => endpoint(`192.0.2.${i + 1}`)));
  t.is(addresses.list().length, 8);
  addresses.replace([endpoint('192.0.2.40')], 0);
  for (let i = 0; i < 12; i++) addresses.onSeen(endpoint(`203.0.113.${i + 1}`), 0);
  t.is(addresses.list().length, 8);
  t.is(textOf(addresses)[0], '192.0.2.40:6783');
});

test('two of the places are left to where others saw the host last, however many it has itself', (t) => {
  const addresses = new OwnAddresses(Array.from({ length: 12 }, (_, i) => endpoint(`10.0.0.${i + 1}`)));
  const published = () => textOf(addresses).slice(5);
  for (const i of [3, 1, 2]) addresses.onSeen(endpoint(`203.0.113.${i}`), 0);
  t.is(textOf(addresses).length, 8);
  t.deepEqual(published(), ['10.0.0.6:6783', '203.0.113.1:6783', '203.0.113.2:6783']);
  addresses.onSeen(endpoint('203.0.113.9'), 0);
  t.deepEqual(published().slice(1), ['203.0.113.2:6783', '203.0.113.9:6783']);
  addresses.onSeen(endpoint('203.0.113.1'), 0);
  t.deepEqual(published().slice(1), ['203.0.113.1:6783', '203.0.113.9:6783']);
});

test('where nobody else can reach the host is not published', (t) => {
  const addresses = new OwnAddresses([]);
  for (const ip of ['0.0.0.0', '127.0.0.1', '255.255.255.255', '::1', '::', 'ff02::1'])
    addresses.onSeen(endpoint(ip), 0);
  t.deepEqual(textOf(addresses), []);
});

test('an address that does not serve any more is not published because a connection still lives that began there', (t) => {
  const addresses = new OwnAddresses([endpoint('192.0.2.9'), endpoint('192.0.2.10')]);
  addresses.replace([endpoint('192.0.2.10')], 0);
  addresses.onSeen(endpoint('192.0.2.9'), 0);
  t.deepEqual(textOf(addresses), ['192.0.2.10:6783']);
  addresses.replace([endpoint('192.0.2.9'), endpoint('192.0.2.10')], 0);
  addresses.replace([endpoint('192.0.2.10')], 0);
  addresses.replace([endpoint('192.0.2.9')], 0);
  t.deepEqual(textOf(addresses), ['192.0.2.9:6783']);
});

test('an address that a host gave up may be that of a NAT in front of it a minute later', (t) => {
  const addresses = new OwnAddresses([endpoint('192.0.2.9'), endpoint('203.0.113.7')]);
  addresses.replace([endpoint('192.0.2.9')], 5_000);
  addresses.onSeen(endpoint('203.0.113.7'), 64_999);
  t.deepEqual(textOf(addresses), ['192.0.2.9:6783']);
  addresses.onSeen(endpoint('203.0.113.7'), 65_000);
  t.deepEqual(textOf(addresses), ['192.0.2.9:6783', '203.0.113.7:6783']);
});
