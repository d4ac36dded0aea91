import { formatEndpoint } from '../core/address.ts';
import { compareNames } from '../core/peer-name.ts';
import type { PeerName } from '../core/peer-name.ts';
import type { Millis } from '../core/time.ts';
import type { Gossip } from '../gossip/gossip.ts';
import type { TopologyEntry } from '../gossip/topology-entry.ts';
import type { Ipam } from '../ipam/ipam.ts';
import type { ControlNodeConfig } from './control-config.ts';
import type { LinkControl } from './link/link-control.ts';
import type { OfferState } from './link/offer.ts';
import type { DataReport, LinkReport, WorkerReport } from './node-messages.ts';
import type { IpamStatus } from '../ipam/status.ts';
import { CONNECTION_DROP, type LinkStatus, type RouterStatus } from './status.ts';

/** The status document but for what only the edge knows. */
export interface ControlStatus {
  readonly router: Omit<RouterStatus, 'engine' | 'uptimeSeconds'>;
  readonly ipam: IpamStatus;
}

/** Everything that the control plane knows, for `report`. Never secrets. */
export interface ControlReport extends ControlStatus {
  readonly topology: readonly TopologyEntry[];
  readonly details: Readonly<Record<string, number>>;
  /** Of the data plane, in order. */
  readonly workers: readonly WorkerReport[];
  /** How connections and dials ended, by reason. */
  readonly failures: Readonly<Record<string, number>>;
}

/** Whose state it is. */
export interface StatusParts {
  readonly config: ControlNodeConfig;
  readonly gossip: Gossip;
  readonly ipam: Ipam | undefined;
  readonly links: LinkControl;
  readonly pins: number;
  /** How many are held. */
  readonly passwords: number;
  /** Undefined if the data plane did not answer, or there is none. */
  readonly report: DataReport | undefined;
}

export function controlStatus(parts: StatusParts, now: Millis): ControlStatus {
  const { config, gossip, links, passwords, report } = parts;
  const { identity, nickname, bridgeMtu } = config;
  const nicknameOf = (peer: PeerName): string => gossip.entry(peer)?.nickname ?? '';
  return {
    router: {
      name: identity.name,
      nickname,
      incarnation: gossip.entry(identity.name)?.incarnation ?? identity.incarnation,
      encryption: passwords > 0,
      passwords,
      mtu: bridgeMtu,
      targets: gossip.targetsStatus(),
      connections: gossip.connectionsStatus(now),
      links: linkStatuses(report, links.offerStates(), nicknameOf),
      peers: gossip.peersStatus(),
      drops: sumCounts(
        report?.drops ?? {},
        links.drops,
        connectionDrops(gossip.refusals()),
        parts.ipam?.drops ?? {},
      ),
    },
    ipam: parts.ipam?.status(now) ?? IPAM_DISABLED,
  };
}

export function controlReport(parts: StatusParts, now: Millis): ControlReport {
  const { gossip, links, pins, report } = parts;
  const { macs, labels } = report ?? { macs: 0, labels: 0 };
  return {
    ...controlStatus(parts, now),
    topology: gossip.entries(),
    details: { circuits: links.circuits, macs, labels, pins, ...parts.ipam?.counts },
    workers: report?.workers ?? [],
    failures: gossip.failures(),
  };
}

const IPAM_DISABLED: IpamStatus = {
  status: 'disabled',
  range: '',
  defaultSubnet: '',
  clusterId: '',
  owned: [],
  active: 0,
  conflicts: [],
  quarantine: [],
};

/**
 * Links in order of peer: what the data plane says of them, and, for peers that it does not know of, whether they are
 * being offered a session or cannot have one.
 */
function linkStatuses(
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
  const idle = offering ? 'offering' : 'idle';
  if (link === undefined) return { ...NO_LINK, peer, nickname, state: idle };
  const { via, address, ...rest } = link;
  return {
    ...rest,
    nickname,
    state: link.state === 'idle' ? idle : link.state,
    ...(via === undefined ? {} : { via }),
    ...(address === undefined ? {} : { address: formatEndpoint(address) }),
    rttMs: link.rttMs ?? null,
  };
}

const NO_LINK = {
  path: 'direct',
  encrypted: false,
  mtu: 0,
  rttMs: null,
  sentBytes: 0,
  receivedBytes: 0,
  lostFraction: 0,
  rekeys: 0,
} as const;

/** Under names of their own, since packets are dropped for reasons such as "malformed", too. */
function connectionDrops(refusals: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(refusals).map(([reason, count]) => [`${CONNECTION_DROP}${reason}`, count]),
  );
}

/** Sums of counts by reason, in order of reason. */
function sumCounts(...counts: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const sums = new Map<string, number>();
  for (const [reason, count] of counts.flatMap((one) => Object.entries(one))) {
    sums.set(reason, (sums.get(reason) ?? 0) + count);
  }
  return Object.fromEntries([...sums].sort(([a], [b]) => compareNames(a, b)));
}
