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
  const barred = new Set(avoid.map(([a, b]) => edgeKey(a, b)));
  barred.add(edgeKey(routes.names[routes.self]!, to));
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

/** Parent of each peer that was reached; -1 for the others. */
function searchBreadthFirst(routes: RoutesSnapshot, end: number, barred: ReadonlySet<string>): Int32Array {
  const parent = new Int32Array(routes.names.length).fill(-1);
  parent[routes.self] = routes.self;
  const queue = [routes.self];
  for (let head = 0; head < queue.length && parent[end] === -1; head++) {
    const at = queue[head]!;
    for (let i = routes.adjacencyStart[at]!; i < routes.adjacencyStart[at + 1]!; i++) {
      const next = routes.adjacency[i]!;
      if (routes.direct[i] !== 1 || parent[next] !== -1) continue;
      if (barred.has(edgeKey(routes.names[at]!, routes.names[next]!))) continue;
      parent[next] = at;
      queue.push(next);
    }
  }
  return parent;
}

function edgeKey(a: PeerName, b: PeerName): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}
