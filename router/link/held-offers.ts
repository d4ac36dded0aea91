import type { PeerName } from '../../core/peer-name.ts';
import { SECOND } from '../../core/time.ts';
import type { Millis } from '../../core/time.ts';
import type { OfferEnvelope } from './offer-envelope.ts';

/** An offer may overtake the topology entry that it needs; this is how long it waits for it. */
const HOLD: Millis = 5 * SECOND;
const MAX_HELD = 256;

/** Offers that came too early to be opened: the newest of each sender, the oldest out when there are too many. */
export class HeldOffers {
  /** In order of arrival. */
  readonly #held = new Map<PeerName, { readonly envelope: OfferEnvelope; readonly until: Millis }>();

  /** False if another offer had to give way. */
  hold(envelope: OfferEnvelope, now: Millis): boolean {
    const replaced = this.#held.delete(envelope.from);
    const oldest = this.#held.size >= MAX_HELD ? this.#held.keys().next().value : undefined;
    if (oldest !== undefined) this.#held.delete(oldest);
    this.#held.set(envelope.from, { envelope, until: now + HOLD });
    return !replaced && oldest === undefined;
  }

  /** Hands out and forgets what waits for the entry of `peer`. */
  take(peer: PeerName, now: Millis): OfferEnvelope | undefined {
    const held = this.#held.get(peer);
    this.#held.delete(peer);
    return held !== undefined && held.until > now ? held.envelope : undefined;
  }

  nextTimeout(): Millis | undefined {
    for (const { until } of this.#held.values()) return until;
    return undefined;
  }

  /** How many waited in vain. */
  expire(now: Millis): number {
    let expired = 0;
    for (const [peer, { until }] of this.#held) {
      if (until > now) break;
      this.#held.delete(peer);
      expired++;
    }
    return expired;
  }
}
