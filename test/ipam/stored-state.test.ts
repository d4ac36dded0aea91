import test from 'ava';
import { parseCidr } from '../../core/address.ts';
import { SeededRandom } from '../../core/random.ts';
import type { IpamSettings } from '../../ipam/settings.ts';
import { parseIpamSettings } from '../../ipam/settings.ts';
import { Ipam } from '../../ipam/ipam.ts';
import { readStored, storeMismatch, UnusableStore } from '../../ipam/stored-state.ts';
import { Network, peer } from './network.ts';

const A = peer(1);
const settings = parseIpamSettings('10.32.0.0/27', undefined) as IpamSettings;
const init = { type: 'consensus', voters: 1 } as const;

function storeWith(...ids: string[]): Map<string, Uint8Array> {
  const network = new Network(settings, 1);
  network.add(A, init);
  for (const [i, id] of ids.entries()) network.request(A, i, { type: 'allocate', id });
  network.run(1_000);
  return network.nodes.get(A)!.store;
}

for (const [what, owner, sentence] of [
  ['the same peer and range', { range: '10.32.0.0/27', name: A }, undefined],
  [
    'another range',
    { range: '10.40.0.0/16', name: A },
    /10\.32\.0\.0\/27, this launch says 10\.40\.0\.0\/16/,
  ],
  ['another name', { range: '10.32.0.0/27', name: peer(9) }, /:01, this launch says .*:09/],
] as const) {
  test(`a store with allocations, launched with ${what}`, (t) => {
    const mismatch = storeMismatch(readStored(storeWith('x')), owner);
    if (sentence === undefined) t.is(mismatch, undefined);
    else t.regex(mismatch!, sentence);
  });
}

test('a store of another range without allocations is emptied and begun anew', (t) => {
  const other = parseIpamSettings('10.40.0.0/16', undefined) as IpamSettings;
  const ipam = new Ipam(
    { name: A, nickname: 'a', generation: 'aaaaaaaaaaaaaaaa', init, ...other },
    { random: new SeededRandom(1), stored: storeWith() },
    0,
  );
  t.is(ipam.status().clusterId, '');
  const commit = ipam.drain().find((effect) => effect.type === 'commit');
  t.is(commit?.changes.find(({ key }) => key === 'ipam/ring')?.value, undefined);
  t.not(commit?.changes.find(({ key }) => key === 'ipam/meta')?.value, undefined);
});

test('a store of another range with allocations refuses to start', (t) => {
  const other = parseIpamSettings('10.40.0.0/16', undefined) as IpamSettings;
  const config = { name: A, nickname: 'a', generation: 'aaaaaaaaaaaaaaaa', init, ...other };
  const stored = storeWith('x');
  t.throws(() => new Ipam(config, { random: new SeededRandom(1), stored }, 0), { instanceOf: UnusableStore });
});

for (const key of ['ipam/meta', 'ipam/ring', 'ipam/allocation/x']) {
  test(`a damaged value of ${key} is named`, (t) => {
    const stored = new Map(storeWith('x'));
    t.true(stored.has(key));
    stored.set(key, Uint8Array.of(0xc1));
    const error = t.throws(() => readStored(stored), { instanceOf: UnusableStore });
    t.true(error.message.includes(`"${key}"`));
  });
}

test('allocations are restored with their subnets, those outside the range too', (t) => {
  const network = new Network(settings, 1);
  network.add(A, init);
  network.request(A, 1, { type: 'allocate', id: 'x', subnet: parseCidr('10.32.0.8/29')! });
  network.request(A, 2, { type: 'claim', id: 'x', cidr: parseCidr('2001:db8::5/64')! });
  network.run(1_000);
  network.crash(A);
  network.start(A);
  network.request(A, 3, { type: 'lookup', id: 'x' });
  network.run(1_000);
  t.is(
    network.reply(A, 3),
    '10.32.0.9/29 2001:db8:0:0:0:0:0:5/64'.replace('2001:db8:0:0:0:0:0:5', '2001:db8::5'),
  );
});
