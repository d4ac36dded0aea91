import type { PeerName } from '../core/peer-name.ts';
import type { RoutesSnapshot } from '../core/routes.ts';

const NOBODY: ReadonlySet<PeerName> = new Set();

/** Answers by name what a {@link RoutesSnapshot} holds by position. */
export class RouteView {
  readonly snapshot: RoutesSnapshot;
  readonly #index: ReadonlyMap<PeerName, number>;
  readonly #neighbours = new Map<PeerName, ReadonlySet<PeerName>>();

  constructor(snapshot: RoutesSnapshot) {
    this.snapshot = snapshot;
    this.#index = new Map(snapshot.names.map((name, i) => [name, i]));
  }

  /** The neighbour on the way to `name`; undefined if there is no way. */
  nextHop(name: PeerName): PeerName | undefined {
    const index = this.#index.get(name);
    const hop = index === undefined ? -1 : this.snapshot.nextHop[index]!;
    return hop < 0 ? undefined : this.snapshot.names[hop];
  }

  neighboursOf(name: PeerName): ReadonlySet<PeerName> {
    const known = this.#neighbours.get(name);
    if (known !== undefined) return known;
    const index = this.#index.get(name);
    if (index === undefined) return NOBODY;
    const { adjacency, adjacencyStart, names } = this.snapshot;
    const neighbours = new Set<PeerName>();
    for (let i = adjacencyStart[index]!; i < adjacencyStart[index + 1]!; i++) {
      neighbours.add(names[adjacency[i]!]!);
    }
    this.#neighbours.set(name, neighbours);
    return neighbours;
  }
}
