import { formatCidr, formatIp } from '../core/address.ts';
import type { Cidr } from '../core/address.ts';
import type { PeerName } from '../core/peer-name.ts';
import { compareNames } from '../core/peer-name.ts';
import type { IpamPeer } from './effects.ts';
import type { MemberEntry } from './entries.ts';
import type { Holdings } from './holdings.ts';
import type { PeerDirectory } from './peer-directory.ts';
import type { TakeOverStatus } from './quarantine.ts';
import { commonSpans } from './range.ts';
import { valueAt } from './ring.ts';
import { isServed } from './take-overs.ts';

/** The part `ipam` of the status document. */
export interface IpamStatus {
  readonly status: 'idle' | 'awaiting-consensus' | 'ready' | 'waiting-for-grant' | 'exhausted' | 'disabled';
  /** A sentence where the state alone does not say it: "awaiting consensus (quorum 2, known 1)". */
  readonly detail?: string;
  readonly range: string;
  readonly defaultSubnet: string;
  readonly clusterId: string;
  readonly owned: readonly OwnedStatus[];
  /** Addresses handed out by this node. */
  readonly active: number;
  readonly conflicts: readonly ConflictStatus[];
  /** Addresses that this node took over and does not give out yet. */
  readonly quarantine: readonly QuarantineStatus[];
}

export interface OwnedStatus {
  readonly name: string;
  readonly nickname: string;
  readonly addresses: number;
  readonly fraction: number;
  readonly reachable: boolean;
}

/** An address that one node has handed out and another owns. */
export interface ConflictStatus {
  readonly address: string;
  /** Who has handed it out. */
  readonly user: string;
  readonly userNickname: string;
  /** Empty where another node has handed it out. */
  readonly id: string;
  /** Whose it is. */
  readonly owner: string;
  readonly ownerNickname: string;
}

export interface QuarantineStatus {
  /** Whose they were. */
  readonly from: string;
  readonly nickname: string;
  readonly addresses: number;
  /** Who has not acknowledged the take-over; names. */
  readonly waitingFor: readonly string[];
  /** What is left of the rest that they have in any case. */
  readonly restSeconds: number;
  /** Who was out of reach for 10 min and so waited for no longer: they may still give such addresses out; names. */
  readonly givenUp?: readonly string[];
}

interface StatusParts {
  readonly status: IpamStatus['status'];
  readonly detail: string | undefined;
  readonly defaultSubnet: Cidr;
  readonly holdings: Holdings;
  readonly directory: PeerDirectory;
  readonly peers: readonly IpamPeer[];
  readonly users: readonly MemberEntry[];
  readonly takeOvers: readonly TakeOverStatus[];
}

/** More conflicts than that are not listed one by one. */
const MAX_CONFLICTS = 1_000;

export function ipamStatus(parts: StatusParts): IpamStatus {
  const { holdings, directory } = parts;
  return {
    status: parts.status,
    ...(parts.detail === undefined ? {} : { detail: parts.detail }),
    range: holdings.range.text,
    defaultSubnet: formatCidr(parts.defaultSubnet),
    clusterId: holdings.clusterId ?? '',
    owned: ownedStatus(parts),
    active: holdings.allocations.active,
    conflicts: [...ownConflicts(parts), ...foreignConflicts(parts)].slice(0, MAX_CONFLICTS),
    quarantine: parts.takeOvers
      .filter(({ addresses, givenUp }) => addresses > 0 || givenUp !== undefined)
      .map((one) => ({ ...one, nickname: directory.nicknameOf(one.from) })),
  };
}

/** One line per owner; space under a generation that nobody announces has a line of its own, as nobody serves it. */
function ownedStatus({ holdings, directory, peers }: StatusParts): OwnedStatus[] {
  const known = new Map(peers.map((peer) => [peer.name, peer]));
  const lines = new Map<string, OwnedStatus>();
  for (const value of holdings.ring) {
    const { owner, start, end } = value;
    const served = holdings.isMine(value) || isServed(value, known.get(owner), holdings.clusterId);
    const key = `${owner} ${served ? 0 : 1}`;
    const addresses = (lines.get(key)?.addresses ?? 0) + end - start;
    lines.set(key, {
      name: owner,
      nickname: directory.nicknameOf(owner),
      addresses,
      fraction: addresses / holdings.range.size,
      reachable: served,
    });
  }
  return [...lines].sort(([a], [b]) => compareNames(a, b)).map(([, line]) => line);
}

function ownConflicts({ holdings, directory }: StatusParts): ConflictStatus[] {
  const { range, ring, allocations, self } = holdings;
  return holdings
    .lost()
    .slice(0, MAX_CONFLICTS)
    .map((offset) => {
      const owner: PeerName | '' = valueAt(ring, offset)?.owner ?? '';
      return {
        address: formatIp(range.ipAt(offset)),
        user: self.owner,
        userNickname: directory.nicknameOf(self.owner),
        id: allocations.holderOf(offset) ?? '',
        owner,
        ownerNickname: owner === '' ? '' : directory.nicknameOf(owner),
      };
    });
}

/** Those that others have handed out although they belong to this node. */
function foreignConflicts({ holdings, users }: StatusParts): ConflictStatus[] {
  const { range, self, ownSpans } = holdings;
  const out: ConflictStatus[] = [];
  for (const { name, nickname, conflicts } of users) {
    for (const { start, end } of commonSpans(conflicts, ownSpans)) {
      for (let offset = start; offset < end && out.length < MAX_CONFLICTS; offset++) {
        const address = formatIp(range.ipAt(offset));
        out.push({
          address,
          user: name,
          userNickname: nickname,
          id: '',
          owner: self.owner,
          ownerNickname: '',
        });
      }
    }
  }
  return out;
}
