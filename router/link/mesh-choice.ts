import type { PeerName } from '../../core/peer-name.ts';
import type { RoutesSnapshot } from '../../core/routes.ts';

/**
 * Which peers a node keeps a link to whether or not there is traffic: all of them while the mesh is small, else its
 * neighbours on the backbone.
 */
export function meshOf(routes: RoutesSnapshot, isSparse: boolean): Set<PeerName> {
  const { names, self } = routes;
  const chosen = new Set(isSparse ? neighboursOf(routes) : names);
  chosen.delete(names[self]!);
  return chosen;
}

function neighboursOf(routes: RoutesSnapshot): PeerName[] {
  const { adjacency, adjacencyStart, names, self } = routes;
  const own = adjacency.subarray(adjacencyStart[self], adjacencyStart[self + 1]);
  return Array.from(own, (peer) => names[peer]!);
}
