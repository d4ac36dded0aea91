import type { Stats } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { cidrContains, cidrsOverlap, formatCidr } from '../../core/address.ts';
import type { Cidr } from '../../core/address.ts';
import type { HostCommands } from './commands.ts';
import { HostError } from './host-error.ts';
import { readHostState } from './link-query.ts';
import type { InterfaceAddress, Route } from './link-query.ts';
import { findProgram } from './run.ts';

/** Bits of the effective capability set (linux/capability.h). */
const CAP_NET_ADMIN = 12n;
const CAP_NET_RAW = 13n;

const TUN_DEVICE = '/dev/net/tun';
/** Major 10, minor 200 (Documentation/admin-guide/devices.txt). */
const TUN_DEVICE_NUMBER = (10 << 8) | 200;

/** What the daemon starts, by the packages of Debian. */
const PACKAGES = { ip: 'iproute2', nft: 'nftables', nsenter: 'util-linux' } as const;

/** Checks that this process may and can do its work here, and starts nothing. Throws {@link HostError} naming the remedy. */
export async function checkHost(): Promise<void> {
  await checkPrivileges();
  await checkTunDevice();
  await checkPrograms(['ip', 'nft', 'nsenter']);
}

/** As {@link checkHost}, for what only removes. */
export async function checkRemover(): Promise<void> {
  await checkPrivileges();
  await checkPrograms(['ip', 'nft']);
}

async function checkPrivileges(): Promise<void> {
  const problem = capabilityProblem(await readFile('/proc/self/status', 'utf8'));
  if (problem !== undefined) throw new HostError(problem);
}

async function checkPrograms(programs: readonly (keyof typeof PACKAGES)[]): Promise<void> {
  for (const program of programs) {
    const missing = programProblem(program, await findProgram(program), PACKAGES[program]);
    if (missing !== undefined) throw new HostError(missing);
  }
}

/** Throws if the range is in use by the host itself; the bridge's own addresses and routes do not count. */
export async function checkRange(
  host: HostCommands,
  range: Cidr,
  ownInterfaces: ReadonlySet<string>,
): Promise<void> {
  const { routes, addresses } = await readHostState(host);
  const problem = rangeProblem(range, routes, addresses, ownInterfaces);
  if (problem !== undefined) throw new HostError(problem);
}

/** `status` is the text of /proc/self/status. */
export function capabilityProblem(status: string): string | undefined {
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-fA-F]+)$/m.exec(status)?.[1] ?? '0'}`);
  const needed = (1n << CAP_NET_ADMIN) | (1n << CAP_NET_RAW);
  if ((effective & needed) === needed) return undefined;
  return 'this needs root, or the capabilities CAP_NET_ADMIN and CAP_NET_RAW: run it as root';
}

/** Throws if one of the networks that an operator names outside the range is in use by the host itself. */
export async function checkClaims(
  host: HostCommands,
  claims: readonly Cidr[],
  range: Cidr,
  ownInterfaces: ReadonlySet<string>,
): Promise<void> {
  const foreign = claims.filter((claim) => claim.prefix < range.prefix || !cidrContains(range, claim.ip));
  if (foreign.length === 0) return;
  const { routes, addresses } = await readHostState(host);
  for (const claim of foreign) {
    const other = collision(claim, routes, addresses, ownInterfaces);
    if (other === undefined) continue;
    throw new HostError(`${formatCidr(claim)} overlaps ${other}: choose another address`);
  }
}

/** A sentence naming the range and what it collides with. */
export function rangeProblem(
  range: Cidr,
  routes: readonly Route[],
  addresses: readonly InterfaceAddress[],
  ownInterfaces: ReadonlySet<string>,
): string | undefined {
  const other = collision(range, routes, addresses, ownInterfaces);
  if (other === undefined) return undefined;
  return `the address range ${formatCidr(range)} overlaps ${other}: choose another --ipalloc-range`;
}

/** The first address or route of the host that `network` overlaps, in words. */
function collision(
  network: Cidr,
  routes: readonly Route[],
  addresses: readonly InterfaceAddress[],
  ownInterfaces: ReadonlySet<string>,
): string | undefined {
  for (const { interface: name, cidr } of addresses) {
    if (ownInterfaces.has(name) || !cidrsOverlap(network, cidr)) continue;
    return `the address ${formatCidr(cidr)} of ${name}`;
  }
  for (const route of routes) {
    if (route.interface !== undefined && ownInterfaces.has(route.interface)) continue;
    if (!isForeignNetwork(route) || !cidrsOverlap(network, route.destination)) continue;
    const via = route.interface === undefined ? '' : ` on ${route.interface}`;
    return `the host's route ${formatCidr(route.destination)}${via}`;
  }
  return undefined;
}

/**
 * Default routes collide with nothing, nor do the two halves (0.0.0.0/1, 128.0.0.0/1) that stand for one in VPN set-ups.
 * Local and broadcast routes only repeat the addresses.
 */
function isForeignNetwork(route: Route): boolean {
  return route.destination.prefix > 1 && !['local', 'broadcast', 'multicast', 'anycast'].includes(route.type);
}

async function checkTunDevice(): Promise<void> {
  let problem: string | undefined;
  try {
    const file = await open(TUN_DEVICE, 'r+');
    problem = tunProblem(await file.stat());
    await file.close();
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    problem = `${TUN_DEVICE} cannot be opened (${code}): load it with "modprobe tun", or in a container pass --device ${TUN_DEVICE}`;
  }
  if (problem !== undefined) throw new HostError(problem);
}

/** For what was opened as /dev/net/tun: a file of that name may be something else, in a container above all. */
export function tunProblem(stats: Pick<Stats, 'isCharacterDevice' | 'rdev'>): string | undefined {
  if (stats.isCharacterDevice() && stats.rdev === TUN_DEVICE_NUMBER) return undefined;
  return `${TUN_DEVICE} is not the TUN device: remove it and make it with "mknod ${TUN_DEVICE} c 10 200"`;
}

/** Why a program that we need would not start, and what to do; undefined if it is there. */
export function programProblem(
  program: string,
  found: 'there' | 'missing' | 'not executable',
  debPackage: string,
): string | undefined {
  if (found === 'there') return undefined;
  if (found === 'missing') {
    return `the program ${program} is not installed: install the package ${debPackage}`;
  }
  return `the program ${program} is not executable: chmod +x it, or reinstall ${debPackage}`;
}
