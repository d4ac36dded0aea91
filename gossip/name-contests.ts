import type { PeerName } from '../core/peer-name.ts';
import { earlier, SECOND, type Millis } from '../core/time.ts';

/** How long the incumbent of a name has to answer. */
const ANSWER_WITHIN: Millis = 5 * SECOND;
/** A ping is not acknowledged, and is dropped where a stream takes no more: it is repeated. */
const PING_EVERY: Millis = SECOND;
const MAX_CONTESTS = 64;

interface Contest {
  readonly name: PeerName;
  readonly incumbentUid: string;
  readonly deadline: Millis;
  nextPing: Millis;
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
    const deadline = now + ANSWER_WITHIN;
    this.#contests.set(conn, { name, incumbentUid, deadline, nextPing: now + PING_EVERY });
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
    for (const { deadline, nextPing } of this.#contests.values()) {
      next = earlier(next, Math.min(deadline, nextPing));
    }
    return next;
  }

  /** Newcomers whose incumbent did not answer. */
  onTimeout(now: Millis): number[] {
    return this.#take(({ deadline }) => now >= deadline);
  }

  /** The incumbents to be pinged once more; call it after {@link onTimeout}. */
  takePings(now: Millis): { readonly name: PeerName; readonly uid: string }[] {
    const due = [...this.#contests.values()].filter(({ nextPing }) => now >= nextPing);
    for (const contest of due) contest.nextPing = now + PING_EVERY;
    return due.map(({ name, incumbentUid: uid }) => ({ name, uid }));
  }

  #take(matches: (contest: Contest) => boolean): number[] {
    const conns = [...this.#contests].flatMap(([conn, contest]) => (matches(contest) ? [conn] : []));
    for (const conn of conns) this.#contests.delete(conn);
    return conns;
  }
}
