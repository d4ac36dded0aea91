import { MINUTE, type Millis } from '../../core/time.ts';

/** A link that the mesh does not ask for ends when no frame has passed over it for so long. */
const IDLE_AFTER: Millis = 5 * MINUTE;

/**
 * When a link has been of no use for long enough to be given up. One that belongs to the mesh is kept, traffic or not;
 * when it no longer does, its time begins afresh, so that views that differ for a moment cost no link.
 */
export class Idleness {
  #kept: boolean;
  #usedAt: Millis;

  constructor(kept: boolean, now: Millis) {
    this.#kept = kept;
    this.#usedAt = now;
  }

  /** Whether the mesh asks for the link. */
  setKept(kept: boolean, now: Millis): void {
    if (this.#kept && !kept) this.#usedAt = now;
    this.#kept = kept;
  }

  /** A frame went or came, or somebody began a session in order to send one. */
  onUse(now: Millis): void {
    this.#usedAt = now;
  }

  /** When the link is to be given up; undefined while the mesh asks for it. Traffic moves it on. */
  endsAt(): Millis | undefined {
    return this.#kept ? undefined : this.#usedAt + IDLE_AFTER;
  }
}
