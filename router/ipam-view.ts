import type { PeerName } from '../core/peer-name.ts';
import type { Gossip } from '../gossip/gossip.ts';
import type { IpamPeer, IpamTopologyView } from '../ipam/effects.ts';
import { IPAM } from './control-config.ts';

/** The mesh as address allocation is told of it: `before` itself if nothing in that differs. */
export function ipamView(
  gossip: Gossip,
  self: PeerName,
  before: IpamTopologyView | undefined,
): IpamTopologyView {
  const own = gossip.entry(self)?.neighbours.filter(({ established }) => established) ?? [];
  const neighbours = new Set(own.map(({ name }) => name));
  const peers = gossip.entries().map(({ name, nickname, generation, capabilities }) => ({
    name,
    nickname,
    generation: capabilities.includes(IPAM) ? generation : '',
    reachable: gossip.isReachable(name),
    capabilities,
    neighbour: neighbours.has(name),
  }));
  return before !== undefined && samePeers(before.peers, peers) ? before : { self, peers };
}

function samePeers(a: readonly IpamPeer[], b: readonly IpamPeer[]): boolean {
  return a.length === b.length && a.every((peer, i) => samePeer(peer, b[i]!));
}

/** Entries share their capabilities with those before them unless what the peer says of itself changed. */
function samePeer(a: IpamPeer, b: IpamPeer): boolean {
  return (
    a.name === b.name &&
    a.nickname === b.nickname &&
    a.generation === b.generation &&
    a.reachable === b.reachable &&
    a.capabilities === b.capabilities &&
    a.neighbour === b.neighbour
  );
}
