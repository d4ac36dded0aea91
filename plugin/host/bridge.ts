import { setTimeout } from 'node:timers/promises';
import type { HostCommands } from './commands.ts';
import { HostError } from './host-error.ts';
import { ipBatch } from './ip-batch.ts';
import type { IpCommand } from './ip-batch.ts';
import { findLink } from './link-query.ts';
import type { Link } from './link-query.ts';
import type { MacText } from './mac-address.ts';

export interface BridgeSettings {
  readonly bridge: string;
  readonly tap: string;
  readonly mac: MacText;
  /** Bytes. */
  readonly mtu: number;
}

/** The kernel's limit is 15; it refuses these characters, and `ip -batch` cannot carry the quotes and the backslash. */
export function isInterfaceName(name: string): boolean {
  return /^[^\s/:%"'\\#]{1,15}$/.test(name) && name !== '.' && name !== '..';
}

/** The TAP's name unless configured: the bridge's with "-tap", cut to what the kernel takes. */
export function tapName(bridge: string): string {
  return `${bridge.slice(0, 11)}-tap`;
}

/** Makes the bridge, or adopts the one there is: either way it ends with these settings, and its ports stay. */
export async function ensureBridge(host: HostCommands, settings: BridgeSettings): Promise<void> {
  const { bridge, mac, mtu } = settings;
  const existing = await findBridge(host, bridge);
  const create: IpCommand[] =
    existing === undefined ? [['link', 'add', 'name', bridge, 'type', 'bridge']] : [];
  await ipBatch(host, [
    ...create,
    ['link', 'set', 'dev', bridge, 'address', mac],
    ['link', 'set', 'dev', bridge, 'mtu', String(mtu)],
    // Without snooping every multicast frame floods, as the far side of the mesh has no querier to learn from.
    // Frames to 01:80:c2:00:00:0x end at the bridge before any rule sees them: nothing is to be learnt from them.
    [
      'link',
      'set',
      'dev',
      bridge,
      'type',
      'bridge',
      'stp_state',
      '0',
      'mcast_snooping',
      '0',
      'forward_delay',
      '0',
      'no_linklocal_learn',
      '1',
    ],
  ]);
  await ipBatch(host, [...(await quietCommands(host, bridge)), ['link', 'set', 'dev', bridge, 'up']]);
}

/** The bridge, if it is there. Throws {@link HostError} if an interface of that name is something else. */
export async function findBridge(host: HostCommands, bridge: string): Promise<Link | undefined> {
  return asBridge(bridge, await findLink(host, bridge));
}

/** `found` is what has the name of the bridge. Throws as {@link findBridge} does. */
export function asBridge(bridge: string, found: Link | undefined): Link | undefined {
  if (found === undefined || found.kind === 'bridge') return found;
  throw new HostError(`the interface ${bridge} is not a bridge: remove it or choose another --bridge`);
}

/**
 * Makes the TAP a port of the bridge. The packet engine creates it; this waits for it up to `timeoutMs`.
 * Throws {@link HostError} if it does not come.
 */
export async function adoptTap(
  host: HostCommands,
  settings: BridgeSettings,
  timeoutMs: number,
): Promise<void> {
  const { bridge, tap, mtu } = settings;
  await waitForLink(host, tap, timeoutMs);
  await ipBatch(host, [
    ...(await quietCommands(host, tap)),
    ['link', 'set', 'dev', tap, 'mtu', String(mtu)],
    ['link', 'set', 'dev', tap, 'master', bridge],
    // A frame must never go back to the mesh that it came from.
    ['link', 'set', 'dev', tap, 'type', 'bridge_slave', 'hairpin', 'off', 'learning', 'on', 'flood', 'on'],
    ['link', 'set', 'dev', tap, 'up'],
  ]);
}

/**
 * What keeps an interface from getting a link-local address or configuring itself: these carry other people's frames.
 * Empty where the kernel has no IPv6.
 */
export async function quietCommands(host: HostCommands, name: string): Promise<IpCommand[]> {
  const acceptRa = `/proc/sys/net/ipv6/conf/${name}/accept_ra`;
  if ((await host.readProc(acceptRa)) === undefined) return [];
  await host.writeProc([acceptRa], '0');
  return [['link', 'set', 'dev', name, 'addrgenmode', 'none']];
}

const POLL_MS = 50;

async function waitForLink(host: HostCommands, name: string, timeoutMs: number): Promise<void> {
  for (let waited = 0; (await findLink(host, name)) === undefined; waited += POLL_MS) {
    if (waited >= timeoutMs) {
      throw new HostError(`the TAP device ${name} did not appear within ${timeoutMs / 1000} s`);
    }
    await setTimeout(POLL_MS);
  }
}
