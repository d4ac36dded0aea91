import { equalIp, formatCidr, formatIp, parseCidr, parseIp } from '../../core/address.ts';
import type { Cidr, IpAddress } from '../../core/address.ts';
import type { AttachmentRecord } from '../host/attachment-record.ts';
import type { CniResult } from './cni-result.ts';

/** What the kernel and the allocator have of a pod now. */
export interface PodState {
  /** The bridge that the host end is a port of; undefined = there is no host end, or it is in no bridge. */
  readonly master: string | undefined;
  /** Undefined = there is no such interface in the namespace. */
  readonly inner: { readonly mac: string; readonly up: boolean } | undefined;
  readonly addresses: readonly Cidr[];
  readonly routes: readonly { readonly destination: Cidr; readonly via: IpAddress | undefined }[];
  /** Addresses that the allocator has under the pod's identity. */
  readonly allocated: readonly Cidr[];
  /** Does the kernel check what the port sends? */
  readonly guarded: boolean;
}

/**
 * What is missing or changed of what ADD made, in a sentence; undefined if all is well. Only what is ours is looked
 * at: plugins after us may add to it, and may change routes.
 */
export function podProblem(
  record: AttachmentRecord | undefined,
  state: PodState,
  result: CniResult,
  place: { readonly bridge: string; readonly netns: string },
): string | undefined {
  if (record === undefined || record.pending)
    return 'the daemon knows of no such pod: delete it and add it again';
  const { interface: name, hostInterface, mac } = record;
  if (state.inner === undefined) return `the interface ${name} is missing in ${place.netns}`;
  if (state.inner.mac !== mac) return `the MAC of ${name} is ${state.inner.mac}, but ADD gave it ${mac}`;
  if (!state.inner.up) return `the interface ${name} is down`;
  if (state.master !== place.bridge) return `the port ${hostInterface} is not in the bridge ${place.bridge}`;
  if (!state.guarded) return `the rules that guard the port ${hostInterface} are missing`;
  return addressProblem(record, state, result) ?? routeProblem(state, result, place.netns, name);
}

function addressProblem(record: AttachmentRecord, state: PodState, result: CniResult): string | undefined {
  const ours = ownAddresses(result, record.interface);
  if (ours.length === 0) return `prevResult has no address on ${record.interface}`;
  for (const text of ours) {
    const cidr = parseCidr(text);
    if (cidr === undefined) return `prevResult has the address "${text}", which is none`;
    const isSame = (other: Cidr): boolean => equalIp(other.ip, cidr.ip) && other.prefix === cidr.prefix;
    if (!state.addresses.some(isSame)) return `the address ${text} is missing on ${record.interface}`;
    if (!state.allocated.some((other) => equalIp(other.ip, cidr.ip))) {
      return `the address ${text} is not allocated to this pod any more`;
    }
  }
  return undefined;
}

/** The addresses of the result on the interface of this name in a namespace. */
function ownAddresses(result: CniResult, name: string): string[] {
  return result.ips
    .filter((ip) => {
      const holder = ip.interface === undefined ? undefined : result.interfaces[ip.interface];
      return holder?.name === name && (holder.sandbox ?? '') !== '';
    })
    .map((ip) => ip.address);
}

/** Routes by way of our gateways only: those of other plugins are theirs to check. */
function routeProblem(state: PodState, result: CniResult, netns: string, name: string): string | undefined {
  const gateways = new Set(
    result.ips
      .filter((ip) => ip.interface !== undefined && result.interfaces[ip.interface]?.name === name)
      .map((ip) => ip.gateway),
  );
  for (const { dst, gw } of result.routes) {
    const cidr = parseCidr(dst);
    const via = gw === undefined ? undefined : parseIp(gw);
    if (cidr === undefined || via === undefined || !gateways.has(gw)) continue;
    const isThere = state.routes.some(
      (route) =>
        route.destination.prefix === cidr.prefix &&
        equalIp(route.destination.ip, cidr.ip) &&
        route.via !== undefined &&
        equalIp(route.via, via),
    );
    if (!isThere) return `the route ${formatCidr(cidr)} via ${formatIp(via)} is missing in ${netns}`;
  }
  return undefined;
}
