import type { Cidr } from '../../core/address.ts';
import { addAddress } from './address-requests.ts';
import type { HostCommands } from './commands.ts';
import { HostError } from './host-error.ts';
import { setting } from './kernel.ts';
import type { KernelPort } from './kernel.ts';
import { lookForLink, readLinks, setUp } from './link-requests.ts';
import { removeAddresses } from './port.ts';

const IP_FORWARD = '/proc/sys/net/ipv4/ip_forward';

/** Gives the bridge `add`, announced to the neighbours, and takes `remove` from it; either may be so already. */
export async function setBridgeAddresses(
  kernel: KernelPort,
  netns: string | undefined,
  bridge: string,
  add: readonly Cidr[],
  remove: readonly Cidr[],
): Promise<void> {
  await removeAddresses(kernel, netns, bridge, remove);
  if (add.length === 0) return;
  const found = readLinks(await kernel.run(netns, [lookForLink(bridge)])).get(bridge);
  if (found === undefined) throw new HostError(`the bridge ${bridge} is gone`);
  await kernel.run(netns, [
    setting(`/proc/sys/net/ipv4/conf/${bridge}/arp_notify`, '1'),
    ...add.map((cidr) => addAddress({ name: bridge, index: found.index }, cidr)),
    setUp(bridge),
  ]);
}

/** Lets the host route between its interfaces. True if it did not do so before. */
export async function enableForwarding(host: HostCommands): Promise<boolean> {
  if ((await host.readProc(IP_FORWARD))?.trim() === '1') return false;
  await host.writeProc(IP_FORWARD, '1');
  return true;
}
