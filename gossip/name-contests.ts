import type { PeerName } from '../core/peer-name.ts';
import { earlier, SECOND, type Millis } from '../core/time.ts';

/** How long the incumbent of a name has to answer. */
const ANSWER_WITHIN: Millis = 5 * SECOND;
const MAX_CONTESTS = 64;

interface Contest {
  readonly name: PeerName;
  readonly incumbentUid: string;
  readonly deadline: Millis;
}

/**
 * Connections whose peer bears a name that another process had. The one that had it is pinged: if it lives, the
 * newcomer is refused, else the newcomer is that peer, restarted.
 */
export class NameContests {
  readonly #contests = new Map<number, Contest>();

  /** False if there are too many already. */
  begin(conn: number, name: PeerName, incumbentUid: string, now: Millis): boolean {
    if (this.#contests.size >= MAX_CONTESTS) return false;
    this.#contests.set(conn, { name, incumbentUid, deadline: now + ANSWER_WITHIN });
    return true;
  }

  has(conn: number): boolean {
    return this.#contests.has(conn);
  }

  cancel(conn: number): void {
    this.#contests.delete(conn);
  }

  /** The process `uid` under `name` lives: these newcomers are to be refused. */
  onAlive(name: PeerName, uid: string): number[] {
    return this.#take((contest) => contest.name === name && contest.incumbentUid === uid);
  }

  /** The process `uid` under `name` left: these newcomers are to be accepted. */
  onGone(name: PeerName, uid: string): number[] {
    return this.onAlive(name, uid);
  }

  nextTimeout(): Millis | undefined {
    let next: Millis | undefined;
    for (const { deadline } of this.#contests.values()) next = earlier(next, deadline);
    return next;
  }

  /** Newcomers whose incumbent did not answer. */
  onTimeout(now: Millis): number[] {
    return this.#take(({ deadline }) => now >= deadline);
  }

  #take(matches: (contest: Contest) => boolean): number[] {
    const conns = [...this.#contests].flatMap(([conn, contest]) => (matches(contest) ? [conn] : []));
    for (const conn of conns) this.#contests.delete(conn);
    return conns;
  }
}
