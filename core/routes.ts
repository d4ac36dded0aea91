import type { PeerName } from './peer-name.ts';

/**
 * An immutable view of the mesh, computed from the topology and handed to the data plane whole.
 * Peers are named by their position in `names`. Two nodes with the same topology compute the same
 * `names`, `adjacency` and trees; only `self` and `nextHop` differ.
 */
export interface RoutesSnapshot {
  /** Rises with every snapshot of this process. */
  readonly version: number;
  /** All reachable peers and this one, ascending. */
  readonly names: readonly PeerName[];
  /** Position of this node. */
  readonly self: number;
  /** Neighbours of peer i: adjacency[adjacencyStart[i] .. adjacencyStart[i + 1]), ascending. Both ends list them as established. */
  readonly adjacencyStart: Int32Array;
  readonly adjacency: Int32Array;
  /** Parallel to `adjacency`: 1 where both ends also list the edge as direct (UDP link up on a direct path). */
  readonly direct: Uint8Array;
  /** First hop of control messages from this node to peer i, over direct edges where they lead there; -1 for this node itself. */
  readonly nextHop: Int32Array;
  /** Per peer: incarnation modulo 256, the epoch of its broadcasts. */
  readonly epoch: Uint8Array;
  /** Per peer: MTU of its bridge in bytes. */
  readonly bridgeMtu: Int32Array;
}
