import { formatCidr, formatIp } from '../core/address.ts';
import type { Cidr } from '../core/address.ts';
import { compareNames } from '../core/peer-name.ts';
import type { IpamPeer } from './effects.ts';
import type { Owner } from './entries.ts';
import type { Holdings } from './holdings.ts';
import { NO_GENERATION } from './ring.ts';

/** The part `ipam` of the status document. */
export interface IpamStatus {
  readonly status: 'idle' | 'awaiting-consensus' | 'ready' | 'waiting-for-grant' | 'exhausted' | 'disabled';
  readonly detail?: string;
  readonly range: string;
  readonly defaultSubnet: string;
  readonly clusterId: string;
  readonly owned: readonly OwnedStatus[];
  readonly active: number;
  readonly conflicts: readonly string[];
}

interface OwnedStatus {
  readonly name: string;
  readonly nickname: string;
  readonly addresses: number;
  readonly fraction: number;
  readonly reachable: boolean;
}

interface StatusParts {
  readonly status: IpamStatus['status'];
  readonly detail: string | undefined;
  readonly defaultSubnet: Cidr;
  readonly holdings: Holdings;
  readonly self: Owner & { readonly nickname: string };
  readonly peers: readonly IpamPeer[];
}

export function ipamStatus(parts: StatusParts): IpamStatus {
  const { holdings } = parts;
  return {
    status: parts.status,
    ...(parts.detail === undefined ? {} : { detail: parts.detail }),
    range: holdings.range.text,
    defaultSubnet: formatCidr(parts.defaultSubnet),
    clusterId: holdings.clusterId ?? '',
    owned: ownedStatus(parts),
    active: holdings.allocations.active,
    conflicts: holdings.lost().map(formatIp),
  };
}

/** One line per owner; space under another generation of a name has a line of its own, as nobody serves it. */
function ownedStatus({ holdings, self, peers }: StatusParts): OwnedStatus[] {
  const me = { name: self.owner, nickname: self.nickname, generation: self.generation, reachable: true };
  const known = new Map([...peers, me].map((peer) => [peer.name, peer]));
  const lines = new Map<string, OwnedStatus>();
  for (const { owner, generation, start, end } of holdings.ring) {
    const peer = known.get(owner);
    const served = generation === NO_GENERATION || generation === peer?.generation;
    const key = `${owner} ${served ? '' : generation}`;
    const addresses = (lines.get(key)?.addresses ?? 0) + end - start;
    lines.set(key, {
      name: owner,
      nickname: peer?.nickname ?? '',
      addresses,
      fraction: addresses / holdings.range.size,
      reachable: served && peer?.reachable === true,
    });
  }
  return [...lines].sort(([a], [b]) => compareNames(a, b)).map(([, line]) => line);
}
