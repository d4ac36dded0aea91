import type { PeerName } from '../core/peer-name.ts';
import { SECOND, type Millis } from '../core/time.ts';
import type { TopologyEntry } from './topology-entry.ts';

type Neighbours = TopologyEntry['neighbours'];

/** After an edge was told of that has come, no others are within this time: who finds a mesh gains one after the other. */
const GROW_GAP: Millis = SECOND;
/** The same for edges that only make ways shorter. */
const SPARE_GROW_GAP: Millis = 4 * SECOND;

/**
 * The neighbours that our entry tells of. What is lost is told at once, as frames may go there; so is what is gained after
 * a while without. What follows on that waits for more: each change of an entry goes to the whole mesh.
 */
export class OwnNeighbours {
  #told: Neighbours = [];
  #grewAt = Number.NEGATIVE_INFINITY;
  #tellAt: Millis | undefined;

  /**
   * What the entry is to say, given the neighbours with an edge, ascending. `isSpare`: an edge to that peer, if it has come
   * since, would only make ways shorter.
   */
  update(neighbours: Neighbours, isSpare: (name: PeerName) => boolean, now: Millis): Neighbours {
    this.#tellAt = undefined;
    const told = new Map(this.#told.map((neighbour) => [neighbour.name, neighbour]));
    const come = neighbours.filter(({ name }) => !told.has(name));
    const hasLess = told.size + come.length > neighbours.length || neighbours.some((one) => falls(told, one));
    const risen = neighbours.filter((one) => rises(told, one));
    if (!hasLess && come.length + risen.length === 0) return this.#told;
    const isForWays = come.length > 0 && risen.length === 0 && come.every(({ name }) => isSpare(name));
    const nextAt = this.#grewAt + (isForWays ? SPARE_GROW_GAP : GROW_GAP);
    if (!hasLess && now < nextAt) {
      this.#tellAt = nextAt;
      return this.#told;
    }
    if (come.length > 0) this.#grewAt = now;
    this.#told = neighbours;
    return neighbours;
  }

  /** When {@link update} will say more. */
  nextTimeout(): Millis | undefined {
    return this.#tellAt;
  }
}

type Told = ReadonlyMap<PeerName, Neighbours[number]>;

function falls(told: Told, { name, direct }: Neighbours[number]): boolean {
  return !direct && told.get(name)?.direct === true;
}

function rises(told: Told, { name, direct }: Neighbours[number]): boolean {
  return direct && told.get(name)?.direct === false;
}
