import type { PeerName } from '../../core/peer-name.ts';
import type { RoutesSnapshot } from '../../core/routes.ts';
import { isSparse } from '../../gossip/backbone.ts';

/**
 * Which peers a node keeps a link to whether or not there is traffic: all of them while the mesh is small, by the same
 * rule as the backbone, else its neighbours on the backbone.
 */
export class MeshChoice {
  readonly #fullMeshLimit: number;
  #sparse = false;

  constructor(fullMeshLimit: number) {
    this.#fullMeshLimit = fullMeshLimit;
  }

  onRoutes(routes: RoutesSnapshot): Set<PeerName> {
    const { names, self } = routes;
    this.#sparse = isSparse(this.#sparse, names.length, this.#fullMeshLimit);
    const chosen = new Set(this.#sparse ? neighboursOf(routes) : names);
    chosen.delete(names[self]!);
    return chosen;
  }
}

function neighboursOf(routes: RoutesSnapshot): PeerName[] {
  const { adjacency, adjacencyStart, names, self } = routes;
  const own = adjacency.subarray(adjacencyStart[self], adjacencyStart[self + 1]);
  return Array.from(own, (peer) => names[peer]!);
}
