import type { PeerName } from '../core/peer-name.ts';
import { SECOND, type Millis } from '../core/time.ts';
import type { Hello } from './messages.ts';
import type { Neighbour } from './neighbour.ts';
import { MAX_NEIGHBOURS, type TopologyEntry } from './topology-entry.ts';

/** A neighbour loses its place to a newcomer no more often: names are easily made up. */
const ROOM_EVERY: Millis = SECOND;

export interface ConnectionLimitOptions {
  /** 0 = what a topology entry can list. */
  readonly limit: number;
  readonly neighbours: ReadonlyMap<PeerName, Neighbour>;
  /** The topology's entry of a peer that is reachable now. */
  readonly reachablePeer: (name: PeerName) => TopologyEntry | undefined;
  /** A neighbour that stays in reach without its connection to us. */
  readonly findSpare: () => Neighbour | undefined;
}

/** How many neighbours there may be, and who goes where there are so many. */
export class ConnectionLimit {
  readonly #options: ConnectionLimitOptions;
  readonly #limit: number;
  #madeRoomAt = Number.NEGATIVE_INFINITY;

  constructor(options: ConnectionLimitOptions) {
    this.#options = options;
    this.#limit = Math.min(options.limit || MAX_NEIGHBOURS, MAX_NEIGHBOURS);
  }

  get isReached(): boolean {
    return this.#options.neighbours.size >= this.#limit;
  }

  /** Why a peer is refused. */
  get sentence(): string {
    return `connection limit reached (${this.#limit})`;
  }

  /** Why a neighbour loses its place to `newcomer`. */
  sentenceOfRoomFor(newcomer: Hello): string {
    return `${this.sentence}: made room for ${newcomer.nickname}`;
  }

  /**
   * Who is to go for `newcomer`, now that the limit is reached: whoever is not part of the mesh comes in place of a neighbour
   * that is so by way of others. Or where all are full nobody could join.
   */
  findPlace(newcomer: Hello, now: Millis): Neighbour | undefined {
    if (now < this.#madeRoomAt + ROOM_EVERY || this.#options.reachablePeer(newcomer.name) !== undefined)
      return undefined;
    const spare = this.#options.findSpare();
    if (spare !== undefined) this.#madeRoomAt = now;
    return spare;
  }
}
