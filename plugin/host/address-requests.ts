import { constants } from 'node:os';
import { formatCidr, ipToBytes } from '../../core/address.ts';
import type { Cidr, Family, IpAddress } from '../../core/address.ts';
import { concatBytes } from '../../core/bytes.ts';
import type { KernelStep } from './kernel.ts';
import { ACKNOWLEDGED, attribute, CREATE, EXCLUSIVE, message, REPLACE, u32 } from './netlink-message.ts';

/** Messages about addresses and routes (rtnetlink(7), linux/if_addr.h, linux/rtnetlink.h). */

const { EADDRNOTAVAIL, EEXIST, ESRCH } = constants.errno;

const TYPES = { addAddress: 20, removeAddress: 21, addRoute: 24, removeRoute: 25 } as const;
const ADDRESS = { peer: 1, own: 2, flags: 8 } as const;
const ROUTE = { destination: 1, interface: 4, gateway: 5, metric: 6 } as const;
const FAMILIES: Readonly<Record<Family, number>> = { 4: 2, 6: 10 };
const NO_DUPLICATE_DETECTION = 2;
const MAIN_TABLE = 254;
/** As `ip route` has it: set by hand. */
const PROTOCOL_BOOT = 3;
/** In a removal: whoever set it. */
const PROTOCOL_ANY = 0;
const SCOPE = { everywhere: 0, link: 253 } as const;
const UNICAST = 1;
const ON_LINK = 4;

/** An interface by its index; the name is for messages. */
export interface NamedLink {
  readonly name: string;
  readonly index: number;
}

interface RouteTarget {
  readonly destination: Cidr;
  /** Undefined: whatever is there is on the link. */
  readonly via: IpAddress | undefined;
  /** The gateway is in no subnet of the interface. */
  readonly far?: boolean;
  /** Zero or undefined = the kernel's own choice; in a removal, any. */
  readonly metric?: number;
}

/** IPAM has seen to it that the address is nobody else's, so it is used at once. One that is there stays. */
export function addAddress(link: NamedLink, cidr: Cidr): KernelStep {
  return {
    what: `give the interface ${link.name} the address ${formatCidr(cidr)}`,
    kind: 'route',
    request: addressMessage(TYPES.addAddress, ACKNOWLEDGED | CREATE | REPLACE, link, cidr),
  };
}

/** One that is not there is no failure. */
export function removeAddress(link: NamedLink, cidr: Cidr): KernelStep {
  return {
    what: `take the address ${formatCidr(cidr)} from the interface ${link.name}`,
    kind: 'route',
    request: addressMessage(TYPES.removeAddress, ACKNOWLEDGED, link, cidr),
    tolerated: EADDRNOTAVAIL,
  };
}

/** `via` undefined: whatever is there is on the link. `far`: the gateway is in no subnet of the interface. */
export function addRoute(
  link: NamedLink,
  destination: Cidr,
  via: IpAddress | undefined,
  far: boolean,
): KernelStep {
  const flags = ACKNOWLEDGED | CREATE | EXCLUSIVE;
  return {
    what: `set the route to ${formatCidr(destination)} on the interface ${link.name}`,
    kind: 'route',
    request: routeMessage(TYPES.addRoute, flags, link, { destination, via, far }, PROTOCOL_BOOT),
  };
}

/** As {@link addRoute}; another one to the same destination stays. */
export function addRouteUnlessTaken(link: NamedLink, route: RouteTarget): KernelStep {
  return {
    what: `set the route to ${formatCidr(route.destination)} on the interface ${link.name}`,
    kind: 'route',
    request: routeMessage(TYPES.addRoute, ACKNOWLEDGED | CREATE | EXCLUSIVE, link, route, PROTOCOL_BOOT),
    tolerated: EEXIST,
  };
}

/** One that is not there is no failure. */
export function removeRoute(link: NamedLink, route: RouteTarget): KernelStep {
  return {
    what: `take the route to ${formatCidr(route.destination)} from the interface ${link.name}`,
    kind: 'route',
    request: routeMessage(TYPES.removeRoute, ACKNOWLEDGED, link, route, PROTOCOL_ANY),
    tolerated: ESRCH,
  };
}

function routeMessage(
  type: number,
  flags: number,
  link: NamedLink,
  { destination, via, far = false, metric = 0 }: RouteTarget,
  protocol: number,
): Uint8Array {
  const { family } = destination.ip;
  const scope = via === undefined && family === 4 ? SCOPE.link : SCOPE.everywhere;
  const fixed = concatBytes(
    Uint8Array.of(FAMILIES[family], destination.prefix, 0, 0, MAIN_TABLE, protocol, scope, UNICAST),
    u32(far ? ON_LINK : 0),
  );
  const attributes = [
    ...(destination.prefix === 0 ? [] : [attribute(ROUTE.destination, ipToBytes(destination.ip))]),
    ...(via === undefined ? [] : [attribute(ROUTE.gateway, ipToBytes(via))]),
    attribute(ROUTE.interface, u32(link.index)),
    ...(metric === 0 ? [] : [attribute(ROUTE.metric, u32(metric))]),
  ];
  return message(type, flags, fixed, ...attributes);
}

function addressMessage(type: number, flags: number, { index }: NamedLink, { ip, prefix }: Cidr): Uint8Array {
  const bytes = ipToBytes(ip);
  const fixed = concatBytes(Uint8Array.of(FAMILIES[ip.family], prefix, 0, SCOPE.everywhere), u32(index));
  const own = [attribute(ADDRESS.peer, bytes), attribute(ADDRESS.own, bytes)];
  const detection = ip.family === 6 ? [attribute(ADDRESS.flags, u32(NO_DUPLICATE_DETECTION))] : [];
  return message(type, flags, fixed, ...own, ...detection);
}
