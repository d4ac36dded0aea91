import type { PeerName } from '../core/peer-name.ts';
import type { Millis } from '../core/time.ts';
import type { Holdings } from './holdings.ts';
import type { Denial, Message } from './messages.ts';

type SpaceRequest = Extract<Message, { type: 'space-request' }>;
type Answer = Extract<Message, { type: 'granted' | 'denied' }>;

/** Answers kept for repeats; the oldest go first. */
const MAX_ANSWERS = 1_024;

/** Answers other peers' requests for space. A request that is repeated gets the answer that it got before. */
export class Donor {
  readonly #holdings: Holdings;
  readonly #answers = new Map<string, Answer>();

  constructor(holdings: Holdings) {
    this.#holdings = holdings;
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
    if (request.exact) return this.#decideExact(request, to);
    const piece = this.#holdings.pieceFor(request.span, now);
    if (piece === undefined) return denied(request, 'none');
    return { type: 'granted', id: request.id, ring: this.#holdings.donate(piece, to) };
  }

  #decideExact(request: SpaceRequest, to: { owner: PeerName; generation: string }): Answer {
    const offset = request.span.start;
    if (!this.#holdings.owns(offset)) return denied(request, 'not-mine');
    const holder = this.#holdings.allocations.holderOf(offset);
    if (holder !== undefined) return denied(request, 'in-use', holder);
    const piece = { start: offset, end: offset + 1 };
    return { type: 'granted', id: request.id, ring: this.#holdings.donate(piece, to) };
  }
}

function denied(request: SpaceRequest, reason: Denial, holder = ''): Answer {
  return { type: 'denied', id: request.id, reason, holder };
}
