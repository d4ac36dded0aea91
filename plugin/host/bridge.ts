import { setTimeout } from 'node:timers/promises';
import { HostError } from './host-error.ts';
import { setting } from './kernel.ts';
import type { KernelPort, KernelStep } from './kernel.ts';
import {
  lookForLink,
  makeBridge,
  readLinks,
  setMaster,
  setMeshPort,
  setMtu,
  setNoOwnAddresses,
  setUp,
  setUpBridge,
} from './link-requests.ts';
import type { LinkPlace } from './link-requests.ts';
import type { MacText } from './mac-address.ts';

export interface BridgeNames {
  readonly bridge: string;
  readonly tap: string;
}

/** Names are given away again; what else there is of ours hangs on a bridge with this MAC. */
export interface OwnBridge extends BridgeNames {
  readonly mac: MacText;
}

export interface BridgeSettings extends OwnBridge {
  /** Bytes. */
  readonly mtu: number;
}

/** The kernel's limit is 15; it refuses these characters, and nft cannot carry quotes and backslashes. */
export function isInterfaceName(name: string): boolean {
  return /^[^\s/:%"'\\#]{1,15}$/.test(name) && name !== '.' && name !== '..';
}

/** For a name that {@link isInterfaceName} refuses. */
export function interfaceNameProblem(name: string): string {
  return `"${name}" is not an interface name: choose 1 to 15 characters without spaces and / : % " ' \\ #`;
}

/** The TAP's name: the bridge's with "-tap", cut to what the kernel takes. */
export function tapName(bridge: string): string {
  return `${bridge.slice(0, 11)}-tap`;
}

/**
 * Makes the bridge, or adopts the one there is: either way it ends with these settings, and its ports stay. `netns` as in
 * {@link KernelPort}.
 */
export async function ensureBridge(
  kernel: KernelPort,
  netns: string | undefined,
  { bridge, mac, mtu }: BridgeSettings,
): Promise<void> {
  const found = readLinks(await kernel.run(netns, [lookForLink(bridge)])).get(bridge);
  const isThere = asBridge(bridge, found) !== undefined;
  await kernel.run(netns, [
    ...(isThere ? [] : [makeBridge(bridge, mac)]),
    ...quietSteps(bridge),
    setUpBridge(bridge, mac, mtu),
  ]);
}

/** `found` is what has the name of the bridge. Throws {@link HostError} if it is something else. */
export function asBridge<Found extends Pick<LinkPlace, 'kind'>>(
  bridge: string,
  found: Found | undefined,
): Found | undefined {
  if (found === undefined || found.kind === 'bridge') return found;
  throw new HostError(`the interface ${bridge} is not a bridge: remove it or choose another --bridge`);
}

/**
 * Makes the TAP a port of the bridge. The packet engine creates it; this waits for it up to `timeoutMs`.
 * Throws {@link HostError} if it does not come.
 */
export async function adoptTap(
  kernel: KernelPort,
  netns: string | undefined,
  { bridge, tap, mtu }: BridgeSettings,
  timeoutMs: number,
): Promise<void> {
  const { index } = await bridgeBeside(kernel, netns, { bridge, tap }, timeoutMs);
  await kernel.run(netns, [
    ...quietSteps(tap),
    setMtu(tap, mtu),
    setMaster(tap, index),
    setMeshPort(tap),
    setUp(tap),
  ]);
}

/** What keeps an interface that carries other people's frames from giving itself addresses and from believing routers. */
function quietSteps(name: string): KernelStep[] {
  return [setting(`/proc/sys/net/ipv6/conf/${name}/accept_ra`, '0'), setNoOwnAddresses(name)];
}

const POLL_MS = 50;

/** Resolves to the bridge once the TAP is there. */
async function bridgeBeside(
  kernel: KernelPort,
  netns: string | undefined,
  { bridge, tap }: BridgeNames,
  timeoutMs: number,
): Promise<LinkPlace> {
  for (let waited = 0; ; waited += POLL_MS) {
    const found = readLinks(await kernel.run(netns, [bridge, tap].map(lookForLink)));
    const place = found.get(bridge);
    if (place === undefined) throw new HostError(`the bridge ${bridge} was removed: launch again`);
    if (found.has(tap)) return place;
    if (waited >= timeoutMs) {
      throw new HostError(`the TAP device ${tap} did not appear within ${timeoutMs / 1000} s`);
    }
    await setTimeout(POLL_MS);
  }
}
