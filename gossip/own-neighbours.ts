import { SECOND, type Millis } from '../core/time.ts';
import type { TopologyEntry } from './topology-entry.ts';

type Neighbours = TopologyEntry['neighbours'];

/** After an edge was told of that has come, no others are within this time: who finds a mesh gains one after the other. */
const GROW_GAP: Millis = SECOND;
/** Where the mesh is sparse and ENOUGH edges are told of, further ones only make ways shorter, and may be shed soon. */
const SPARSE_GROW_GAP: Millis = 6 * SECOND;
const ENOUGH = 4;

/**
 * The neighbours that our entry tells of. What is lost is told at once, as frames may go there; so is what is gained after
 * a while without. What follows on that waits for more: each change of an entry goes to the whole mesh.
 */
export class OwnNeighbours {
  #told: Neighbours = [];
  #grewAt = Number.NEGATIVE_INFINITY;
  #tellAt: Millis | undefined;

  /**
   * What the entry is to say, given the neighbours that there are, ascending. One that is not established yet is of no use
   * to anybody, and told of with the next that is.
   */
  update(neighbours: Neighbours, isSparse: boolean, now: Millis): Neighbours {
    this.#tellAt = undefined;
    const hasNoLess = covers(neighbours, this.#told);
    if (hasNoLess && covers(this.#told, established(neighbours))) return this.#told;
    const nextAt = this.#grewAt + this.#gap(neighbours, isSparse);
    if (hasNoLess && now < nextAt) {
      this.#tellAt = nextAt;
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

  /** Frames avoid edges that are not direct where others are, so that is worth telling sooner. */
  #gap(neighbours: Neighbours, isSparse: boolean): Millis {
    const isMoreDirect = !covers(
      this.#told,
      neighbours.filter(({ direct }) => direct),
    );
    const hasEnough = established(this.#told).length >= ENOUGH;
    return isSparse && hasEnough && !isMoreDirect ? SPARSE_GROW_GAP : GROW_GAP;
  }
}

function established(neighbours: Neighbours): Neighbours {
  return neighbours.filter((neighbour) => neighbour.established);
}

/** Without whether their links are direct, for which there is no hurry. */
function edges(neighbours: Neighbours): Neighbours {
  return established(neighbours).map((edge) => ({ ...edge, direct: false }));
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
