import { toHex } from '../core/bytes.ts';
import type { PeerName } from '../core/peer-name.ts';
import type { Millis } from '../core/time.ts';
import { earlier, MINUTE, SECOND } from '../core/time.ts';
import type { CheckOutcome, IpamPeer, IpamResult, OperatorRequest, RemovedPeer } from './effects.ts';
import type { SurveyReply } from './messages.ts';
import { REQUEST_ID_BYTES } from './messages.ts';
import { labelled } from './peer-directory.ts';
import type { NamedPeer, PeerDirectory } from './peer-directory.ts';
import type { IpamPorts } from './ports.ts';
import type { NodeFacts } from './survey.ts';
import { surveyNotes, surveyProblems } from './survey.ts';
import { isServed } from './take-overs.ts';
import type { TakeOvers } from './take-overs.ts';

const DEFAULT_TIMEOUT: Millis = 1 * MINUTE;
const SURVEY_RESEND: Millis = 1 * SECOND;
const SURVEY_PATIENCE: Millis = 3 * SECOND;
/** What is found is looked for once more after this long: addresses that change hands look wrong for a moment. */
const SURVEY_AGAIN: Millis = 1 * SECOND;

interface OperatorDependencies {
  readonly ports: IpamPorts;
  readonly takeOvers: TakeOvers;
  readonly directory: () => PeerDirectory;
  /** What this node holds. */
  readonly ownFacts: () => NodeFacts;
  /** Answers once all that is queued for the store is durable. */
  readonly reply: (request: number, result: IpamResult) => void;
  readonly describe: () => string | undefined;
  /** That others have spoken of, as text. */
  readonly otherRanges: () => readonly string[];
  readonly removed: (names: readonly PeerName[]) => void;
}

type Removal = Extract<OperatorRequest, { type: 'remove-peers' }>;

interface Survey {
  readonly id: string;
  /** When it began; the second one begins a little later than it is made. */
  readonly since: Millis;
  readonly isSecond: boolean;
  sentAt: Millis;
  readonly answers: Map<PeerName, SurveyReply>;
}

/** `rmpeer` and `ipam check`. */
export class Operator {
  readonly #deps: OperatorDependencies;
  readonly #removals = new Map<number, { readonly removal: Removal; readonly since: Millis }>();
  readonly #surveys = new Map<number, Survey>();
  /** Of this run: to remove one of them again is no error. */
  readonly #removed = new Map<PeerName, NamedPeer>();

  constructor(deps: OperatorDependencies) {
    this.#deps = deps;
  }

  get removed(): readonly NamedPeer[] {
    return [...this.#removed.values()];
  }

  remove(request: number, removal: Removal, now: Millis): void {
    this.#removals.set(request, { removal, since: now });
  }

  check(request: number, now: Millis): void {
    this.#surveys.set(request, this.#newSurvey(now, false));
  }

  cancel(request: number): void {
    this.#removals.delete(request);
    this.#surveys.delete(request);
  }

  onSurveyReply(from: PeerName, reply: SurveyReply): void {
    for (const survey of this.#surveys.values()) if (survey.id === reply.id) survey.answers.set(from, reply);
  }

  /** `ready` = the ring is known to be recent. */
  step(ready: boolean, now: Millis): void {
    for (const [request, { removal, since }] of this.#removals) {
      const result = ready ? this.#remove(removal, now) : this.#waiting(removal, since, now);
      if (result === undefined) continue;
      this.#removals.delete(request);
      this.#deps.reply(request, result);
    }
    for (const [request, survey] of this.#surveys) this.#survey(request, survey, now);
  }

  nextTimeout(): Millis | undefined {
    let time: Millis | undefined;
    for (const { since } of this.#removals.values()) time = earlier(time, since + DEFAULT_TIMEOUT);
    for (const { since, sentAt } of this.#surveys.values()) {
      const next = Math.max(since, Math.min(since + SURVEY_PATIENCE, sentAt + SURVEY_RESEND));
      time = earlier(time, next);
    }
    return time;
  }

  /** Before the ring is there: what would be refused with it is refused now. */
  #waiting({ peers }: Removal, since: Millis, now: Millis): IpamResult | undefined {
    const { holdings } = this.#deps.ports;
    for (const text of peers) {
      const found = this.#deps.directory().find(text);
      // With a ring, though perhaps not a recent one, its next state may bring the name.
      if (typeof found === 'string' && holdings.clusterId !== undefined) continue;
      const isSelf = typeof found !== 'string' && found.name === holdings.self.owner;
      const problem = typeof found === 'string' ? found : isSelf ? this.#refusal(text, found) : undefined;
      if (problem !== undefined) return { type: 'failed', error: problem };
    }
    return now < since + DEFAULT_TIMEOUT ? undefined : this.#timedOut();
  }

  #newSurvey(since: Millis, isSecond: boolean): Survey {
    const id = toHex(this.#deps.ports.random.bytes(REQUEST_ID_BYTES));
    return { id, since, isSecond, sentAt: -Infinity, answers: new Map() };
  }

  /** All of them or none. */
  #remove({ peers, now: skipRest, strict }: Removal, now: Millis): IpamResult {
    const victims = new Map<PeerName, NamedPeer>();
    for (const text of peers) {
      const found = this.#deps.directory().find(text);
      const problem = typeof found === 'string' ? found : this.#refusal(text, found);
      if (problem !== undefined) return { type: 'failed', error: problem };
      victims.set((found as NamedPeer).name, found as NamedPeer);
    }
    const removed: RemovedPeer[] = [];
    for (const victim of victims.values()) {
      const { name, nickname } = victim;
      removed.push(this.#deps.takeOvers.remove(name, nickname, { now: skipRest, strict }, now));
      this.#removed.set(name, victim);
    }
    const gone = [...victims.keys()].filter((name) => this.#peer(name)?.reachable !== true);
    if (gone.length > 0) this.#deps.removed(gone);
    return { type: 'removed', removed };
  }

  #refusal(text: string, found: NamedPeer): string | undefined {
    const { holdings } = this.#deps.ports;
    const { name } = found;
    if (name === holdings.self.owner) {
      return `"${text}" is this host: use reset to hand its addresses to another peer`;
    }
    const peer = this.#peer(name);
    const unserved = holdings.ring.some(
      (value) => value.owner === name && !isServed(value, peer, holdings.clusterId),
    );
    if (peer?.reachable !== true || unserved) return undefined;
    return `${labelled(found)} is in reach: stop it there first, or run reset there to hand its addresses on; if it has just died, try again in a minute`;
  }

  #peer(name: PeerName): IpamPeer | undefined {
    return this.#deps.ports.peers().find((peer) => peer.name === name);
  }

  #timedOut(): IpamResult {
    const state = this.#deps.describe();
    const after = `timed out after ${DEFAULT_TIMEOUT / SECOND} s`;
    return { type: 'failed', error: state === undefined ? after : `${after}: ${state}` };
  }

  #survey(request: number, survey: Survey, now: Millis): void {
    if (now < survey.since) return;
    const asked = this.#deps.ports
      .peers()
      .filter(({ reachable, generation }) => reachable && generation !== '');
    const silent = asked.filter(({ name }) => !survey.answers.has(name));
    if (silent.length === 0 || now >= survey.since + SURVEY_PATIENCE) {
      this.#end(request, survey, silent, now);
      return;
    }
    if (now < survey.sentAt + SURVEY_RESEND) return;
    survey.sentAt = now;
    for (const { name } of silent) this.#deps.ports.send(name, { type: 'survey', id: survey.id });
  }

  #end(request: number, survey: Survey, silent: readonly NamedPeer[], now: Millis): void {
    const check = this.#outcome(survey, silent);
    if (check.problems.length > 0 && !survey.isSecond) {
      this.#surveys.set(request, this.#newSurvey(now + SURVEY_AGAIN, true));
      return;
    }
    this.#surveys.delete(request);
    this.#deps.reply(request, { type: 'checked', check });
  }

  #outcome({ answers }: Survey, silent: readonly NamedPeer[]): CheckOutcome {
    const { ports, directory, ownFacts, otherRanges } = this.#deps;
    const names = directory();
    const others = [...answers]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, reply]) => ({ ...reply, name, nickname: names.nicknameOf(name) }));
    const own = ownFacts();
    const nodes = [own, ...others];
    const { range, ring, clusterId = '' } = ports.holdings;
    const nicknameOf = (name: PeerName): string => names.nicknameOf(name);
    const facts = { range, otherRanges: otherRanges(), clusterId, ring, nodes, silent, nicknameOf };
    const row =
      (answered: boolean) =>
      ({ name, nickname }: NamedPeer) => ({ name, nickname, answered });
    return {
      nodes: [...nodes.map(row(true)), ...silent.map(row(false))],
      problems: surveyProblems(facts),
      notes: surveyNotes(facts),
    };
  }
}
