import type { PeerName } from '../core/peer-name.ts';
import type { Millis } from '../core/time.ts';
import type { CatchUp } from './catch-up.ts';
import type { Conflicts } from './conflicts.ts';
import type { Departure } from './departure.ts';
import type { Donor } from './donor.ts';
import type { Entry, MemberEntry, RingEntry } from './entries.ts';
import type { Message } from './messages.ts';
import type { Operator } from './operator.ts';
import type { IpamPorts } from './ports.ts';
import type { Requests } from './requests.ts';
import { ringReplies } from './ring-reply.ts';
import { newsIn } from './ring.ts';
import type { SharedState } from './shared-state.ts';
import type { NodeFacts } from './survey.ts';
import { shownRing } from './survey.ts';
import type { TakeOvers } from './take-overs.ts';

interface InboxDependencies {
  readonly ports: IpamPorts;
  readonly shared: SharedState;
  readonly donor: Donor;
  readonly requests: Requests;
  readonly catchUp: CatchUp;
  readonly takeOvers: TakeOvers;
  readonly conflicts: Conflicts;
  readonly operator: Operator;
  /** The hand-over of everything that is under way, if any. */
  readonly departure: () => Departure | undefined;
  /** May space be given out? */
  readonly isReady: () => boolean;
  readonly merge: (entries: readonly Entry[], now: Millis) => void;
  /** What this peer says of itself as a member at this moment. */
  readonly ownMember: () => MemberEntry | undefined;
  readonly ownFacts: () => NodeFacts;
}

type Departing = Extract<Message, { type: 'heir-request' | 'heir-answer' | 'inherited' }>;
type HandOver = Departing | Extract<Message, { type: 'take-over' | 'taken' | 'bequest' }>;

/** What other peers' allocators say, handed to whom it concerns. */
export class Inbox {
  readonly #deps: InboxDependencies;

  constructor(deps: InboxDependencies) {
    this.#deps = deps;
  }

  onMessage(from: PeerName, message: Message, now: Millis): void {
    const { ports, requests, conflicts, catchUp, operator, merge } = this.#deps;
    switch (message.type) {
      case 'space-request':
        this.#onSpaceRequest(from, message, now);
        return;
      case 'granted':
        merge([message.ring], now);
        requests.onGranted(from, message.id);
        return;
      case 'denied':
        requests.onDenied(from, message, now);
        conflicts.onDenied(from, message.id, message.reason, now);
        return;
      case 'ring-request':
        this.#onRingRequest(from, message);
        return;
      case 'ring-reply':
        merge(message.entries, now);
        catchUp.onReply(from, message);
        return;
      case 'survey':
        ports.send(from, { type: 'survey-reply', id: message.id, ...this.#deps.ownFacts() });
        return;
      case 'survey-reply':
        operator.onSurveyReply(from, message);
        return;
      default:
        this.#onHandOver(from, message, now);
    }
  }

  #onSpaceRequest(from: PeerName, request: Extract<Message, { type: 'space-request' }>, now: Millis): void {
    const { ports, donor, isReady } = this.#deps;
    const current = ports.peers().find(({ name }) => name === from)?.generation ?? '';
    const stale = current !== '' && current !== request.generation;
    ports.sendDurable(from, donor.answer(from, request, isReady() && !stale, now));
  }

  #onRingRequest(from: PeerName, { id, part }: Extract<Message, { type: 'ring-request' }>): void {
    const { ports, shared } = this.#deps;
    const ring = shownRing(ports.holdings, shared);
    for (const reply of ringReplies(id, part, ring, shared.conflicted())) ports.send(from, reply);
  }

  /** What changes the owner of space. Its receiver holds it durably before it says so. */
  #onHandOver(from: PeerName, message: HandOver, now: Millis): void {
    const { ports, takeOvers, merge, ownMember } = this.#deps;
    const { id } = message;
    switch (message.type) {
      case 'take-over':
        merge([message.ring], now);
        if (!this.#holds(message.ring) && !this.#isOfAnother(message.ring)) return;
        ports.sendDurable(from, { type: 'taken', id, member: ownMember() });
        return;
      case 'taken':
        if (message.member?.name === from) merge([message.member], now);
        takeOvers.onTaken(from, id);
        return;
      case 'bequest':
        merge([message.ring], now);
        if (!this.#holds(message.ring)) return;
        ports.sendDurable(from, { type: 'inherited', id });
        return;
      default:
        this.#onDeparture(from, message, now);
    }
  }

  /** Is it in the ring here? One that has grown too large is not merged, and so not acknowledged. */
  #holds({ clusterId, range, ring }: RingEntry): boolean {
    const { holdings } = this.#deps.ports;
    if (clusterId !== holdings.clusterId || range.text !== holdings.range.text) return false;
    return newsIn(holdings.ring, ring).length === 0;
  }

  /** Is it the ring of another cluster, of which nothing is given out here? */
  #isOfAnother({ clusterId, range }: RingEntry): boolean {
    const { holdings } = this.#deps.ports;
    if (holdings.clusterId === undefined) return false;
    return clusterId !== holdings.clusterId || range.text !== holdings.range.text;
  }

  /** Somebody hands on all that it owns: this peer, or to this peer. */
  #onDeparture(from: PeerName, message: Departing, now: Millis): void {
    const { ports, departure, isReady } = this.#deps;
    const { id } = message;
    switch (message.type) {
      case 'heir-request': {
        const willing = message.clusterId === ports.holdings.clusterId && isReady();
        departure()?.onHeirRequest(from);
        ports.send(from, { type: 'heir-answer', id, willing });
        return;
      }
      case 'heir-answer':
        departure()?.onHeirAnswer(from, message, now);
        return;
      case 'inherited':
        departure()?.onInherited(from, id);
        return;
    }
  }
}
