import { parseIp } from '../core/address.ts';
import type { PeerName } from '../core/peer-name.ts';
import type { IpamSettings } from '../ipam/settings.ts';
import { tapName } from '../plugin/host/bridge.ts';
import type { OwnBridge } from '../plugin/host/bridge.ts';
import { HostCommands } from '../plugin/host/commands.ts';
import { Kernel } from '../plugin/host/kernel.ts';
import { defaultBridgeMtu, HostNetwork, preflight, presentOf } from '../plugin/host/host-network.ts';
import type { HostState } from '../plugin/host/link-query.ts';
import { bridgeMac, HOST_INTERFACE_PREFIX } from '../plugin/host/mac-address.ts';
import { hasTables } from '../plugin/host/nftables.ts';
import type { LaunchSettings } from './settings.ts';

/** What is to be set up on this host; nothing of it has been yet. */
export interface HostPlan {
  readonly network: HostNetwork;
  /** Nothing of a former run is there: whatever appears is ours to remove if the start fails. */
  readonly isFresh: boolean;
  readonly hasTap: boolean;
  readonly hasBridge: boolean;
  /** What runs before this one set up under other names, and may have left. */
  readonly former: readonly OwnBridge[];
  /** Names of the bridges whose addresses are those of the mesh: of this run, and of those before while they are there. */
  readonly meshBridges: readonly string[];
}

/** Checks the host and decides MTU and names; `recorded` = the bridges of runs before. Throws a sentence naming what is missing or collides. */
export async function planHost(
  settings: LaunchSettings,
  name: PeerName,
  ipam: IpamSettings,
  recorded: readonly OwnBridge[],
): Promise<HostPlan> {
  const commands = new HostCommands();
  const names = { bridge: settings.bridge, tap: tapName(settings.bridge) };
  const former = recorded.filter(({ bridge }) => bridge !== settings.bridge);
  const state = await preflight(commands, names, ipam.range.network, former);
  const present = [names, ...presentOf(state, former)];
  const listen = settings.host === undefined ? undefined : parseIp(settings.host);
  const network = new HostNetwork(commands, {
    ...names,
    mac: bridgeMac(name),
    mtu: settings.mtu ?? defaultBridgeMtu(state, present, listen),
    range: ipam.range.network,
    controlPort: settings.port,
    changeFirewall: settings.hostFirewall,
  });
  return {
    network,
    isFresh: isFresh(state, settings.bridge, await hasTables(new Kernel(), commands.netns)),
    hasBridge: state.links.some(({ name: found }) => found === names.bridge),
    hasTap: state.links.some(({ name: found }) => found === names.tap),
    former,
    meshBridges: present.map(({ bridge }) => bridge),
  };
}

/** Of another bridge name's daemon the ports and tables would be there without the bridge, and are not ours to remove. */
export function isFresh({ links }: Pick<HostState, 'links'>, bridge: string, hasTables: boolean): boolean {
  return !hasTables && !links.some(({ name }) => name === bridge || name.startsWith(HOST_INTERFACE_PREFIX));
}
