import type { Cidr } from '../../core/address.ts';
import type { OwnBridge } from './bridge.ts';
import type { HostCommands } from './commands.ts';
import { closeForwarding } from './firewall.ts';
import { HostError } from './host-error.ts';
import type { KernelPort } from './kernel.ts';
import { listLinks } from './link-query.ts';
import type { Link } from './link-query.ts';
import { moveTo, removeLink } from './link-requests.ts';
import { isHostInterfaceName } from './mac-address.ts';
import { removeRuleset } from './nftables.ts';
import { removeAddresses } from './port.ts';

/**
 * Removes all that daemons with these bridges made: attached interfaces, TAPs, bridges, tables, rules. What fails keeps
 * nothing else from being removed, and is thrown in the end. Throws, and changes nothing, where somebody else has a bridge
 * of such a name; a bridge with ports of others stays, and is told of in the end.
 */
export async function cleanHost(
  host: HostCommands,
  kernel: KernelPort,
  bridges: readonly OwnBridge[],
): Promise<void> {
  const links = await listLinks(host);
  refuseForeign(links, bridges);
  const names = bridges.map(({ bridge }) => bridge);
  const ports = links.filter(
    (link) => isOwnPort(link) && (link.master === undefined || names.includes(link.master)),
  );
  const taps = bridges.filter((own) => isOwnTap(links, own)).map(({ tap }) => tap);
  const doomed = [...ports.map(({ name }) => name), ...taps];
  const shared = bridges.filter((own) => foreignPorts(links, own).length > 0);
  const empty = bridges.filter((own) => !shared.includes(own)).map(({ bridge }) => bridge);
  await allOf([
    () => kernel.run(host.netns, [...doomed, ...empty].map(removeLink)),
    ...names.map((bridge) => () => closeForwarding(host, bridge)),
    () => removeRuleset(host),
    ...shared.map((own) => () => Promise.reject(sharedProblem(links, own))),
  ]);
}

/** Throws a sentence if somebody else has a bridge of one of these names. */
export async function checkOwnership(host: HostCommands, bridges: readonly OwnBridge[]): Promise<void> {
  refuseForeign(await listLinks(host), bridges);
}

/** Does all in order. What fails keeps nothing else from being done; the first failure is thrown in the end. */
export async function allOf(works: readonly (() => Promise<unknown>)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const work of works) await work().catch((error: unknown) => failures.push(error));
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
 * the host's own, to be taken from it. Undefined if it is not there, or somebody else's. May be repeated.
 */
export async function replaceBridge(
  host: HostCommands,
  kernel: KernelPort,
  bridge: string,
  former: OwnBridge,
  addresses: readonly Cidr[],
): Promise<Replaced | undefined> {
  const links = await listLinks(host);
  const now = links.find(({ name }) => name === bridge);
  if (now === undefined || isForeign(links, former)) return undefined;
  const ports = links.filter((link) => link.master === former.bridge && isOwnPort(link));
  const kept = foreignPorts(links, former).length > 0;
  const isThere = links.some((link) => isOwnBridge(link, former));
  await kernel.run(host.netns, [
    ...ports.map(({ name }) => moveTo(name, now.index)),
    ...(isOwnTap(links, former) ? [removeLink(former.tap)] : []),
    ...(isThere && !kept ? [removeLink(former.bridge)] : []),
  ]);
  if (kept) await removeAddresses(kernel, host.netns, former.bridge, addresses);
  await closeForwarding(host, former.bridge);
  return isThere ? { moved: ports.length, kept } : undefined;
}

/** Is `link` the bridge that we made or adopted? A name alone may be anybody's. */
export function isOwnBridge(
  { name, kind, mac }: Pick<Link, 'name' | 'kind' | 'mac'>,
  own: Pick<OwnBridge, 'bridge' | 'mac'>,
): boolean {
  return name === own.bridge && kind === 'bridge' && mac === own.mac;
}

function refuseForeign(links: readonly Link[], bridges: readonly OwnBridge[]): void {
  const foreign = bridges.find((own) => isForeign(links, own));
  if (foreign === undefined) return;
  const { bridge, mac } = foreign;
  throw new HostError(
    `the interface ${bridge} is not the bridge with the MAC ${mac} that weave-ts had: nothing is removed; ` +
      'see whose it is, rename or remove it, and try again',
  );
}

function isForeign(links: readonly Link[], own: OwnBridge): boolean {
  return links.some((link) => link.name === own.bridge && !isOwnBridge(link, own));
}

function isOwnPort({ kind, name }: Link): boolean {
  return kind === 'veth' && isHostInterfaceName(name);
}

/** After {@link isForeign}: a TAP that is a port of something else is not ours. */
function isOwnTap(links: readonly Link[], { bridge, tap }: OwnBridge): boolean {
  return links.some(
    ({ name, kind, master }) => name === tap && kind === 'tun' && (master === undefined || master === bridge),
  );
}

function foreignPorts(links: readonly Link[], { bridge, tap }: OwnBridge): string[] {
  const others = links.filter((link) => link.master === bridge && link.name !== tap && !isOwnPort(link));
  return others.map(({ name }) => name);
}

function sharedProblem(links: readonly Link[], own: OwnBridge): HostError {
  const ports = foreignPorts(links, own).join(', ');
  return new HostError(
    `the bridge ${own.bridge} has ports of others (${ports}) and stays: remove it if nobody needs it`,
  );
}
