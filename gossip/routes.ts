import { compareNames, type PeerName } from '../core/peer-name.ts';
import type { RoutesSnapshot } from '../core/routes.ts';
import type { TopologyEntry } from './topology-entry.ts';

const ESTABLISHED = 1;
const DIRECT = 2;

/** The mesh as each peer describes its own part of it. */
export type TopologyView = Iterable<{ readonly entry: TopologyEntry }>;

/**
 * Breadth-first search from `self` over edges that both ends list as established, neighbours in order of name: two
 * nodes with one topology agree on every distance, so that hop by hop forwarding never loops. Where edges that are
 * direct lead to a peer, only those do: the control connection of an edge whose data link lost its path has most
 * likely stalled, too, which it would not notice for long. Cost O(edges).
 */
export function computeRoutes(view: TopologyView, self: PeerName, version: number): RoutesSnapshot {
  const graph = readGraph(view);
  const reached = search(graph, self);
  const names = [...reached.keys()].sort(compareNames);
  const index = new Map(names.map((name, i) => [name, i]));
  const nextHop = new Int32Array(names.length);
  const overDirect = directHops(reached, self);
  names.forEach((name, i) => {
    nextHop[i] = name === self ? -1 : index.get(overDirect.get(name) ?? reached.get(name)!.firstHop)!;
  });
  return {
    version,
    names,
    self: index.get(self)!,
    ...adjacency(reached, names, index),
    nextHop,
    epoch: Uint8Array.from(names, (name) => graph.get(name)!.entry.incarnation % 256),
    bridgeMtu: Int32Array.from(names, (name) => graph.get(name)!.entry.bridgeMtu),
  };
}

/** Whether two snapshots differ in nothing but their version. */
export function sameRoutes(a: RoutesSnapshot, b: RoutesSnapshot): boolean {
  return (
    a.self === b.self &&
    sameItems(a.names, b.names) &&
    sameItems(a.adjacencyStart, b.adjacencyStart) &&
    sameItems(a.adjacency, b.adjacency) &&
    sameItems(a.direct, b.direct) &&
    sameItems(a.epoch, b.epoch) &&
    sameItems(a.bridgeMtu, b.bridgeMtu)
  );
}

interface Vertex {
  readonly entry: TopologyEntry;
  /** Flags of each neighbour, in order of name. */
  readonly edges: ReadonlyMap<PeerName, number>;
}

type Graph = ReadonlyMap<PeerName, Vertex>;

function readGraph(view: TopologyView): Graph {
  const graph = new Map<PeerName, Vertex>();
  for (const { entry } of view) graph.set(entry.name, { entry, edges: edgesOf(entry) });
  return graph;
}

/** Entries are immutable, so what is derived from one is kept with it. */
const edgeCache = new WeakMap<TopologyEntry, ReadonlyMap<PeerName, number>>();

function edgesOf(entry: TopologyEntry): ReadonlyMap<PeerName, number> {
  let edges = edgeCache.get(entry);
  if (edges === undefined) {
    edges = new Map(
      entry.neighbours.map((n) => [n.name, (n.established ? ESTABLISHED : 0) | (n.direct ? DIRECT : 0)]),
    );
    edgeCache.set(entry, edges);
  }
  return edges;
}

/** An edge that both ends list as established. */
interface Edge {
  readonly to: PeerName;
  readonly direct: boolean;
}

interface Reached {
  /** Of this node itself: its own name. */
  readonly firstHop: PeerName;
  /** In order of name. */
  readonly edges: readonly Edge[];
}

function search(graph: Graph, self: PeerName): ReadonlyMap<PeerName, Reached> {
  const reached = new Map<PeerName, Reached>([[self, { firstHop: self, edges: agreedEdges(graph, self) }]]);
  // A Map iterates over what is added to it meanwhile: it is the queue, too.
  for (const [at, { firstHop, edges }] of reached) {
    for (const { to } of edges) {
      if (reached.has(to)) continue;
      reached.set(to, { firstHop: at === self ? to : firstHop, edges: agreedEdges(graph, to) });
    }
  }
  return reached;
}

/** The first hop to every peer that direct edges alone lead to; `self` maps to itself. */
function directHops(
  reached: ReadonlyMap<PeerName, Reached>,
  self: PeerName,
): ReadonlyMap<PeerName, PeerName> {
  const hops = new Map<PeerName, PeerName>([[self, self]]);
  for (const [at, hop] of hops) {
    for (const { to, direct } of reached.get(at)!.edges) {
      if (direct && !hops.has(to)) hops.set(to, at === self ? to : hop);
    }
  }
  return hops;
}

function agreedEdges(graph: Graph, from: PeerName): readonly Edge[] {
  const edges: Edge[] = [];
  for (const [to, flags] of graph.get(from)!.edges) {
    const common = flags & (graph.get(to)?.edges.get(from) ?? 0);
    if (common & ESTABLISHED && to !== from) edges.push({ to, direct: (common & DIRECT) !== 0 });
  }
  return edges;
}

function adjacency(
  reached: ReadonlyMap<PeerName, Reached>,
  names: readonly PeerName[],
  index: ReadonlyMap<PeerName, number>,
): Pick<RoutesSnapshot, 'adjacencyStart' | 'adjacency' | 'direct'> {
  const adjacencyStart = new Int32Array(names.length + 1);
  const neighbours: number[] = [];
  const direct: number[] = [];
  names.forEach((name, i) => {
    for (const edge of reached.get(name)!.edges) {
      neighbours.push(index.get(edge.to)!);
      direct.push(edge.direct ? 1 : 0);
    }
    adjacencyStart[i + 1] = neighbours.length;
  });
  return { adjacencyStart, adjacency: Int32Array.from(neighbours), direct: Uint8Array.from(direct) };
}

function sameItems<T>(a: ArrayLike<T>, b: ArrayLike<T>): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
