import { toHex } from '../core/bytes.ts';
import type { PeerName } from '../core/peer-name.ts';
import type { RandomSource } from '../core/random.ts';
import type { Millis } from '../core/time.ts';
import { earlier, SECOND } from '../core/time.ts';
import type { RingReply } from './messages.ts';
import { REQUEST_ID_BYTES } from './messages.ts';

/** With neither a neighbour nor a connection that may become one for this long, a peer goes on with the ring that it has. */
const LONELY: Millis = 5 * SECOND;
const RESEND: Millis = 1 * SECOND;
/**
 * Where all neighbours have answered, each peer that is about to become one is waited for so long. It takes 5 s to find
 * out about a name (name-contests.ts); a peer that is gone since would take half a minute to be found dead.
 */
const ACCEPTED_WITHIN: Millis = 7 * SECOND;

/** An answer of which some parts have come. */
interface Incomplete {
  readonly answer: number;
  readonly parts: number;
  readonly seen: Set<number>;
}

/**
 * After a start a ring may be old: parts of it may have been taken over meanwhile. So every neighbour is asked for its
 * ring, and nothing is given out before all of them have answered this very request, or none was there for 5 s. Where a
 * peer of this name was a moment ago the others first look whether it still is: that is waited for as well, to a bound.
 * A peer without a ring asks too, so that it need not wait for the next round of gossip.
 */
export class CatchUp {
  readonly #id: string;
  #gated: boolean;
  #lonelySince: Millis;
  #neighbours: readonly PeerName[] = [];
  /** Who is about to become a neighbour, since when. */
  #connecting: ReadonlyMap<PeerName, Millis> = new Map();
  readonly #sentAt = new Map<PeerName, Millis>();
  readonly #incomplete = new Map<PeerName, Incomplete>();
  readonly #answered = new Set<PeerName>();

  /** `gated` = the ring that was restored names others. */
  constructor(gated: boolean, random: RandomSource, now: Millis) {
    this.#id = toHex(random.bytes(REQUEST_ID_BYTES));
    this.#gated = gated;
    this.#lonelySince = now;
  }

  /** The id of this start's requests. */
  get id(): string {
    return this.#id;
  }

  /** Must answers be awaited before space is given out? */
  get gated(): boolean {
    return this.#gated;
  }

  /** `connecting` = who has a connection with us and is no neighbour yet. */
  onNeighbours(neighbours: readonly PeerName[], connecting: readonly PeerName[], now: Millis): void {
    const wasLonely = this.#isLonely();
    this.#neighbours = neighbours;
    this.#connecting = new Map(connecting.map((name) => [name, this.#connecting.get(name) ?? now]));
    if (this.#isLonely() && !wasLonely) this.#lonelySince = now;
    // One that comes back may have learned something meanwhile.
    const present = new Set(neighbours);
    for (const kept of [this.#answered, this.#sentAt, this.#incomplete]) {
      for (const name of kept.keys()) if (!present.has(name)) kept.delete(name);
    }
  }

  /** A part of an answer came; the neighbour has answered when all parts of that answer have. */
  onReply(from: PeerName, { id, answer, part, parts }: Omit<RingReply, 'type' | 'entries'>): void {
    if (id !== this.#id || !this.#neighbours.includes(from) || this.#answered.has(from)) return;
    const before = this.#incomplete.get(from);
    const isSame = before?.answer === answer && before.parts === parts;
    const incomplete = isSame ? before : { answer, parts, seen: new Set<number>() };
    incomplete.seen.add(part);
    if (incomplete.seen.size < parts) {
      this.#incomplete.set(from, incomplete);
      return;
    }
    this.#incomplete.delete(from);
    this.#answered.add(from);
  }

  /** The first part that is missing of the neighbour's answer. */
  missingPart(name: PeerName): number {
    const seen = this.#incomplete.get(name)?.seen;
    let part = 0;
    while (seen?.has(part)) part++;
    return part;
  }

  /** Whom to ask now. `curious` = ask although nothing is gated: there is no ring, or not all of it. */
  step(curious: boolean, now: Millis): PeerName[] {
    if (this.#gated && this.#isDone(now)) this.#gated = false;
    if (!this.#gated && !curious) return [];
    const due = this.unanswered().filter((name) => now >= (this.#sentAt.get(name) ?? -Infinity) + RESEND);
    for (const name of due) this.#sentAt.set(name, now);
    return due;
  }

  unanswered(): PeerName[] {
    return this.#neighbours.filter((name) => !this.#answered.has(name));
  }

  nextTimeout(curious: boolean): Millis | undefined {
    if (!this.#gated && !curious) return undefined;
    return this.unanswered().reduce<Millis | undefined>(
      (time, name) => earlier(time, (this.#sentAt.get(name) ?? -Infinity) + RESEND),
      this.#gated ? this.#opensAt() : undefined,
    );
  }

  #isDone(now: Millis): boolean {
    const opensAt = this.#opensAt();
    return opensAt !== undefined && now >= opensAt;
  }

  /** If neighbours and connections stay as they are; undefined while somebody has to answer. */
  #opensAt(): Millis | undefined {
    if (this.#isLonely()) return this.#lonelySince + LONELY;
    if (this.#neighbours.length === 0 || this.unanswered().length > 0) return undefined;
    return Math.max(...this.#connecting.values()) + ACCEPTED_WITHIN;
  }

  #isLonely(): boolean {
    return this.#neighbours.length === 0 && this.#connecting.size === 0;
  }
}
