import type { PeerName } from '../core/peer-name.ts';
import type { Millis } from '../core/time.ts';
import type { MemberEntry, Owner } from './entries.ts';
import type { Holdings } from './holdings.ts';
import type { Denial, Message } from './messages.ts';
import { QUARANTINED } from './messages.ts';
import type { Span } from './range.ts';
import { clipSpans, commonSpans, spansHave, spansOf, unionSpans, withoutSpans } from './range.ts';
import { SEGMENTS_PER_PART } from './ring-reply.ts';

type SpaceRequest = Extract<Message, { type: 'space-request' }>;
type Answer = Extract<Message, { type: 'granted' | 'denied' }>;

/** Answers kept for repeats; the oldest go first. */
const MAX_ANSWERS = 1_024;

/** Answers other peers' requests for space. A request that is repeated gets the answer that it got before. */
export class Donor {
  readonly #holdings: Holdings;
  readonly #users: () => readonly MemberEntry[];
  readonly #quarantine: () => readonly Span[];
  readonly #answers = new Map<string, Answer>();

  /** `users` = the members that use addresses which they do not own; `quarantine` = what was taken over and rests. */
  constructor(holdings: Holdings, users: () => readonly MemberEntry[], quarantine: () => readonly Span[]) {
    this.#holdings = holdings;
    this.#users = users;
    this.#quarantine = quarantine;
  }

  /** `ready` = this peer may give space out. The answer may be sent once all that is queued for the store is durable. */
  answer(from: PeerName, request: SpaceRequest, ready: boolean, now: Millis): Answer {
    const key = `${from} ${request.id}`;
    const before = this.#answers.get(key);
    if (before !== undefined) return before;
    const answer = this.#decide(from, request, ready, now);
    // These are no answers: the same request is to be decided anew.
    const open = answer.type === 'denied' && (answer.reason === 'later' || answer.reason === 'not-mine');
    if (open) return answer;
    if (this.#answers.size >= MAX_ANSWERS) this.#answers.delete(this.#answers.keys().next().value!);
    this.#answers.set(key, answer);
    return answer;
  }

  #decide(from: PeerName, request: SpaceRequest, ready: boolean, now: Millis): Answer {
    const { clusterId, range } = this.#holdings;
    if (!ready) return denied(request, 'later');
    if (clusterId !== request.clusterId) return denied(request, 'other-cluster');
    if (request.span.end > range.size) return denied(request, 'none');
    const to = { owner: from, generation: request.generation };
    switch (request.want) {
      case 'any': {
        const piece = this.#holdings.pieceFor(request.span, now);
        if (piece === undefined) return denied(request, 'none', this.#resting(request.span));
        return { type: 'granted', id: request.id, ring: this.#holdings.donate([piece], to) };
      }
      case 'exact':
        return this.#decideExact(request, to);
      case 'back':
        return this.#decideBack(request, to);
    }
  }

  #decideExact(request: SpaceRequest, to: Owner): Answer {
    const offset = request.span.start;
    if (!this.#holdings.owns(offset)) return denied(request, 'not-mine');
    const holder = this.#holderOf(offset, to);
    if (holder !== undefined) return denied(request, 'in-use', holder);
    if (this.#holdings.isBlocked(offset)) return denied(request, 'later', this.#resting(request.span));
    const piece = { start: offset, end: offset + 1 };
    return { type: 'granted', id: request.id, ring: this.#holdings.donate([piece], to) };
  }

  /** The asker has handed these out already: it gets those that nobody else uses, even from quarantine. */
  #decideBack(request: SpaceRequest, to: Owner): Answer {
    const { span, id } = request;
    const owned = clipSpans(this.#holdings.ownSpans, span);
    if (owned.length === 0) return denied(request, 'not-mine');
    const here = spansOf(this.#holdings.allocations.handedOut());
    const elsewhere = this.#usersBut(to.owner).flatMap(({ conflicts }) => conflicts);
    const free = withoutSpans(owned, unionSpans([...here, ...elsewhere])).slice(0, SEGMENTS_PER_PART / 4);
    if (free.length > 0) return { type: 'granted', id, ring: this.#holdings.donate(free, to) };
    return denied(request, 'in-use', this.#holderOf(owned[0]!.start, to) ?? '');
  }

  /** The id that holds this address here, or the peer that is known to use it. */
  #holderOf(offset: number, asker: Owner): string | undefined {
    const user = this.#usersBut(asker.owner).find(({ conflicts }) => spansHave(conflicts, offset));
    return this.#holdings.allocations.holderOf(offset) ?? user?.nickname;
  }

  /** Says so if some of `span` is held back for a take-over. */
  #resting(span: Span): string {
    const kept = commonSpans(this.#holdings.ownSpans, this.#quarantine());
    return clipSpans(kept, span).length > 0 ? QUARANTINED : '';
  }

  #usersBut(asker: PeerName): MemberEntry[] {
    return this.#users().filter(({ name }) => name !== asker);
  }
}

function denied(request: SpaceRequest, reason: Denial, holder = ''): Answer {
  return { type: 'denied', id: request.id, reason, holder };
}
