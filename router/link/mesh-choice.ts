import type { PeerName } from '../../core/peer-name.ts';
import type { RoutesSnapshot } from '../../core/routes.ts';

/** Whether a mesh of so many peers (this one included) is sparse, given whether it was: the backbone's rule. */
export type SparseRule = (wasSparse: boolean, peers: number) => boolean;

/**
 * Which peers a node keeps a link to whether or not there is traffic: all of them while the mesh is small, else its
 * neighbours on the backbone.
 */
export class MeshChoice {
  readonly #isSparse: SparseRule;
  #sparse = false;

  constructor(isSparse: SparseRule) {
    this.#isSparse = isSparse;
  }

  onRoutes(routes: RoutesSnapshot): Set<PeerName> {
    const { names, self } = routes;
    this.#sparse = this.#isSparse(this.#sparse, names.length);
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
