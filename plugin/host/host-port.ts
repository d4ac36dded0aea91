import type { Cidr, IpAddress } from '../../core/address.ts';
import type { MacText } from './mac-address.ts';
import type { Namespace } from './namespace.ts';
import type { GatewayRoute, PortPlan } from './port.ts';
import type { PortGuard } from './port-guard.ts';

/** What the attachment service wants of the kernel; {@link HostNetwork} does it, tests have a fake. */
export interface HostPort {
  /** See openNamespace; the caller closes it. */
  open(target: string): Promise<Namespace>;
  /** Rejects if one of these addresses lies outside the mesh's range in a network that the host uses itself. */
  checkClaims(claims: readonly Cidr[]): Promise<void>;
  /** Makes the pair. When it rejects, {@link unplug} removes what there is of it. */
  plug(plan: PortPlan, namespace: Namespace): Promise<void>;
  /** Waits until the bridge forwards from a port that was made, and tells the neighbours whose its addresses are. */
  announce(plan: PortPlan, namespace: Namespace): Promise<void>;
  /** Removes a pair by its host end; it may be gone. */
  unplug(hostInterface: string): Promise<void>;
  /** Adds `fresh`, which are among the plan's addresses, and the plan's default route, if any, to a port that is there. */
  extend(namespace: Namespace, plan: PortPlan, fresh: readonly Cidr[]): Promise<void>;
  removeAddresses(namespace: Namespace, interfaceName: string, addresses: readonly Cidr[]): Promise<void>;
  /** The routes of the interface through one of these addresses. */
  routesThrough(
    namespace: Namespace,
    interfaceName: string,
    gateways: readonly IpAddress[],
  ): Promise<GatewayRoute[]>;
  /** Removes or sets routes; those that are gone, or taken by others, stay so. */
  changeRoutes(
    namespace: Namespace,
    verb: 'remove' | 'set',
    interfaceName: string,
    routes: readonly GatewayRoute[],
  ): Promise<void>;
  /** Names of the host ends that exist. */
  ports(): Promise<ReadonlySet<string>>;
  /** Those of the named host ends that exist. */
  present(hostInterfaces: readonly string[]): Promise<ReadonlySet<string>>;
  /** Puts those of the named host ends back into the bridge that lost it. */
  rejoin(hostInterfaces: readonly string[]): Promise<void>;
  /** Sets the host's own addresses on the bridge. Resolves to notes for the operator. */
  expose(exposure: Exposure): Promise<string[]>;
  /**
   * Puts back rules that were flushed, and the bridge and its TAP if they were taken apart. True of the bridge: it is
   * without the host's addresses then.
   */
  repair(): Promise<boolean>;
  /** Puts back what other programs may have flushed. */
  refreshFirewall(): Promise<void>;
}

/** What the run before left in force and this one goes on with. */
export interface Restored {
  /** The host's own addresses whose subnets are masqueraded. */
  readonly masquerade: readonly Cidr[];
  /** All of the host's own addresses. */
  readonly addresses: readonly Cidr[];
  /** Of ports that are to be guarded; all others go. */
  readonly guards: readonly PortGuard[];
}

export interface Exposure {
  readonly addresses: readonly Cidr[];
  /** Those of `addresses` whose subnets are masqueraded. */
  readonly masquerade: readonly Cidr[];
  /** No longer exposed. */
  readonly remove: readonly Cidr[];
}

/**
 * The part of IPAM that attachments need; promises may wait for a quorum or a donor until `signal` aborts them.
 * Rejections carry a sentence for the operator.
 */
export interface AddressPort {
  /** A free address of the subnet (default: the default subnet) with its prefix. The same id and subnet get the same one. */
  allocate(id: string, subnet?: Cidr, signal?: AbortSignal): Promise<Cidr>;
  claim(id: string, cidr: Cidr, signal?: AbortSignal): Promise<void>;
  /** One address, or without `address` all of the id's. Nothing to release is no error. */
  release(id: string, address?: Cidr): Promise<void>;
  /** All addresses of the id. */
  lookup(id: string): Promise<readonly Cidr[]>;
  /** Everyone who holds addresses. */
  ids(): Promise<readonly string[]>;
}

/** An attachment or the exposure, as the API shows it. */
export interface AttachmentResult {
  readonly id: string;
  readonly addresses: readonly string[];
  readonly interface: string;
  readonly mac: MacText;
  readonly mtu: number;
  /** Sentences for the operator, to be shown beside the result. */
  readonly notes: readonly string[];
}

/** A row of `ps`. */
export interface AttachmentRow {
  readonly id: string;
  readonly target: string;
  readonly interface: string;
  readonly mac: MacText;
  readonly addresses: readonly string[];
  readonly state: AttachmentState;
}

/** gone: the namespace or the interface is no more; incomplete: an attach did not end, and is undone or completed later. */
export type AttachmentState = 'attached' | 'gone' | 'incomplete';
