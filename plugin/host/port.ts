import { setTimeout } from 'node:timers/promises';
import { cidrContains, formatCidr } from '../../core/address.ts';
import type { Cidr, IpAddress } from '../../core/address.ts';
import { addAddress, addRoute, addRouteUnlessTaken, removeAddress, removeRoute } from './address-requests.ts';
import type { NamedLink } from './address-requests.ts';
import type { HostCommands } from './commands.ts';
import { HostError, InterfaceExists } from './host-error.ts';
import { KernelError, setting } from './kernel.ts';
import type { KernelPort, KernelStep } from './kernel.ts';
import { listLinks } from './link-query.ts';
import type { Link } from './link-query.ts';
import {
  findLink,
  makePair,
  readLink,
  removeLink,
  setHairpin,
  setMac,
  setMaster,
  setNoOwnAddresses,
  setUp,
} from './link-requests.ts';
import type { LinkState } from './link-requests.ts';
import { HOST_INTERFACE_PREFIX } from './mac-address.ts';
import type { MacText } from './mac-address.ts';
import type { Namespace } from './namespace.ts';
import { gsoMaxSize } from './underlay-mtu.ts';

/** Milliseconds between two looks; each is twice as long as the one before. */
const FIRST_CARRIER_POLL_MS = 1;
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

/** Where the host's own interfaces are. */
export interface HostPlace {
  readonly kernel: KernelPort;
  /** The path of its namespace; undefined = that of the process. */
  readonly netns: string | undefined;
  readonly bridge: string;
}

/**
 * Makes the pair and configures its inner end: addresses with their connected routes, and the routes of the plan. When
 * it fails, {@link unplug} removes what there is; a name or route that is taken is told by {@link HostError}.
 */
export async function plug(place: HostPlace, plan: PortPlan, namespace: Namespace): Promise<void> {
  const { kernel } = place;
  const inner = { name: plan.interface, index: await makePort(place, plan, namespace) };
  await configure(kernel, namespace, plan, [
    ...announcing(plan.interface),
    ...plan.addresses.map((cidr) => addAddress(inner, cidr)),
    setUp(plan.interface),
    ...routeSteps(inner, plan),
  ]);
}

/** The bridge forwards from a port some milliseconds after it is up; what is sent before is lost. */
export async function announce(place: HostPlace, plan: PortPlan, namespace: Namespace): Promise<void> {
  await waitForCarrier(place, plan.hostInterface);
  await place.kernel.run(namespace.path, [setMac(plan.interface, plan.mac)]);
}

/** Removes a pair by its host end; it may be gone. */
export async function unplug({ kernel, netns }: HostPlace, hostInterface: string): Promise<void> {
  await kernel.run(netns, [removeLink(hostInterface)]);
}

/**
 * Adds the `fresh` among the plan's addresses, announced, and its routes to an interface that {@link plug} made.
 * The routes come last, so that nothing of them is left when this fails.
 */
export async function extend(
  kernel: KernelPort,
  namespace: Namespace,
  plan: PortPlan,
  fresh: readonly Cidr[],
): Promise<void> {
  const name = plan.interface;
  const inner = { name, index: (await stateOf(kernel, namespace.path, name)).index };
  await configure(kernel, namespace, plan, [
    ...fresh.map((cidr) => addAddress(inner, cidr)),
    setMac(name, plan.mac),
    ...routeSteps(inner, plan),
  ]);
}

/** Removes those of the addresses that are there from an interface that may be gone. */
export async function removeAddresses(
  kernel: KernelPort,
  netns: string | undefined,
  name: string,
  addresses: readonly Cidr[],
): Promise<void> {
  if (addresses.length === 0) return;
  try {
    const { index } = await stateOf(kernel, netns, name);
    await kernel.run(
      netns,
      addresses.map((cidr) => removeAddress({ name, index }, cidr)),
    );
  } catch (error) {
    if (!isGone(error)) throw error;
  }
}

/** A route through an address. */
export interface GatewayRoute {
  readonly destination: Cidr;
  readonly via: IpAddress;
  /** Zero = the kernel's own choice. */
  readonly metric: number;
}

/** Removes or sets routes of an interface, which may be gone. What is so already is no failure. */
export async function changeRoutes(
  kernel: KernelPort,
  netns: string,
  verb: 'remove' | 'set',
  name: string,
  routes: readonly GatewayRoute[],
): Promise<void> {
  const step = verb === 'remove' ? removeRoute : addRouteUnlessTaken;
  try {
    const { index } = await stateOf(kernel, netns, name);
    await kernel.run(
      netns,
      routes.map((route) => step({ name, index }, route)),
    );
  } catch (error) {
    if (!isGone(error)) throw error;
  }
}

/** Whether it is one that {@link plug} made. */
export function isHostEnd({ kind, name }: Pick<Link, 'kind' | 'name'>): boolean {
  return kind === 'veth' && name.startsWith(HOST_INTERFACE_PREFIX);
}

/** The host ends that exist, each with the bridge that it is a port of. */
export async function listPorts(host: HostCommands): Promise<Map<string, string | undefined>> {
  const links = (await listLinks(host)).filter(isHostEnd);
  return new Map(links.map((link) => [link.name, link.master]));
}

/** Puts a host end that lost its bridge back into it, unless it is gone meanwhile. */
export async function rejoin({ kernel, netns, bridge }: HostPlace, hostInterface: string): Promise<void> {
  const { index } = await stateOf(kernel, netns, bridge);
  await kernel.run(netns, [setMaster(hostInterface, index), setUp(hostInterface)]).catch((error: unknown) => {
    if (!isGone(error)) throw error;
  });
}

/** Resolves to the index of the inner end. What an earlier run left under the name of the host end goes. */
async function makePort(
  { kernel, netns, bridge }: HostPlace,
  plan: PortPlan,
  namespace: Namespace,
): Promise<number> {
  const { hostInterface, mtu } = plan;
  const found = await kernel.run(netns, [findLink(bridge), removeLink(hostInterface)]);
  const outer = { name: hostInterface, mac: plan.hostMac };
  const pair = makePair(
    outer,
    { name: plan.interface, mac: plan.mac },
    {
      mtu,
      largestSuperFrame: gsoMaxSize(mtu),
      bridge: linkIn(found, bridge).index,
      namespace: namespace.fd,
    },
  );
  const rest = [
    // A port of the bridge carries other people's frames: it gives itself no addresses and believes no router.
    setting(`/proc/sys/net/ipv6/conf/${hostInterface}/accept_ra`, '0'),
    setNoOwnAddresses(hostInterface),
    ...(plan.hairpin ? [setHairpin(hostInterface)] : []),
    setUp(hostInterface),
    findLink(hostInterface),
  ];
  const made = await kernel.run(netns, [pair, ...rest]).catch((error: unknown) => {
    if (!(error instanceof KernelError) || error.step > 0 || error.code !== 'EEXIST') throw error;
    throw new InterfaceExists(
      `it already has an interface ${plan.interface}: remove it or choose another --interface`,
      { cause: error },
    );
  });
  const { peer } = linkIn(made, hostInterface);
  if (peer === undefined) throw new HostError(`the kernel does not tell the other end of ${hostInterface}`);
  return peer;
}

/**
 * arp_notify and ndisc_notify make the kernel announce the addresses when the interface comes up or is told its MAC,
 * so that neighbours forget whoever had them before.
 */
function announcing(name: string): KernelStep[] {
  return [
    setting(`/proc/sys/net/ipv4/conf/${name}/arp_notify`, '1'),
    setting(`/proc/sys/net/ipv6/conf/${name}/ndisc_notify`, '1'),
  ];
}

/** `steps` end with the plan's routes. */
async function configure(
  kernel: KernelPort,
  namespace: Namespace,
  plan: PortPlan,
  steps: readonly KernelStep[],
): Promise<void> {
  try {
    await kernel.run(namespace.path, steps);
  } catch (error) {
    const route = error instanceof KernelError ? error.step - (steps.length - plan.routes.length) : -1;
    if (route < 0 || (error as KernelError).code !== 'EEXIST') throw error;
    throw new HostError(routeTaken(plan.routes[route]!), { cause: error });
  }
}

/** A gateway outside the subnets of the interface is said to be on the link, or the kernel would refuse it. */
function routeSteps(link: NamedLink, { routes, addresses }: PortPlan): KernelStep[] {
  return routes.map(({ destination, via }) => {
    const far = via !== undefined && !addresses.some((cidr) => cidrContains(cidr, via));
    return addRoute(link, destination, via, far);
  });
}

function routeTaken({ destination }: PortRoute): string {
  if (destination.prefix === 0) return 'it already has a default route: leave out --default-route';
  return `it already has a route to ${formatCidr(destination)}: leave that one out`;
}

async function waitForCarrier({ kernel, netns }: HostPlace, name: string): Promise<void> {
  let pause = FIRST_CARRIER_POLL_MS;
  for (let waited = 0; waited < CARRIER_TIMEOUT_MS; waited += pause, pause *= 2) {
    if ((await stateOf(kernel, netns, name)).operational) return;
    await setTimeout(pause);
  }
}

async function stateOf(kernel: KernelPort, netns: string | undefined, name: string): Promise<LinkState> {
  return linkIn(await kernel.run(netns, [findLink(name)]), name);
}

function linkIn(replies: Uint8Array, name: string): LinkState {
  const link = readLink(replies);
  if (link === undefined) throw new HostError(`the kernel tells nothing of the interface ${name}`);
  return link;
}

function isGone(error: unknown): boolean {
  return error instanceof KernelError && error.code === 'ENODEV';
}
