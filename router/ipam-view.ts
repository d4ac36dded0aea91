import type { PeerName } from '../core/peer-name.ts';
import type { Gossip } from '../gossip/gossip.ts';
import type { TopologyEntry } from '../gossip/topology-entry.ts';
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
  /** What the peers of the last look were made of, one by one. */
  #entries: readonly TopologyEntry[] = [];
  #peers: readonly IpamPeer[] = [];
  #toldNeighbours: ReadonlyMap<PeerName, NeighbourState> = new Map();

  constructor(self: PeerName) {
    this.#self = self;
  }

  /** The view as it is now; undefined if it is what was returned last. Cost O(peers). */
  update(gossip: Mesh): IpamTopologyView | undefined {
    const isConnectingNews = this.isConnectingNews(gossip);
    const states = new Map(Array.from(gossip.neighbours(), (one) => [one.name, stateOf(one, gossip)]));
    const peers = this.#look(gossip, states);
    if (this.#told !== undefined && !isConnectingNews && samePeers(this.#told.peers, peers)) return undefined;
    const connecting = [...states].flatMap(([name, state]) => (state === 'linked' ? [] : name)).sort();
    this.#toldNeighbours = states;
    this.#told = { self: this.#self, peers, connecting };
    return this.#told;
  }

  /** Nearly all peers are what they were: these stay the same objects. */
  #look(gossip: Mesh, neighbours: ReadonlyMap<PeerName, NeighbourState>): readonly IpamPeer[] {
    const [entries, before, peers] = [gossip.entries(), this.#entries, this.#peers];
    this.#entries = entries;
    this.#peers = entries.map((entry, i) => {
      const reachable = gossip.isReachable(entry.name);
      const neighbour = (neighbours.get(entry.name) ?? 'asked') !== 'asked';
      const known = before[i] === entry ? peers[i] : undefined;
      const isSame = known?.reachable === reachable && known.neighbour === neighbour;
      return isSame ? known : peerOf(entry, reachable, neighbour);
    });
    return this.#peers;
  }

  /** Has what the view says of our connections changed? No news of the topology tells of that. */
  isConnectingNews(gossip: Mesh): boolean {
    let count = 0;
    for (const neighbour of gossip.neighbours()) {
      if (this.#toldNeighbours.get(neighbour.name) !== stateOf(neighbour, gossip)) return true;
      count++;
    }
    return count !== this.#toldNeighbours.size;
  }
}

type Mesh = Pick<Gossip, 'neighbours' | 'entries' | 'isReachable'>;

/**
 * By the connections themselves, as what our topology entry tells of them may wait: the other end has not accepted ours,
 * its entry does not tell of it yet, or all is done.
 */
type NeighbourState = 'asked' | 'accepted' | 'linked';

function stateOf(
  { name, isEstablished }: { readonly name: PeerName; readonly isEstablished: boolean },
  mesh: Mesh,
): NeighbourState {
  if (!isEstablished) return 'asked';
  return mesh.isReachable(name) ? 'linked' : 'accepted';
}

function peerOf(entry: TopologyEntry, reachable: boolean, neighbour: boolean): IpamPeer {
  const { name, nickname, generation, capabilities, info } = entry;
  return {
    name,
    nickname,
    generation: capabilities.includes(IPAM) ? generation : '',
    reachable,
    capabilities,
    neighbour,
    clusterId: info[CLUSTER_INFO],
  };
}

function samePeers(a: readonly IpamPeer[], b: readonly IpamPeer[]): boolean {
  return a.length === b.length && a.every((peer, i) => peer === b[i] || same(peer, b[i]!));
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
