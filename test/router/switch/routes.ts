import type { PeerName } from '../../../core/peer-name.ts';
import type { RoutesSnapshot } from '../../../core/routes.ts';
import { formatMac } from '../../../router/wire/mac.ts';

/** Name of the peer at position `i`: positions and names have the same order. */
export function peerAt(i: number): PeerName {
  return formatMac(0x7a0000000000 + i) as PeerName;
}

/** A snapshot of `peers` peers that `edges` join, seen from position `self`. Epochs are all 7. */
export function routesOf(
  peers: number,
  edges: readonly (readonly [number, number])[],
  self: number,
): RoutesSnapshot {
  const neighbours = Array.from({ length: peers }, () => new Set<number>());
  for (const [x, y] of edges) {
    if (x === y) continue;
    neighbours[x]!.add(y);
    neighbours[y]!.add(x);
  }
  const sorted = neighbours.map((set) => [...set].sort((x, y) => x - y));
  const adjacencyStart = new Int32Array(peers + 1);
  sorted.forEach((list, i) => (adjacencyStart[i + 1] = adjacencyStart[i]! + list.length));
  const adjacency = Int32Array.from(sorted.flat());
  return {
    version: 1,
    names: Array.from({ length: peers }, (_, i) => peerAt(i)),
    self,
    adjacencyStart,
    adjacency,
    direct: new Uint8Array(adjacency.length).fill(1),
    nextHop: new Int32Array(peers).fill(-1),
    epoch: new Uint8Array(peers).fill(7),
    bridgeMtu: new Int32Array(peers).fill(1_388),
  };
}
