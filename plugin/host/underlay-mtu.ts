import { cidrContains } from '../../core/address.ts';
import type { IpAddress } from '../../core/address.ts';
import type { HostState, InterfaceAddress, Link, Route } from './link-query.ts';

/** IPv6 40, UDP 8, datagram 32, inner 2, broadcast 12, Ethernet 14, VLAN 4. */
export const OVERLAY_OVERHEAD = 112;
/** IPv6 asks this much of every link (RFC 8200, section 5). */
export const MIN_BRIDGE_MTU = 1_280;

const ETHERNET_MTU = 1_500;
const UDP_PAYLOAD_MAX = 65_507;
const TRAIN_SEGMENTS_MAX = 64;

/** The MTU in bytes for bridge and attached namespaces when the operator named none. `listen` = the address of `--host`. */
export function bridgeMtuFor(
  { links, routes, addresses }: HostState,
  ownInterfaces: ReadonlySet<string>,
  listen: IpAddress | undefined,
): number {
  const underlay = underlayMtu(links, routes, addresses, ownInterfaces, listen);
  return Math.max(MIN_BRIDGE_MTU, underlay - OVERLAY_OVERHEAD);
}

/**
 * The smallest MTU of the interfaces with a default route; failing that, of the one that holds `listen`; failing
 * that, of all that are up; failing that, Ethernet's.
 */
export function underlayMtu(
  links: readonly Link[],
  routes: readonly Route[],
  addresses: readonly InterfaceAddress[],
  ownInterfaces: ReadonlySet<string>,
  listen: IpAddress | undefined,
): number {
  const usable = links.filter((link) => link.up && !link.loopback && !isOwn(link, ownInterfaces));
  const among = (names: readonly (string | undefined)[]): number[] =>
    usable.filter((link) => names.includes(link.name)).map((link) => link.mtu);
  const defaults = among(routes.filter((route) => route.destination.prefix === 0).map((r) => r.interface));
  const holders = among(addresses.filter(({ cidr }) => holds(cidr, listen)).map((a) => a.interface));
  const choice = [defaults, holders, usable.map((link) => link.mtu)].find((mtus) => mtus.length > 0);
  return Math.min(...(choice ?? [ETHERNET_MTU]));
}

/**
 * The largest super-frame, in bytes, that an attached interface may make so that its segments fit one train: at most
 * 64 datagrams and 65,507 bytes in one UDP_SEGMENT send.
 */
export function gsoMaxSize(bridgeMtu: number): number {
  const datagram = bridgeMtu + 48;
  const segments = Math.min(TRAIN_SEGMENTS_MAX, Math.floor(UDP_PAYLOAD_MAX / datagram));
  const smallestSegment = bridgeMtu - 60;
  return Math.min(65_536, Math.max(1, segments) * smallestSegment);
}

function holds(cidr: InterfaceAddress['cidr'], listen: IpAddress | undefined): boolean {
  return (
    listen !== undefined && cidrContains({ ip: cidr.ip, prefix: listen.family === 4 ? 32 : 128 }, listen)
  );
}

/** Ports of our bridge count as ours: their MTU follows from what is computed here. */
function isOwn(link: Link, ownInterfaces: ReadonlySet<string>): boolean {
  return ownInterfaces.has(link.name) || (link.master !== undefined && ownInterfaces.has(link.master));
}
