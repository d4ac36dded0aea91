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
  #told: IpamTopologyView | undefined;

  constructor(self: PeerName) {
    this.#self = self;
  }

  /** The view as it is now; undefined if it is what was returned last. Cost O(peers). */
  update(gossip: Pick<Gossip, 'entry' | 'entries' | 'isReachable'>): IpamTopologyView | undefined {
    const peers = this.#peers(gossip);
    const connecting = this.#connecting(gossip);
    const told = this.#told;
    if (told !== undefined && sameNames(told.connecting, connecting) && samePeers(told.peers, peers))
      return undefined;
    this.#told = { self: this.#self, peers, connecting };
    return this.#told;
  }

  /** Has what {@link IpamTopologyView.connecting} says changed? No news of the topology tells of that. */
  isConnectingNews(gossip: Pick<Gossip, 'entry' | 'isReachable'>): boolean {
    return !sameNames(this.#told?.connecting, this.#connecting(gossip));
  }

  #connecting(gossip: Pick<Gossip, 'entry' | 'isReachable'>): PeerName[] {
    const own = gossip.entry(this.#self)?.neighbours ?? [];
    return own.filter((one) => !one.established || !gossip.isReachable(one.name)).map(({ name }) => name);
  }

  #peers(gossip: Pick<Gossip, 'entry' | 'entries' | 'isReachable'>): IpamPeer[] {
    const own = gossip.entry(this.#self)?.neighbours.filter(({ established }) => established) ?? [];
    const neighbours = new Set(own.map(({ name }) => name));
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
}

function sameNames(a: readonly PeerName[] | undefined, b: readonly PeerName[]): boolean {
  return a?.length === b.length && a.every((name, i) => name === b[i]);
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
