import { equalBytes } from '../core/bytes.ts';
import { CachedDeadline } from '../core/cached-deadline.ts';
import type { PeerName } from '../core/peer-name.ts';
import { earlier, SECOND, type Millis } from '../core/time.ts';
import { encodeMessage } from './messages.ts';
import type { Neighbour } from './neighbour.ts';

/**
 * How long a connection outlives its password: some attempts' time. What is left of a minute is for the graph to say
 * that the peer is gone, and for its sessions to end (link-control.ts).
 */
const REMAKE_WITHIN: Millis = 35 * SECOND;
const RETRY_EVERY: Millis = 8 * SECOND;

const REMAKE = encodeMessage({ type: 'remake' });

/**
 * Re-makes connections whose password was dropped, before they are broken: the side that dialled dials again and
 * announces what the new connection replaces.
 */
export class Remakes {
  readonly #neighbours: ReadonlyMap<PeerName, Neighbour>;
  readonly #redial: (neighbour: Neighbour) => void;
  readonly #deadline = new CachedDeadline(() => this.#findDeadline());

  constructor(neighbours: ReadonlyMap<PeerName, Neighbour>, redial: (neighbour: Neighbour) => void) {
    this.#neighbours = neighbours;
    this.#redial = redial;
  }

  /** Connections know by now where their passwords are. Returns how many of them are to be re-made. */
  onPasswordsChanged(now: Millis): number {
    const orphans = this.#inOrder().filter(({ connection }) => connection.passwordIndex === undefined);
    for (const neighbour of orphans) {
      if (!neighbour.connection.outbound) neighbour.send(REMAKE, now);
      this.begin(neighbour, now);
    }
    return orphans.length;
  }

  /** This connection is to be replaced, by our decision or the other end's. */
  begin(neighbour: Neighbour, now: Millis): void {
    this.#deadline.invalidate();
    neighbour.remake ??= { until: now + REMAKE_WITHIN, next: now };
  }

  /** A dial that was to replace the connection `sid` failed. */
  onFailed(sid: Uint8Array, error: string): void {
    const neighbour = this.#inOrder().find((each) => equalBytes(each.sid, sid));
    if (neighbour?.remake !== undefined) neighbour.remake.error = error;
  }

  nextTimeout(): Millis | undefined {
    return this.#deadline.at;
  }

  /** Dials what is due and returns the neighbours whose time is up. */
  onTimeout(now: Millis): Neighbour[] {
    if (!this.#deadline.isDue(now)) return [];
    this.#deadline.invalidate();
    const remaking = this.#inOrder().filter(({ remake }) => remake !== undefined);
    for (const neighbour of remaking) {
      if (!neighbour.connection.outbound || now < neighbour.remake!.next) continue;
      neighbour.remake!.next = now + RETRY_EVERY;
      this.#redial(neighbour);
    }
    return remaking.filter(({ remake }) => now >= remake!.until);
  }

  #findDeadline(): Millis | undefined {
    let next: Millis | undefined;
    for (const { remake, connection } of this.#neighbours.values()) {
      if (remake === undefined) continue;
      next = earlier(next, connection.outbound ? Math.min(remake.next, remake.until) : remake.until);
    }
    return next;
  }

  #inOrder(): Neighbour[] {
    return [...this.#neighbours.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }
}
