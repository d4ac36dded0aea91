import { setTimeout } from 'node:timers/promises';
import { cidrContains, formatCidr, formatIp } from '../../core/address.ts';
import type { Cidr, IpAddress } from '../../core/address.ts';
import type { HostCommands } from './commands.ts';
import { HostError, InterfaceExists } from './host-error.ts';
import { ipBatch, IpBatchError } from './ip-batch.ts';
import type { IpCommand } from './ip-batch.ts';
import { findLink, listLinks } from './link-query.ts';
import { quietCommands, removeLinks } from './bridge.ts';
import { HOST_INTERFACE_PREFIX } from './mac-address.ts';
import type { MacText } from './mac-address.ts';
import type { Namespace } from './namespace.ts';
import { gsoMaxSize } from './underlay-mtu.ts';

const CARRIER_POLL_MS = 5;
const CARRIER_TIMEOUT_MS = 500;

/** A veth pair: one end a port of the bridge, the other an interface of an attached namespace. */
export interface PortPlan {
  readonly hostInterface: string;
  readonly interface: string;
  readonly mac: MacText;
  /** Bytes. */
  readonly mtu: number;
  readonly addresses: readonly Cidr[];
  readonly routes: readonly PortRoute[];
  /** Of the host end. */
  readonly hostMac: MacText;
  /** May the bridge send frames back out of the port that they came in by? */
  readonly hairpin: boolean;
  /** May the port send only with its own MAC and addresses? */
  readonly guarded: boolean;
}

export interface PortRoute {
  readonly destination: Cidr;
  /** Undefined = whatever is there is on the link. */
  readonly via: IpAddress | undefined;
}

/**
 * Makes the pair and configures its inner end: addresses with their connected routes, and the default route if
 * asked. Nothing is left behind when it fails; a name or route that is taken is told by {@link HostError}.
 */
export async function plug(
  host: HostCommands,
  bridge: string,
  plan: PortPlan,
  namespace: Namespace,
): Promise<void> {
  await removeLinks(host, [plan.hostInterface]);
  await createPair(host, bridge, plan, namespace);
  try {
    await ipBatch(host, await hostEndCommands(host, bridge, plan));
    const inside = host.inside(namespace.path);
    await configureInnerEnd(inside, plan);
    await waitForCarrier(host, plan.hostInterface);
    await ipBatch(inside, [announceCommand(plan.interface, plan.mac)]);
  } catch (error) {
    await removeLinks(host, [plan.hostInterface]);
    throw error;
  }
}

/**
 * Adds the `fresh` among the plan's addresses, announced, and its default route to an interface that {@link plug} made.
 * The route comes last, so that nothing of it is left when this fails.
 */
export async function extend(inside: HostCommands, plan: PortPlan, fresh: readonly Cidr[]): Promise<void> {
  const name = plan.interface;
  await configure(inside, plan, [...addressCommands(name, fresh), announceCommand(name, plan.mac)]);
}

/** Removes those of the addresses that are there. */
export async function removeAddresses(
  inside: HostCommands,
  interfaceName: string,
  addresses: readonly Cidr[],
): Promise<void> {
  for (const cidr of addresses) {
    const command = ['address', 'delete', formatCidr(cidr), 'dev', interfaceName];
    await ipBatch(inside, [command]).catch((error: unknown) => {
      if (!(error instanceof IpBatchError) || !/Cannot (assign|find)|No such/.test(error.reason)) throw error;
    });
  }
}

/** The host ends that exist, each with the bridge that it is a port of. */
export async function listPorts(host: HostCommands): Promise<Map<string, string | undefined>> {
  const links = (await listLinks(host)).filter(
    (link) => link.kind === 'veth' && link.name.startsWith(HOST_INTERFACE_PREFIX),
  );
  return new Map(links.map((link) => [link.name, link.master]));
}

/** Puts a host end that lost its bridge back into it, unless it is gone meanwhile. */
export async function rejoin(host: HostCommands, bridge: string, hostInterface: string): Promise<void> {
  const command = ['link', 'set', 'dev', hostInterface, 'master', bridge, 'up'];
  await ipBatch(host, [command]).catch((error: unknown) => {
    const isGone = error instanceof IpBatchError && error.reason === `Cannot find device "${hostInterface}"`;
    if (!isGone) throw error;
  });
}

async function createPair(
  host: HostCommands,
  bridge: string,
  plan: PortPlan,
  namespace: Namespace,
): Promise<void> {
  const size = ['mtu', String(plan.mtu), 'gso_max_size', String(gsoMaxSize(plan.mtu))];
  const inner = ['peer', 'name', plan.interface, 'address', plan.mac, ...size, 'netns', namespace.path];
  const outer = ['name', plan.hostInterface, 'address', plan.hostMac];
  const create = ['link', 'add', ...outer, ...size, 'type', 'veth', ...inner];
  try {
    await ipBatch(host, [create]);
  } catch (error) {
    if (!(error instanceof IpBatchError) || error.reason !== 'File exists') throw error;
    throw new InterfaceExists(
      `it already has an interface ${plan.interface}: remove it or choose another --interface`,
    );
  }
}

async function hostEndCommands(host: HostCommands, bridge: string, plan: PortPlan): Promise<IpCommand[]> {
  const dev = ['link', 'set', 'dev', plan.hostInterface];
  const hairpin = plan.hairpin ? [[...dev, 'type', 'bridge_slave', 'hairpin', 'on']] : [];
  return [
    ...(await quietCommands(host, plan.hostInterface)),
    [...dev, 'master', bridge],
    ...hairpin,
    [...dev, 'up'],
  ];
}

/**
 * arp_notify and ndisc_notify make the kernel announce the addresses when the interface comes up or is told its MAC,
 * so that neighbours forget whoever had them before.
 */
async function configureInnerEnd(inside: HostCommands, plan: PortPlan): Promise<void> {
  const name = plan.interface;
  await inside.writeProc(
    [`/proc/sys/net/ipv4/conf/${name}/arp_notify`, `/proc/sys/net/ipv6/conf/${name}/ndisc_notify`],
    '1',
  );
  await configure(inside, plan, [
    ...addressCommands(name, plan.addresses),
    ['link', 'set', 'dev', name, 'up'],
  ]);
}

/** The commands, then the plan's routes. */
async function configure(
  inside: HostCommands,
  plan: PortPlan,
  commands: readonly IpCommand[],
): Promise<void> {
  const routes = plan.routes.map((route) => routeCommand(plan, route));
  try {
    await ipBatch(inside, [...commands, ...routes]);
  } catch (error) {
    const isTaken = error instanceof IpBatchError && error.failedAt >= commands.length;
    if (!isTaken || error.reason !== 'File exists') throw error;
    throw new HostError(routeTaken(plan.routes[error.failedAt - commands.length]!), { cause: error });
  }
}

/** The bridge forwards from a port some milliseconds after it is up; what is sent before is lost. */
async function waitForCarrier(host: HostCommands, name: string): Promise<void> {
  for (let waited = 0; waited < CARRIER_TIMEOUT_MS; waited += CARRIER_POLL_MS) {
    if ((await findLink(host, name))?.operational === true) return;
    await setTimeout(CARRIER_POLL_MS);
  }
}

function addressCommands(name: string, addresses: readonly Cidr[]): IpCommand[] {
  return addresses.map((cidr) => {
    // IPAM has seen to it that the address is nobody else's, so it is used at once.
    const flags = cidr.ip.family === 6 ? ['nodad'] : [];
    return ['address', 'replace', formatCidr(cidr), 'dev', name, ...flags];
  });
}

/** `onlink` for a gateway outside the subnets of the interface, which the kernel would refuse. */
function routeCommand(plan: PortPlan, { destination, via }: PortRoute): IpCommand {
  const dev = ['dev', plan.interface];
  const route = ['route', 'add', formatCidr(destination)];
  if (via === undefined) return [...route, ...dev];
  const isNear = plan.addresses.some((cidr) => cidrContains(cidr, via));
  return [...route, 'via', formatIp(via), ...dev, ...(isNear ? [] : ['onlink'])];
}

function routeTaken({ destination }: PortRoute): string {
  if (destination.prefix === 0) return 'it already has a default route: leave out --default-route';
  return `it already has a route to ${formatCidr(destination)}: leave that one out`;
}

function announceCommand(name: string, mac: MacText): IpCommand {
  return ['link', 'set', 'dev', name, 'address', mac];
}
