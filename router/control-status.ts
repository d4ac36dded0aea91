import { formatEndpoint } from '../core/address.ts';
import { compareNames } from '../core/peer-name.ts';
import type { PeerName } from '../core/peer-name.ts';
import type { OfferState } from './link/offer.ts';
import type { DataReport, LinkReport } from './node-messages.ts';
import type { IpamStatus, LinkStatus, RouterStatus } from './status.ts';

/** The status document but for what only the edge knows. */
export interface ControlStatus {
  readonly router: Omit<RouterStatus, 'engine' | 'uptimeSeconds'>;
  readonly ipam: IpamStatus;
}

export const IPAM_DISABLED: IpamStatus = {
  status: 'disabled',
  range: '',
  defaultSubnet: '',
  clusterId: '',
  owned: [],
  active: 0,
  conflicts: [],
};

/**
 * Links in order of peer: what the data plane says of them, and, for peers that it does not know of, whether they are
 * being offered a session or cannot have one.
 */
export function linkStatuses(
  report: DataReport | undefined,
  offers: readonly OfferState[],
  nicknameOf: (peer: PeerName) => string,
): LinkStatus[] {
  const reports = new Map((report?.links ?? []).map((link) => [link.peer, link]));
  const states = new Map(offers.map((offer) => [offer.peer, offer]));
  const peers = [...new Set([...reports.keys(), ...states.keys()])].sort(compareNames);
  return peers.map((peer) => {
    const offer = states.get(peer);
    const link = linkStatus(peer, nicknameOf(peer), reports.get(peer), offer?.offering === true);
    return offer?.error === undefined ? link : { ...link, error: offer.error };
  });
}

function linkStatus(
  peer: PeerName,
  nickname: string,
  link: LinkReport | undefined,
  offering: boolean,
): LinkStatus {
  const idle = link === undefined || link.state === 'idle';
  return {
    peer,
    nickname,
    state: idle ? (offering ? 'offering' : 'idle') : link.state,
    path: link?.path ?? 'direct',
    ...(link?.via === undefined ? {} : { via: link.via }),
    ...(link?.address === undefined ? {} : { address: formatEndpoint(link.address) }),
    encrypted: link?.encrypted ?? false,
    mtu: link?.mtu ?? 0,
    rttMs: link?.rttMs ?? null,
    sentBytes: link?.sentBytes ?? 0,
    receivedBytes: link?.receivedBytes ?? 0,
    lostFraction: link?.lostFraction ?? 0,
  };
}

/** Sums of counts by reason, in order of reason. */
export function sumCounts(...counts: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const sums = new Map<string, number>();
  for (const [reason, count] of counts.flatMap((one) => Object.entries(one))) {
    sums.set(reason, (sums.get(reason) ?? 0) + count);
  }
  return Object.fromEntries([...sums].sort(([a], [b]) => compareNames(a, b)));
}
