import type { ConnectionStatus, PeerStatus, TargetStatus } from '../gossip/status.ts';
import type { ConflictStatus, IpamStatus, OwnedStatus, QuarantineStatus } from '../ipam/status.ts';
import type { LinkStatus, RouterStatus, StatusDocument } from '../router/status.ts';
import { CONNECTION_DROP } from '../router/status.ts';
import { byteCount, counted, fields, labelled, painted, table, type Tone } from './render.ts';

/** The parts of `status PART`; each knows its share of the document and how a person reads it. */
export const STATUS_PARTS = {
  peers: {
    pick: (d: StatusDocument) => d.router.peers,
    text: (d: StatusDocument) => peersText(d.router.peers),
  },
  connections: {
    pick: (d: StatusDocument) => d.router.connections,
    text: (d: StatusDocument, colour: boolean) => connectionsText(d.router.connections, colour),
  },
  links: {
    pick: (d: StatusDocument) => d.router.links,
    text: (d: StatusDocument, colour: boolean) => linksText(d.router.links, colour),
  },
  targets: {
    pick: (d: StatusDocument) => d.router.targets,
    text: (d: StatusDocument) => targetsText(d.router.targets),
  },
  ipam: { pick: (d: StatusDocument) => d.ipam, text: (d: StatusDocument) => ipamText(d.ipam) },
} as const;

export type StatusPart = keyof typeof STATUS_PARTS;

export function isStatusPart(text: string): text is StatusPart {
  return Object.hasOwn(STATUS_PARTS, text);
}

/** The overview that `status` prints. */
export function overviewText(document: StatusDocument): string {
  return [
    fields([
      ['Version', document.version],
      ...(document.warnings ?? []).map((warning): [string, string] => ['Warning', warning]),
    ]),
    'Service: router\n' + fields(routerFields(document.router, document.stopped)),
    'Service: ipam\n' + fields(ipamFields(document.ipam)),
  ].join('\n');
}

function routerFields(router: RouterStatus, stopped: StatusDocument['stopped']): [string, string][] {
  return [
    ['Name', `${router.name} (${router.nickname})`],
    [
      'Encryption',
      router.encryption
        ? `on, ${counted(router.passwords, 'password', 'passwords')}`
        : 'off: traffic is neither encrypted nor authenticated',
    ],
    ['Engine', router.engine],
    ['MTU', String(router.mtu)],
    ['Targets', String(router.targets.length)],
    ['Connections', countedByState(router.connections)],
    ['Links', countedByState(router.links)],
    ['Peers', String(router.peers.length)],
    ['Drops', dropsText(router.drops, false)],
    ['Refused', dropsText(router.drops, true)],
    ['Stopped', dropsText(stopped, false)],
    ['Uptime', `${router.uptimeSeconds} s`],
  ];
}

function countedByState(items: readonly { readonly state: string }[]): string {
  const counts = new Map<string, number>();
  for (const { state } of items) counts.set(state, (counts.get(state) ?? 0) + 1);
  const detail = [...counts].map(([state, count]) => `${count} ${state}`).join(', ');
  return items.length === 0 ? '0' : `${items.length} (${detail})`;
}

/** What fell of packets, or which connections were refused. */
function dropsText(drops: RouterStatus['drops'], connections: boolean): string {
  const shown = Object.entries(drops)
    .filter(([reason, count]) => count > 0 && reason.startsWith(CONNECTION_DROP) === connections)
    .map(([reason, count]): [string, number] => [
      connections ? reason.slice(CONNECTION_DROP.length) : reason,
      count,
    ]);
  return shown.length === 0 ? 'none' : shown.map(([reason, count]) => `${reason} ${count}`).join(', ');
}

function ipamFields(ipam: IpamStatus): [string, string][] {
  return [
    ['Status', ipamState(ipam)],
    ['Range', ipam.range],
    ['DefaultSubnet', ipam.defaultSubnet],
    ['Active', counted(ipam.active, 'address', 'addresses')],
    ...ipam.quarantine.map((one): [string, string] => ['Quarantine', quarantineText(one)]),
    ...ipam.conflicts.map((one): [string, string] => ['Conflict', conflictText(one)]),
  ];
}

function ipamState({ status, detail }: IpamStatus): string {
  // What an idle allocator would wait for says nothing yet: nobody has asked it for an address.
  if (detail === undefined || status === 'idle') return status;
  // The sentence begins with the same words.
  return status === 'awaiting-consensus' ? detail : `${status}: ${detail}`;
}

function quarantineText(one: QuarantineStatus): string {
  const { from, nickname, addresses, waitingFor, restSeconds, givenUp = [] } = one;
  const whose = `${counted(addresses, 'address', 'addresses')} taken over from ${labelled(from, nickname)}`;
  const acknowledged = waitingFor.length === 0 ? '' : `, waiting for ${waitingFor.join(', ')} to acknowledge`;
  const unheard =
    givenUp.length === 0 ? '' : `, not waited for any more: ${givenUp.join(', ')}, out of reach`;
  if (addresses === 0) return `take-over of ${labelled(from, nickname)} ended${unheard}`;
  return `${whose}${restSeconds > 0 ? `, free in ${restSeconds} s` : ''}${acknowledged}${unheard}`;
}

function conflictText({ address, user, userNickname, id, owner, ownerNickname }: ConflictStatus): string {
  const holder = id === '' ? labelled(user, userNickname) : `"${id}" on this host`;
  return `${address} in use by ${holder}, belongs to ${labelled(owner, ownerNickname)}`;
}

/** Names have one length, so that nicknames begin in one column; that of a peer that has left is not known any more. */
function peerCell(name: string, nickname: string): string {
  return nickname === '' ? name : `${name} (${nickname})`;
}

const CONNECTION_TONES: Record<ConnectionStatus['state'], Tone> = {
  connecting: 'waiting',
  established: 'good',
  retrying: 'waiting',
  failed: 'bad',
};

function connectionsText(connections: readonly ConnectionStatus[], colour: boolean): string {
  const rows = connections.map((c) => [
    c.outbound ? '->' : '<-',
    c.address,
    painted(c.state, CONNECTION_TONES[c.state], colour),
    c.peer === '' ? '-' : peerCell(c.peer, c.nickname),
    [c.error, c.retryInSeconds === undefined ? undefined : `next try in ${c.retryInSeconds} s`]
      .filter((part) => part !== undefined)
      .join('; '),
  ]);
  return table(rows);
}

const LINK_TONES: Record<LinkStatus['state'], Tone> = {
  idle: 'waiting',
  offering: 'waiting',
  probing: 'waiting',
  up: 'good',
  down: 'bad',
};

function linksText(links: readonly LinkStatus[], colour: boolean): string {
  const nicknames = new Map(links.map(({ peer, nickname }) => [peer, nickname]));
  const rows = links.map((link) => [
    peerCell(link.peer, link.nickname),
    painted(link.state, LINK_TONES[link.state], colour),
    link.path === 'relay' ? `relay via ${viaText(link.via, nicknames)}` : `direct ${link.address ?? '-'}`,
    // Before it is up nothing passes that could be either.
    link.state === 'up' ? (link.encrypted ? 'encrypted' : 'plain') : '-',
    `mtu ${link.mtu}`,
    link.rttMs === null ? 'rtt -' : `rtt ${link.rttMs.toFixed(2)} ms`,
    `sent ${byteCount(link.sentBytes)}`,
    `received ${byteCount(link.receivedBytes)}`,
    `lost ${(100 * link.lostFraction).toFixed(1)} %`,
    `rekeys ${link.rekeys}`,
    link.error ?? '',
  ]);
  return table(rows);
}

function viaText(via: string | undefined, nicknames: ReadonlyMap<string, string>): string {
  return via === undefined ? '?' : peerCell(via, nicknames.get(via) ?? '');
}

function targetsText(targets: readonly TargetStatus[]): string {
  return table(targets.map((target) => [target.address, target.state]));
}

function peersText(peers: readonly PeerStatus[]): string {
  const nicknames = new Map(peers.map((peer) => [peer.name, peer.nickname]));
  return peers
    .map((peer) => {
      const neighbours = peer.neighbours.map((name) => `   ${name} (${nicknames.get(name) ?? '?'})\n`);
      return `${peer.name} (${peer.nickname})\n${neighbours.join('')}`;
    })
    .join('');
}

function ipamText(ipam: IpamStatus): string {
  return fields(ipamFields(ipam)) + '\n' + table(ipam.owned.map(ownedRow));
}

function ownedRow(owned: OwnedStatus): string[] {
  const share = `${owned.addresses} addresses (${(100 * owned.fraction).toFixed(1)} % of the range)`;
  return [labelled(owned.name, owned.nickname), share, owned.reachable ? '' : 'unreachable'];
}
