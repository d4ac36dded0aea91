import type { PeerName } from '../core/peer-name.ts';
import type { Gossip } from '../gossip/gossip.ts';
import type { IpamPeer, IpamTopologyView } from '../ipam/effects.ts';
import { IPAM } from './control-config.ts';

/** The cluster that a peer belongs to, in its topology entry. */
export const CLUSTER_INFO = 'ipam-cluster';

/**
 * The topology as address allocation sees it, which is not interested in most of what changes there: who is connected to
 * whom, and how.
 */
export class IpamView {
  readonly #self: PeerName;
  #told: (IpamTopologyView & Connections) | undefined;

  constructor(self: PeerName) {
    this.#self = self;
  }

  /** The view as it is now; undefined if it is what was returned last. Cost O(peers). */
  update(gossip: Mesh): IpamTopologyView | undefined {
    const connections = connectionsOf(gossip);
    const peers = peersOf(gossip, new Set(connections.established));
    const told = this.#told;
    if (told !== undefined && sameConnections(told, connections) && samePeers(told.peers, peers))
      return undefined;
    this.#told = { self: this.#self, peers, ...connections };
    return this.#told;
  }

  /** Has what the view says of our connections changed? No news of the topology tells of that. */
  isConnectingNews(gossip: Mesh): boolean {
    return this.#told === undefined || !sameConnections(this.#told, connectionsOf(gossip));
  }
}

type Mesh = Pick<Gossip, 'neighbours' | 'entries' | 'isReachable'>;

/** By the connections themselves: what our topology entry tells of them may wait. */
interface Connections {
  readonly established: readonly PeerName[];
  readonly connecting: readonly PeerName[];
}

function connectionsOf(gossip: Mesh): Connections {
  const all = gossip.neighbours();
  const names = (some: typeof all): PeerName[] => some.map(({ name }) => name);
  return {
    established: names(all.filter(({ isEstablished }) => isEstablished)),
    connecting: names(all.filter(({ name, isEstablished }) => !isEstablished || !gossip.isReachable(name))),
  };
}

function peersOf(gossip: Mesh, neighbours: ReadonlySet<PeerName>): IpamPeer[] {
  return gossip.entries().map(({ name, nickname, generation, capabilities, info }) => ({
    name,
    nickname,
    generation: capabilities.includes(IPAM) ? generation : '',
    reachable: gossip.isReachable(name),
    capabilities,
    neighbour: neighbours.has(name),
    clusterId: info[CLUSTER_INFO],
  }));
}

function sameConnections(a: Connections, b: Connections): boolean {
  return sameNames(a.established, b.established) && sameNames(a.connecting, b.connecting);
}

function sameNames(a: readonly PeerName[], b: readonly PeerName[]): boolean {
  return a.length === b.length && a.every((name, i) => name === b[i]);
}

function samePeers(a: readonly IpamPeer[], b: readonly IpamPeer[]): boolean {
  return a.length === b.length && a.every((peer, i) => same(peer, b[i]!));
}

function same(a: IpamPeer, b: IpamPeer): boolean {
  return (
    a.name === b.name &&
    a.reachable === b.reachable &&
    a.neighbour === b.neighbour &&
    a.generation === b.generation &&
    a.clusterId === b.clusterId &&
    a.nickname === b.nickname &&
    (a.capabilities === b.capabilities || a.capabilities.join() === b.capabilities.join())
  );
}
