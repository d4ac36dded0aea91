import type { PeerName } from '../core/peer-name.ts';
import type { Millis } from '../core/time.ts';
import { Consensus } from './consensus.ts';
import { encodeEntries } from './delta-codec.ts';
import type { Outcome, Owner, VoterEntry } from './entries.ts';
import type { InitMode } from './init-mode.ts';
import type { IpamPorts } from './ports.ts';
import type { SharedState } from './shared-state.ts';
import { VOTER_KEY } from './stored-state.ts';

/** This peer's part in the election of the first ring: a vote that is durable before it is shown. */
export class FirstRing {
  readonly #ports: IpamPorts;
  readonly #shared: SharedState;
  readonly #consensus: Consensus;
  #written: VoterEntry | undefined;
  #reported: string | undefined;

  /** `restored` = the vote in the store; of another generation it does not count. */
  constructor(
    ports: IpamPorts,
    shared: SharedState,
    init: InitMode,
    self: Owner,
    restored: VoterEntry | undefined,
  ) {
    this.#ports = ports;
    this.#shared = shared;
    this.#consensus = new Consensus({
      self,
      range: ports.holdings.range.text,
      voters: init.type === 'consensus' ? init.voters : 0,
      random: ports.random,
      restored: restored?.generation === self.generation ? restored : undefined,
    });
    this.#write();
  }

  /** What an election waits for, in words. */
  get detail(): string {
    const { problem, quorum, known } = this.#consensus.standing;
    return problem ?? `awaiting consensus (quorum ${quorum}, known ${known})`;
  }

  /** `wanted` = somebody here waits for a ring. `generations` = of the peers in reach. */
  step(wanted: boolean, generations: ReadonlyMap<PeerName, string>, now: Millis): Outcome | undefined {
    if (wanted) this.#consensus.want();
    this.#consensus.step(this.#shared.voters(), generations, now);
    if (this.#consensus.own !== this.#written) this.#write();
    const { problem } = this.#consensus.standing;
    if (problem !== undefined && problem !== this.#reported) this.#ports.log('error', problem, {});
    this.#reported = problem;
    return this.#consensus.outcome;
  }

  /** There is a ring: votes are of no use any more. */
  end(): void {
    this.#shared.forgetVoters();
    this.#ports.queue.write(VOTER_KEY, () => undefined);
  }

  nextTimeout(): Millis | undefined {
    return this.#consensus.nextTimeout();
  }

  /** An observer has nothing to say before it wants something. */
  #write(): void {
    const vote = this.#consensus.own;
    this.#written = vote;
    if (vote.voters === 0 && !vote.wanted) return;
    this.#ports.queue.write(VOTER_KEY, () => encodeEntries([vote]));
    this.#ports.queue.defer({ type: 'show', entry: vote });
  }
}
