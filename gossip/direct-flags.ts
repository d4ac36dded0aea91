import type { PeerName } from '../core/peer-name.ts';
import { SECOND, type Millis } from '../core/time.ts';

/** That a link is direct again only offers circuits one more way: no hurry, and links tend to recover together. */
const RISE_TOGETHER: Millis = 2 * SECOND;

/**
 * Which neighbours our entry says have a direct link. A flag falls at once; those that rise within some seconds rise
 * together, whatever else is published meanwhile, so that a mesh that starts or heals does not publish them one by one.
 */
export class DirectFlags {
  readonly #published = new Set<PeerName>();
  readonly #rising = new Set<PeerName>();
  #riseAt: Millis | undefined;

  has(peer: PeerName): boolean {
    return this.#published.has(peer);
  }

  /** Returns whether what {@link has} says changed. */
  set(peer: PeerName, direct: boolean, now: Millis): boolean {
    if (!direct) {
      this.#rising.delete(peer);
      return this.#published.delete(peer);
    }
    if (this.#published.has(peer)) return false;
    this.#rising.add(peer);
    this.#riseAt ??= now + RISE_TOGETHER;
    return false;
  }

  nextTimeout(): Millis | undefined {
    return this.#riseAt;
  }

  /** Returns whether what {@link has} says changed. */
  onTimeout(now: Millis): boolean {
    if (this.#riseAt === undefined || now < this.#riseAt) return false;
    this.#riseAt = undefined;
    const rose = this.#rising.size > 0;
    for (const peer of this.#rising) this.#published.add(peer);
    this.#rising.clear();
    return rose;
  }
}
