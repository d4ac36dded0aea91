import type { PeerName } from '../core/peer-name.ts';
import { DIRECT, ESTABLISHED } from './topology-codec.ts';
import type { TopologyEntry } from './topology-entry.ts';

/** Peers by position in order of name; the edges of peer i are those from start[i] to start[i + 1]. */
export interface Graph {
  readonly start: Int32Array;
  /** Where each edge leads, ascending for each peer. */
  readonly to: Int32Array;
  /** What is said of it: {@link ESTABLISHED}, {@link DIRECT}. */
  readonly flags: Uint8Array;
}

/**
 * The edges as each entry lists them. They are kept from one time to the next: whoever looks up a thousand peers' dozen
 * neighbours by name each time that one of them changes waits for memory most of the time.
 */
export class ListedEdges {
  #entries: readonly TopologyEntry[] = [];
  #position: ReadonlyMap<PeerName, number> = new Map();
  #graph: Graph = { start: new Int32Array(1), to: new Int32Array(0), flags: new Uint8Array(0) };

  /**
   * Of `entries`, which are in order of name and never change, all edges but those to peers that are not among them. Cost
   * O(edges), which are copied, and a look-up for each edge of an entry that was not there the last time; of every edge
   * if the names are not those of the last time.
   */
  of(entries: readonly TopologyEntry[]): Graph {
    const before = this.#entries;
    const areKept = entries.length === before.length && entries.every((one, i) => isOf(one, before[i]!));
    if (!areKept) this.#position = new Map(entries.map(({ name }, i) => [name, i]));
    this.#graph = this.#list(entries, areKept ? before : []);
    this.#entries = entries;
    return this.#graph;
  }

  #list(entries: readonly TopologyEntry[], before: readonly TopologyEntry[]): Graph {
    const { start: oldStart, to: oldTo, flags: oldFlags } = this.#graph;
    const start = new Int32Array(entries.length + 1);
    const most = entries.reduce(
      (sum, entry, i) =>
        sum + (entry === before[i] ? oldStart[i + 1]! - oldStart[i]! : entry.neighbours.length),
      0,
    );
    const to = new Int32Array(most);
    const flags = new Uint8Array(most);
    let count = 0;
    for (const [from, entry] of entries.entries()) {
      if (entry === before[from]) {
        for (let edge = oldStart[from]!; edge < oldStart[from + 1]!; edge++) {
          to[count] = oldTo[edge]!;
          flags[count++] = oldFlags[edge]!;
        }
      } else {
        for (const { name, established, direct } of entry.neighbours) {
          const peer = this.#position.get(name);
          if (peer === undefined) continue;
          to[count] = peer;
          flags[count++] = (established ? ESTABLISHED : 0) | (direct ? DIRECT : 0);
        }
      }
      start[from + 1] = count;
    }
    return { start, to, flags };
  }
}

function isOf(entry: TopologyEntry, before: TopologyEntry): boolean {
  return entry === before || entry.name === before.name;
}
