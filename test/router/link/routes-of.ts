import type { PeerName } from '../../../core/peer-name.ts';
import type { RoutesSnapshot } from '../../../core/routes.ts';

/** The name that ends in this number: 1 = 00:00:00:00:00:01. */
export function nameOf(number: number): PeerName {
  return `00:00:00:00:00:${number.toString(16).padStart(2, '0')}` as PeerName;
}

export type TestEdge = readonly [PeerName, PeerName];

/** A snapshot of the peers 1..count seen from `self`; `direct` edges are established, too. Next hops are not computed. */
export function routesOf(
  self: PeerName,
  count: number,
  direct: readonly TestEdge[],
  established: readonly TestEdge[] = [],
): RoutesSnapshot {
  const names = Array.from({ length: count }, (_, i) => nameOf(i + 1));
  const adjacencyStart = new Int32Array(count + 1);
  const adjacency: number[] = [];
  const flags: number[] = [];
  names.forEach((name, i) => {
    names.forEach((other, j) => {
      const isDirect = direct.some((edge) => joins(edge, name, other));
      if (!isDirect && !established.some((edge) => joins(edge, name, other))) return;
      adjacency.push(j);
      flags.push(isDirect ? 1 : 0);
    });
    adjacencyStart[i + 1] = adjacency.length;
  });
  return {
    version: 1,
    names,
    self: names.indexOf(self),
    adjacencyStart,
    adjacency: Int32Array.from(adjacency),
    direct: Uint8Array.from(flags),
    nextHop: new Int32Array(count).fill(-1),
    epoch: new Uint8Array(count),
    bridgeMtu: new Int32Array(count).fill(1_388),
  };
}

function joins([a, b]: TestEdge, one: PeerName, other: PeerName): boolean {
  return (a === one && b === other) || (a === other && b === one);
}
