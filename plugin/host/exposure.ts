import { formatCidr } from '../../core/address.ts';
import type { Cidr } from '../../core/address.ts';
import type { HostCommands } from './commands.ts';
import { ipBatch } from './ip-batch.ts';
import type { KernelPort } from './kernel.ts';
import { removeAddresses } from './port.ts';

const IP_FORWARD = '/proc/sys/net/ipv4/ip_forward';

/** Gives the bridge `add`, announced to the neighbours, and takes `remove` from it; either may be so already. */
export async function setBridgeAddresses(
  host: HostCommands,
  kernel: KernelPort,
  bridge: string,
  add: readonly Cidr[],
  remove: readonly Cidr[],
): Promise<void> {
  await removeAddresses(kernel, host.netns, bridge, remove);
  if (add.length === 0) return;
  await host.writeProc([`/proc/sys/net/ipv4/conf/${bridge}/arp_notify`], '1');
  await ipBatch(host, [
    ...add.map((cidr) => ['address', 'replace', formatCidr(cidr), 'dev', bridge]),
    ['link', 'set', 'dev', bridge, 'up'],
  ]);
}

/** Lets the host route between its interfaces. True if it did not do so before. */
export async function enableForwarding(host: HostCommands): Promise<boolean> {
  if ((await host.readProc(IP_FORWARD))?.trim() === '1') return false;
  await host.writeProc([IP_FORWARD], '1');
  return true;
}
