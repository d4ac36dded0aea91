import { toHex } from '../core/bytes.ts';
import type { PeerName } from '../core/peer-name.ts';
import type { RandomSource } from '../core/random.ts';
import { randomFraction } from '../core/random.ts';
import type { Millis } from '../core/time.ts';
import { SECOND } from '../core/time.ts';
import type { Need } from './attempt.ts';
import type { Denial } from './messages.ts';
import { QUARANTINED, REQUEST_ID_BYTES } from './messages.ts';
import type { Span } from './range.ts';
import { withoutSpans } from './range.ts';

/** A request without an answer is sent again after this long; its donor then no longer holds up the others. */
const RESEND: Millis = 2 * SECOND;
/** A donor that cannot decide yet is asked again after this long. */
const LATER: Millis = 1 * SECOND;
/**
 * All have said no for this long before that is the answer: space that was under way to one of them when it said so is
 * in the ring by then.
 */
const SETTLE: Millis = 1 * SECOND;
/** Donors that probably have nothing are asked this many at a time. */
const PARALLEL = 16;

/** A peer that can be asked. */
export interface DonorCandidate {
  readonly name: PeerName;
  /** How many free addresses it probably has; 0 = probably none. */
  readonly weight: number;
  /** What it owns of what is wanted; sorted and disjoint. */
  readonly owned: readonly Span[];
}

interface Ask {
  readonly to: PeerName;
  readonly id: string;
}

interface Asked {
  readonly id: string;
  readonly reason: Denial | undefined;
  readonly holder: string;
  /** What it owned, by the ring here, when it was asked. */
  readonly owned: readonly Span[];
  /** When to ask again under the same id. */
  readonly again: Millis;
  readonly tries: number;
}

/**
 * The search for a donor of one piece of space: one likely donor at a time, drawn by weight; then those that probably
 * have nothing. It is over when a grant has come, or when every peer that can be asked has said no.
 */
export class GrantSearch {
  readonly need: Need;
  readonly #asked = new Map<PeerName, Asked>();
  #refusedAt: Millis = -Infinity;

  constructor(need: Need) {
    this.need = need;
  }

  /** What is to be sent now. `candidates`: all that can be asked at the moment, ascending by name. */
  step(candidates: readonly DonorCandidate[], random: RandomSource, now: Millis): Ask[] {
    this.#forgetOthers(candidates);
    this.#forgetVoid(candidates);
    const asks = candidates.flatMap(({ name }) => this.#askAgain(name, now));
    const fresh = candidates.filter(({ name }) => !this.#asked.has(name));
    const pending = candidates.filter(({ name }) => this.#holdsUp(name)).length;
    const likely = fresh.filter(({ weight }) => weight > 0);
    if (likely.length > 0) {
      if (pending === 0) asks.push(this.#ask(drawn(likely, random), random, now));
      return asks;
    }
    for (const candidate of fresh.slice(0, Math.max(0, PARALLEL - pending))) {
      asks.push(this.#ask(candidate, random, now));
    }
    return asks;
  }

  /** Returns false if `id` is none of this search's requests to `from`. */
  onDenied(from: PeerName, id: string, reason: Denial, holder: string, now: Millis): boolean {
    const asked = this.#asked.get(from);
    if (asked?.id !== id) return false;
    this.#asked.set(from, { ...asked, reason, holder, again: now + LATER });
    if (isFinal(reason)) this.#refusedAt = now;
    return true;
  }

  isAwaiting(from: PeerName, id: string): boolean {
    return this.#asked.get(from)?.id === id;
  }

  /** Has every candidate said no, and has that been so for a while? True without candidates. */
  isDenied(candidates: readonly DonorCandidate[], now: Millis): boolean {
    if (candidates.length > 0 && !this.need.exact && now < this.#refusedAt + SETTLE) return false;
    return candidates.every(({ name }) => isFinal(this.#asked.get(name)?.reason));
  }

  /** Who holds the one address that is wanted, as its owner says. */
  holder(): { peer: PeerName; id: string } | undefined {
    for (const [peer, { reason, holder }] of this.#asked)
      if (reason === 'in-use') return { peer, id: holder };
    return undefined;
  }

  /** Peers that give nothing now as what they have is in quarantine. */
  quarantining(): PeerName[] {
    return [...this.#asked]
      .filter(([, { reason, holder }]) => reason !== 'in-use' && holder === QUARANTINED)
      .map(([name]) => name);
  }

  /** Peers whose answer is awaited. */
  awaited(): PeerName[] {
    return [...this.#asked].filter(([, asked]) => !isFinal(asked.reason)).map(([name]) => name);
  }

  nextTimeout(): Millis | undefined {
    const times = [...this.#asked.values()]
      .filter(({ reason }) => !isFinal(reason))
      .map(({ again }) => again);
    if (times.length > 0) return Math.min(...times);
    return this.#asked.size === 0 ? undefined : this.#refusedAt + SETTLE;
  }

  /** Who went away has not answered; if it comes back it is asked afresh. */
  #forgetOthers(candidates: readonly DonorCandidate[]): void {
    const names = new Set(candidates.map(({ name }) => name));
    for (const name of [...this.#asked.keys()]) if (!names.has(name)) this.#asked.delete(name);
  }

  /** Who said that it has nothing, and owns something that it did not own then, was about to be given that. */
  #forgetVoid(candidates: readonly DonorCandidate[]): void {
    for (const { name, owned } of candidates) {
      const asked = this.#asked.get(name);
      if (asked?.reason === 'none' && withoutSpans(owned, asked.owned).length > 0) this.#asked.delete(name);
    }
  }

  #askAgain(name: PeerName, now: Millis): Ask[] {
    const asked = this.#asked.get(name);
    if (asked === undefined || isFinal(asked.reason) || now < asked.again) return [];
    const tries = asked.tries + 1;
    this.#asked.set(name, { ...asked, reason: undefined, again: now + RESEND, tries });
    return [{ to: name, id: asked.id }];
  }

  #holdsUp(name: PeerName): boolean {
    const asked = this.#asked.get(name);
    return asked !== undefined && asked.reason === undefined && asked.tries === 1;
  }

  #ask({ name, owned }: DonorCandidate, random: RandomSource, now: Millis): Ask {
    const id = toHex(random.bytes(REQUEST_ID_BYTES));
    this.#asked.set(name, { id, reason: undefined, holder: '', owned, again: now + RESEND, tries: 1 });
    return { to: name, id };
  }
}

/** After "later" the peer is asked again, after "not-mine" too: gossip is about to bring what it knows. */
function isFinal(reason: Denial | undefined): boolean {
  return reason !== undefined && reason !== 'later' && reason !== 'not-mine';
}

/** One of `candidates`, each with the probability of its weight. */
function drawn(candidates: readonly DonorCandidate[], random: RandomSource): DonorCandidate {
  const total = candidates.reduce((sum, { weight }) => sum + weight, 0);
  let left = randomFraction(random) * total;
  for (const candidate of candidates) {
    left -= candidate.weight;
    if (left < 0) return candidate;
  }
  return candidates.at(-1)!;
}
