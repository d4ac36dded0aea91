import { SECOND, type Millis } from '../core/time.ts';
import type { TopologyEntry } from './topology-entry.ts';

type Neighbours = TopologyEntry['neighbours'];

/** After an edge was told of that has come, no others are within this time: who finds a mesh gains one after the other. */
const GROW_GAP: Millis = SECOND;

/**
 * The neighbours that our entry tells of. What is lost is told at once, as frames may go there; so is what is gained after
 * a while without. What follows on that waits for more: each change of an entry goes to the whole mesh.
 */
export class OwnNeighbours {
  #told: Neighbours = [];
  #grewAt = Number.NEGATIVE_INFINITY;
  #tellAt: Millis | undefined;

  /** What the entry is to say, given the neighbours that there are, ascending. */
  update(neighbours: Neighbours, now: Millis): Neighbours {
    this.#tellAt = undefined;
    const hasNoLess = covers(neighbours, this.#told);
    if (hasNoLess && covers(this.#told, neighbours)) return this.#told;
    if (hasNoLess && now < this.#grewAt + GROW_GAP) {
      this.#tellAt = this.#grewAt + GROW_GAP;
      return this.#told;
    }
    if (!covers(this.#told, edges(neighbours))) this.#grewAt = now;
    this.#told = neighbours;
    return neighbours;
  }

  /** When {@link update} will say more. */
  nextTimeout(): Millis | undefined {
    return this.#tellAt;
  }
}

/** The edges that have come: that one begins is of no use to anybody without what follows, and that a link is direct no hurry. */
function edges(neighbours: Neighbours): Neighbours {
  return neighbours.filter(({ established }) => established).map((edge) => ({ ...edge, direct: false }));
}

/** Whether all of `some` are among `all`, with their flags. */
function covers(all: Neighbours, some: Neighbours): boolean {
  let at = 0;
  return some.every(({ name, established, direct }) => {
    while (at < all.length && all[at]!.name < name) at++;
    const same = all[at];
    return same?.name === name && (same.established || !established) && (same.direct || !direct);
  });
}
