import type { PeerName } from '../../core/peer-name.ts';
import type { RoutesSnapshot } from '../../core/routes.ts';
import { MAX_CIRCUIT_PEERS } from './circuit-message.ts';

export type Edge = readonly [PeerName, PeerName];

/**
 * The shortest path from this node to `to` over edges that are direct, as names with both ends; of equal ones the
 * first in order of names. Never takes the edge between the two ends nor one of `avoid` (in either direction).
 * Undefined if there is none of at most {@link MAX_CIRCUIT_PEERS} peers.
 */
export function circuitRoute(
  routes: RoutesSnapshot,
  to: PeerName,
  avoid: readonly Edge[],
): PeerName[] | undefined {
  const end = routes.names.indexOf(to);
  if (end < 0 || end === routes.self) return undefined;
  const barred = new Set([edgeKey(routes.self, end)]);
  for (const [a, b] of avoid) barred.add(edgeKey(routes.names.indexOf(a), routes.names.indexOf(b)));
  const parent = searchBreadthFirst(routes, end, barred);
  if (parent[end]! < 0) return undefined;
  const path = [to];
  for (let at = end; at !== routes.self; at = parent[at]!) path.unshift(routes.names[parent[at]!]!);
  return path.length <= MAX_CIRCUIT_PEERS ? path : undefined;
}

/** Whether both ends list the edge as direct. */
export function isDirectEdge(routes: RoutesSnapshot, a: PeerName, b: PeerName): boolean {
  const from = routes.names.indexOf(a);
  const to = routes.names.indexOf(b);
  if (from < 0 || to < 0) return false;
  for (let i = routes.adjacencyStart[from]!; i < routes.adjacencyStart[from + 1]!; i++) {
    if (routes.adjacency[i] === to) return routes.direct[i] === 1;
  }
  return false;
}

/** The peers that are reached over direct edges alone, this node among them: to no other one there is a route. */
export function reachedDirectly(routes: RoutesSnapshot): ReadonlySet<PeerName> {
  const parent = searchBreadthFirst(routes, undefined, new Set());
  return new Set(routes.names.filter((_, i) => parent[i] !== -1));
}

/** Parent of each peer that was reached; -1 for the others. */
function searchBreadthFirst(
  routes: RoutesSnapshot,
  end: number | undefined,
  barred: ReadonlySet<number>,
): Int32Array {
  const parent = new Int32Array(routes.names.length).fill(-1);
  parent[routes.self] = routes.self;
  const queue = [routes.self];
  for (let head = 0; head < queue.length && (end === undefined || parent[end] === -1); head++) {
    const at = queue[head]!;
    for (let i = routes.adjacencyStart[at]!; i < routes.adjacencyStart[at + 1]!; i++) {
      const next = routes.adjacency[i]!;
      if (routes.direct[i] !== 1 || parent[next] !== -1) continue;
      if (barred.has(edgeKey(at, next))) continue;
      parent[next] = at;
      queue.push(next);
    }
  }
  return parent;
}

/** The same for both directions; of places in the names. */
function edgeKey(a: number, b: number): number {
  return Math.min(a, b) * 2 ** 20 + Math.max(a, b);
}
