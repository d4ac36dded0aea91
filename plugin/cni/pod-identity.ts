import { LEASE_PREFIX, POD_PREFIX } from '../host/attachment-record.ts';
import type { Invocation } from './invocation.ts';
import type { AttachmentName } from './network-config.ts';

/** A network name, container id and interface name hold no "/", so three of them are one text and can be told apart. */
export function podId(
  program: Invocation['program'],
  network: string,
  { containerId, ifname }: AttachmentName,
): string {
  return `${networkPrefix(program, network)}${containerId}/${ifname}`;
}

/** What the identities of all pods of one network begin with. */
export function networkPrefix(program: Invocation['program'], network: string): string {
  return `${program === 'weave-ts' ? POD_PREFIX : LEASE_PREFIX}${network}/`;
}
