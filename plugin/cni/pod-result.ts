import { cidrContains, formatCidr, formatIp } from '../../core/address.ts';
import type { Cidr, IpAddress } from '../../core/address.ts';
import type { Attached } from '../host/attach.ts';
import type { MacText } from '../host/mac-address.ts';
import type { PortRoute } from '../host/port.ts';
import type { CniDns, CniResult, CniRoute } from './cni-result.ts';
import type { NetworkConfig } from './network-config.ts';

export interface BridgeFacts {
  readonly name: string;
  readonly mac: MacText;
  /** Bytes. */
  readonly mtu: number;
}

/** Position of the pod's own interface in {@link podResult}. */
const POD_INTERFACE = 2;

/** What an ADD answers: the bridge, the port's two ends, and what the inner one has. */
export function podResult(
  { record, plan, gateway }: Attached,
  bridge: BridgeFacts,
  sandbox: string,
  dns: CniDns,
): CniResult {
  return {
    interfaces: [
      { name: bridge.name, mac: bridge.mac, mtu: bridge.mtu },
      { name: plan.hostInterface, mac: plan.hostMac, mtu: plan.mtu },
      { name: plan.interface, mac: plan.mac, mtu: plan.mtu, sandbox },
    ],
    ips: record.addresses.map((cidr) => ({
      address: formatCidr(cidr),
      ...gatewayIn(cidr, gateway),
      interface: POD_INTERFACE,
    })),
    routes: plan.routes.map(routeOf),
    dns,
  };
}

/** What an IPAM plugin answers: neither interfaces nor positions of any. */
export function leaseResult(addresses: readonly Cidr[], config: NetworkConfig): CniResult {
  const { gateway, routes, dns } = config;
  return {
    interfaces: [],
    ips: addresses.map((cidr) => ({
      address: formatCidr(cidr),
      ...gatewayIn(cidr, gateway),
    })),
    routes: (routes ?? []).map(routeOf),
    dns,
  };
}

/** Plugins after us take it for one that the subnet of the address reaches. */
function gatewayIn(cidr: Cidr, gateway: IpAddress | undefined): { gateway?: string } {
  return gateway !== undefined && cidrContains(cidr, gateway) ? { gateway: formatIp(gateway) } : {};
}

/** The routes of a pod, each through its gateway unless it names another. */
export function podRoutes(config: NetworkConfig): ((gateway: IpAddress) => readonly PortRoute[]) | undefined {
  const { routes } = config;
  if (routes === undefined) return undefined;
  return (gateway) =>
    routes.map(({ destination, via }) => ({
      destination,
      via: via ?? (destination.ip.family === gateway.family ? gateway : undefined),
    }));
}

function routeOf({ destination, via }: PortRoute): CniRoute {
  return { dst: formatCidr(destination), ...(via === undefined ? {} : { gw: formatIp(via) }) };
}
