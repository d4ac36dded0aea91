import type { BridgeNames } from './bridge.ts';
import type { HostCommands } from './commands.ts';
import { closeForwarding } from './firewall.ts';
import type { KernelPort } from './kernel.ts';
import { listLinks } from './link-query.ts';
import { lookForLink, readLinks, removeLink, setMaster } from './link-requests.ts';
import { removeRuleset } from './nftables.ts';
import { isHostEnd, listPorts, removeAddresses } from './port.ts';
import type { Cidr } from '../../core/address.ts';

/**
 * Removes all that daemons with these bridges made: attached interfaces, TAPs, bridges, tables, rules. What fails keeps
 * nothing else from being removed, and is thrown in the end.
 */
export async function cleanHost(
  host: HostCommands,
  kernel: KernelPort,
  bridges: readonly BridgeNames[],
): Promise<void> {
  const names = bridges.map(({ bridge }) => bridge);
  const ports = [...(await listPorts(host))].filter(
    ([, master]) => master === undefined || names.includes(master),
  );
  const doomed = [...ports.map(([name]) => name), ...bridges.flatMap(({ tap, bridge }) => [tap, bridge])];
  const removals = [
    () => kernel.run(host.netns, doomed.map(removeLink)),
    ...names.map((bridge) => () => closeForwarding(host, bridge)),
    () => removeRuleset(host),
  ];
  const failures: unknown[] = [];
  for (const remove of removals) await remove().catch((error: unknown) => failures.push(error));
  if (failures.length > 0) throw failures[0];
}

/** What became of a bridge that a former run had under another name. */
export interface Replaced {
  /** How many attached interfaces went over to the bridge of now. */
  readonly moved: number;
  /** It has ports that are not ours, and stays. */
  readonly kept: boolean;
}

/**
 * Moves the attached interfaces of a `former` bridge to `bridge`, and removes what else there is of it; `addresses` are
 * the host's own, to be taken from it. Undefined if it is not there. May be repeated.
 */
export async function replaceBridge(
  host: HostCommands,
  kernel: KernelPort,
  bridge: string,
  former: BridgeNames,
  addresses: readonly Cidr[],
): Promise<Replaced | undefined> {
  const links = await listLinks(host);
  const found = readLinks(await kernel.run(host.netns, [lookForLink(bridge)])).get(bridge);
  const isThere = links.some(({ name, kind }) => name === former.bridge && kind === 'bridge');
  if (found === undefined || !isThere) return undefined;
  const members = links.filter(({ name, master }) => master === former.bridge && name !== former.tap);
  const ports = members.filter(isHostEnd);
  const kept = members.length > ports.length;
  await kernel.run(host.netns, [
    ...ports.map(({ name }) => setMaster(name, found.index)),
    removeLink(former.tap),
    ...(kept ? [] : [removeLink(former.bridge)]),
  ]);
  if (kept) await removeAddresses(kernel, host.netns, former.bridge, addresses);
  await closeForwarding(host, former.bridge);
  return { moved: ports.length, kept };
}
