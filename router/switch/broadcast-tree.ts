import type { RoutesSnapshot } from '../../core/routes.ts';

const NO_CHILDREN = new Int32Array(0);

/**
 * Whom this node passes the broadcasts of an originator on to. The tree of an originator is the breadth-first one
 * from it over sorted adjacency, so that all who see the same topology agree on it. Computed when first asked for,
 * kept as long as the snapshot.
 */
export class BroadcastTrees {
  readonly #routes: RoutesSnapshot;
  readonly #children = new Map<number, Int32Array>();

  constructor(routes: RoutesSnapshot) {
    this.#routes = routes;
  }

  /** Positions of this node's children in the tree of the peer at position `originator`, ascending. */
  childrenFor(originator: number): Int32Array {
    let children = this.#children.get(originator);
    if (children === undefined) {
      children = childrenOfSelf(this.#routes, originator);
      this.#children.set(originator, children);
    }
    return children;
  }
}

/** Breadth-first search from `originator` that stops once this node's own turn has come. */
function childrenOfSelf(routes: RoutesSnapshot, originator: number): Int32Array {
  const { adjacency, adjacencyStart, self } = routes;
  const peers = routes.names.length;
  const reached = new Uint8Array(peers);
  const queue = new Int32Array(peers);
  let end = 0;
  queue[end++] = originator;
  reached[originator] = 1;
  for (let begin = 0; begin < end; begin++) {
    const peer = queue[begin]!;
    const firstChild = end;
    for (let edge = adjacencyStart[peer]!; edge < adjacencyStart[peer + 1]!; edge++) {
      const next = adjacency[edge]!;
      if (reached[next] === 1) continue;
      reached[next] = 1;
      queue[end++] = next;
    }
    if (peer === self) return queue.slice(firstChild, end);
  }
  return NO_CHILDREN;
}
