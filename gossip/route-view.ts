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

  /**
   * The neighbour by which the message of attempt 0, 1, ... leaves: the next hop, then those others in turn that have
   * `name` as their neighbour, or else all others. Whoever swallows what it should pass on is gone round that way. Only
   * direct edges count: the control connection of any other may have stalled, that to `name` itself above all.
   */
  hopOfAttempt(name: PeerName, attempt: number): PeerName | undefined {
    const hop = this.nextHop(name);
    if (hop === undefined || hop === name || attempt === 0) return hop;
    const { names, self } = this.snapshot;
    const others = this.#directNeighboursOf(names[self]!).filter((other) => other !== hop && other !== name);
    const near = others.filter((other) => this.#directNeighboursOf(other).includes(name));
    const hops = [hop, ...(near.length > 0 ? near : others)];
    return hops[attempt % hops.length];
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

  /** In order of name. */
  #directNeighboursOf(name: PeerName): PeerName[] {
    const { adjacency, adjacencyStart, direct, names } = this.snapshot;
    const index = this.#index.get(name)!;
    const neighbours: PeerName[] = [];
    for (let i = adjacencyStart[index]!; i < adjacencyStart[index + 1]!; i++) {
      if (direct[i] === 1) neighbours.push(names[adjacency[i]!]!);
    }
    return neighbours;
  }
}
