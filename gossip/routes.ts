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
  const entries = Array.from(view, ({ entry }) => entry);
  if (!isAscending(entries)) entries.sort((a, b) => compareNames(a.name, b.name));
  const graph = agreedGraph(entries);
  const origin = entries.findIndex(({ name }) => name === self);
  const hops = firstHops(graph, entries.length, origin, ESTABLISHED);
  const overDirect = firstHops(graph, entries.length, origin, DIRECT);
  // In order of name, as the entries are.
  const reached = [...entries.keys()].filter((i) => hops[i] !== UNREACHED);
  const position = new Int32Array(entries.length);
  reached.forEach((i, at) => (position[i] = at));
  const hopOf = (i: number): number => (overDirect[i] === UNREACHED ? hops[i]! : overDirect[i]!);
  return {
    version,
    names: reached.map((i) => entries[i]!.name),
    self: position[origin]!,
    ...adjacencyOf(graph, reached, position),
    nextHop: Int32Array.from(reached, (i) => (i === origin ? -1 : position[hopOf(i)]!)),
    epoch: Uint8Array.from(reached, (i) => entries[i]!.incarnation % 256),
    bridgeMtu: Int32Array.from(reached, (i) => entries[i]!.bridgeMtu),
  };
}

function isAscending(entries: readonly TopologyEntry[]): boolean {
  for (let i = 1; i < entries.length; i++) if (entries[i - 1]!.name > entries[i]!.name) return false;
  return true;
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

/** The known peers by position in order of name; the edges of peer i are those from start[i] to start[i + 1]. */
interface Graph {
  readonly start: Int32Array;
  /** Where each edge leads, ascending for each peer. */
  readonly to: Int32Array;
  /** What is said of it: {@link ESTABLISHED}, {@link DIRECT}. */
  readonly flags: Uint8Array;
}

/**
 * A graph that is made anew in the same memory: of a thousand peers it takes 84 kB, which V8 counts as memory outside its
 * heap, and collects the whole heap for.
 */
class GraphMaker {
  #start = new Int32Array(0);
  #to = new Int32Array(0);
  #flags = new Uint8Array(0);
  #peers = 0;
  #edges = 0;

  /** Of so many peers and edges at most; what was made before is no more. */
  begin(peers: number, edges: number): void {
    if (this.#start.length <= peers) this.#start = new Int32Array(2 * peers + 1);
    if (this.#to.length < edges) {
      this.#to = new Int32Array(2 * edges);
      this.#flags = new Uint8Array(2 * edges);
    }
    this.#peers = this.#edges = 0;
  }

  /** From the peer at hand. */
  addEdge(to: number, flags: number): void {
    this.#to[this.#edges] = to;
    this.#flags[this.#edges++] = flags;
  }

  /** The peer at hand has no more edges. */
  endPeer(): void {
    this.#start[++this.#peers] = this.#edges;
  }

  end(): Graph {
    return { start: this.#start, to: this.#to, flags: this.#flags };
  }
}

const listedMaker = new GraphMaker();
const agreedMaker = new GraphMaker();

/** The edges that both ends list as established; direct if both say so. */
function agreedGraph(entries: readonly TopologyEntry[]): Graph {
  const { start, to, flags } = listedGraph(entries);
  agreedMaker.begin(entries.length, start[entries.length]!);
  // Peers come in order, and so they do in each list: how far that of each has been looked through.
  const at = start.slice(0, entries.length);
  for (let from = 0; from < entries.length; from++) {
    for (let edge = start[from]!; edge < start[from + 1]!; edge++) {
      const peer = to[edge]!;
      const end = start[peer + 1]!;
      let back = at[peer]!;
      while (back < end && to[back]! < from) back++;
      at[peer] = back;
      const common = back < end && to[back] === from ? flags[edge]! & flags[back]! : 0;
      if (common & ESTABLISHED && peer !== from) agreedMaker.addEdge(peer, common);
    }
    agreedMaker.endPeer();
  }
  return agreedMaker.end();
}

/** The edges as each entry lists them, but for those to unknown peers. */
function listedGraph(entries: readonly TopologyEntry[]): Graph {
  const index = new Map<PeerName, number>();
  let most = 0;
  for (const { name, neighbours } of entries) {
    index.set(name, index.size);
    most += neighbours.length;
  }
  listedMaker.begin(entries.length, most);
  for (const { neighbours } of entries) {
    for (const { name, established, direct } of neighbours) {
      const peer = index.get(name);
      if (peer === undefined) continue;
      listedMaker.addEdge(peer, (established ? ESTABLISHED : 0) | (direct ? DIRECT : 0));
    }
    listedMaker.endPeer();
  }
  return listedMaker.end();
}

const UNREACHED = -1;

/** The first hop to each of `peers` that edges with the flag `wanted` lead to; `origin` leads to itself. */
function firstHops({ start, to, flags }: Graph, peers: number, origin: number, wanted: number): Int32Array {
  const hops = new Int32Array(peers).fill(UNREACHED);
  hops[origin] = origin;
  const queue = [origin];
  for (const at of queue) {
    for (let edge = start[at]!; edge < start[at + 1]!; edge++) {
      const peer = to[edge]!;
      if (hops[peer] !== UNREACHED || !(flags[edge]! & wanted)) continue;
      hops[peer] = at === origin ? peer : hops[at]!;
      queue.push(peer);
    }
  }
  return hops;
}

/** The edges of the peers that are reached, which lead to such peers only. */
function adjacencyOf(
  { start, to, flags }: Graph,
  reached: readonly number[],
  position: Int32Array,
): Pick<RoutesSnapshot, 'adjacencyStart' | 'adjacency' | 'direct'> {
  const edges = reached.reduce((sum, from) => sum + start[from + 1]! - start[from]!, 0);
  const adjacencyStart = new Int32Array(reached.length + 1);
  const adjacency = new Int32Array(edges);
  const direct = new Uint8Array(edges);
  let count = 0;
  for (const [at, from] of reached.entries()) {
    for (let edge = start[from]!; edge < start[from + 1]!; edge++) {
      adjacency[count] = position[to[edge]!]!;
      direct[count++] = flags[edge]! & DIRECT ? 1 : 0;
    }
    adjacencyStart[at + 1] = count;
  }
  return { adjacencyStart, adjacency, direct };
}

function sameItems<T>(a: ArrayLike<T>, b: ArrayLike<T>): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
