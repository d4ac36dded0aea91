import { networkInterfaces } from 'node:os';
import { setTimeout } from 'node:timers/promises';
import test from 'ava';
import { formatIp, type IpAddress } from '../../../core/address.ts';
import { loadAddon, type AddressWatchHandle, type InterfaceAddress } from '../../../router/engine/addon.ts';
import { AddressWatch, underlayAddresses, type AddressChange } from '../../../router/loop/address-watch.ts';

/** A host whose addresses the test changes. */
class PlayedHost {
  addresses: InterfaceAddress[];
  onChange: (() => void) | undefined;

  constructor(...texts: string[]) {
    this.addresses = PlayedHost.listOf(texts);
  }

  static listOf(texts: readonly string[]): InterfaceAddress[] {
    return texts.map((text) => {
      const [name = '', address = '', state] = text.split(' ');
      return { name, address, running: state !== 'down' };
    });
  }

  set(...texts: string[]): void {
    this.addresses = PlayedHost.listOf(texts);
    this.onChange?.();
  }

  hostAddresses(): InterfaceAddress[] {
    return this.addresses;
  }

  watchAddresses(onChange: () => void): AddressWatchHandle {
    this.onChange = onChange;
    return {} as AddressWatchHandle;
  }

  stopWatchingAddresses(): void {
    this.onChange = undefined;
  }
}

function textOf({ addresses, gone, moved }: AddressChange): string {
  const texts = [addresses.map(formatIp).join(' '), `gone: ${gone.map(formatIp).join(' ')}`];
  return [...texts, ...(moved ? ['moved'] : [])].join(', ');
}

/** The connections of the played hosts. */
const carries = (ip: IpAddress): boolean => formatIp(ip) === '192.0.2.1';

test('addresses of one link and those of the bridges of the mesh are no place to be reached at', (t) => {
  const mesh = ['weave 10.32.0.1', 'former 10.32.0.1'];
  const host = new PlayedHost('eth0 192.0.2.1', 'eth0 fe80::1', ...mesh, 'eth1 2001:db8::1');
  t.deepEqual(underlayAddresses(['weave', 'former'], host).running.map(formatIp), [
    '192.0.2.1',
    '2001:db8::1',
  ]);
});

test('nobody is reached at an interface that is down, but what began there may outlive that', async (t) => {
  const host = new PlayedHost('eth0 192.0.2.1', 'docker0 172.17.0.1 down', 'kube-ipvs0 10.96.0.1 down');
  const seen: string[] = [];
  const onChange = (change: AddressChange) => void seen.push(textOf(change));
  const watch = new AddressWatch({ bridges: ['weave'], addon: host, onChange, carries });
  t.deepEqual(watch.addresses.map(formatIp), ['192.0.2.1']);
  host.set('eth0 192.0.2.1 down', 'docker0 172.17.0.1', 'kube-ipvs0 10.96.0.1 down');
  while (seen.length === 0) await setTimeout(20);
  host.set('eth0 192.0.2.1', 'kube-ipvs0 10.96.0.1 down');
  while (seen.length === 1) await setTimeout(20);
  t.deepEqual(seen, ['172.17.0.1, gone: , moved', '192.0.2.1, gone: 172.17.0.1, moved']);
  watch.close();
});

test('an interface that carries nothing is told of once it has stayed up or down for a while', async (t) => {
  const host = new PlayedHost('eth0 192.0.2.1', 'docker0 172.17.0.1 down', 'eth1 198.51.100.1');
  const seen: string[] = [];
  const onChange = (change: AddressChange) => void seen.push(textOf(change));
  let isThere = true;
  const watch = new AddressWatch({
    bridges: ['weave'],
    addon: host,
    onChange,
    carries: (ip) => isThere && carries(ip),
    idleMs: 1_500,
  });
  host.set('eth0 192.0.2.1', 'docker0 172.17.0.1', 'eth1 198.51.100.1');
  await setTimeout(500);
  t.deepEqual(watch.addresses.map(formatIp), ['192.0.2.1', '198.51.100.1'], 'as told last');
  host.set('eth0 192.0.2.1', 'docker0 172.17.0.1 down', 'eth1 198.51.100.1');
  await setTimeout(1_700);
  t.deepEqual(seen, [], 'it was not up for long');
  host.set('eth0 192.0.2.1', 'docker0 172.17.0.1', 'eth1 198.51.100.1');
  while (seen.length === 0) await setTimeout(20);
  t.deepEqual(seen, ['192.0.2.1 172.17.0.1 198.51.100.1, gone: ']);
  host.set('eth0 192.0.2.1 down', 'docker0 172.17.0.1', 'eth1 198.51.100.1');
  while (seen.length === 1) await setTimeout(20);
  isThere = false;
  host.set('eth0 192.0.2.1', 'docker0 172.17.0.1', 'eth1 198.51.100.1');
  while (seen.length === 2) await setTimeout(20);
  t.is(seen[2], '192.0.2.1 172.17.0.1 198.51.100.1, gone: , moved', 'what carried something is awaited');
  watch.close();
});

test('an address that is taken away and another that is given soon after are one change', async (t) => {
  const host = new PlayedHost('eth0 192.0.2.1', 'eth1 198.51.100.1');
  const seen: string[] = [];
  const onChange = (change: AddressChange) => void seen.push(textOf(change));
  const watch = new AddressWatch({ bridges: ['weave'], addon: host, onChange, carries });
  host.set('eth1 198.51.100.1');
  host.set('eth0 192.0.2.2', 'eth1 198.51.100.1');
  while (seen.length === 0) await setTimeout(20);
  t.deepEqual(seen, ['192.0.2.2 198.51.100.1, gone: 192.0.2.1, moved']);
  host.set('weave 10.32.0.1', 'eth1 198.51.100.1', 'eth0 192.0.2.2', 'veth1 fe80::2');
  await setTimeout(400);
  t.is(seen.length, 1, 'nothing of it changed');
  host.set('eth1 198.51.100.1');
  watch.close();
  await setTimeout(400);
  t.is(seen.length, 1, 'nothing is told after the close');
});

test('the kernel names all addresses of this host that Node does, and can be asked to tell of changes', (t) => {
  const addon = loadAddon();
  const listed = addon.hostAddresses().map(({ name, address }) => `${name} ${address}`);
  for (const [name, addresses] of Object.entries(networkInterfaces())) {
    for (const { address, internal } of addresses ?? [])
      t.is(listed.includes(`${name} ${address}`), !internal);
  }
  const watch = addon.watchAddresses(() => t.fail('nothing changed'));
  addon.stopWatchingAddresses(watch);
  addon.stopWatchingAddresses(watch);
  t.throws(() => addon.stopWatchingAddresses({} as AddressWatchHandle));
});
