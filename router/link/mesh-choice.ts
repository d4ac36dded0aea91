import type { PeerName } from '../../core/peer-name.ts';
import type { RoutesSnapshot } from '../../core/routes.ts';

/** The mesh is full again only below this part of the limit, so that one peer more or less changes nothing. */
const RETURN_FRACTION = 0.6;

/**
 * Which peers a node keeps a link to whether or not there is traffic: all of them while the mesh is small, else its
 * neighbours on the backbone.
 */
export class MeshChoice {
  readonly #limit: number;
  #full = true;

  constructor(limit: number) {
    this.#limit = limit;
  }

  onRoutes(routes: RoutesSnapshot): Set<PeerName> {
    const { names, self } = routes;
    this.#full = names.length <= (this.#full ? this.#limit : this.#limit * RETURN_FRACTION);
    const chosen = new Set(this.#full ? names : neighboursOf(routes));
    chosen.delete(names[self]!);
    return chosen;
  }
}

function neighboursOf(routes: RoutesSnapshot): PeerName[] {
  const { adjacency, adjacencyStart, names, self } = routes;
  const own = adjacency.subarray(adjacencyStart[self], adjacencyStart[self + 1]);
  return Array.from(own, (peer) => names[peer]!);
}
