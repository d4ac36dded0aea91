import { toHex } from '../core/bytes.ts';
import type { PeerName } from '../core/peer-name.ts';
import type { RandomSource } from '../core/random.ts';
import { randomFraction } from '../core/random.ts';
import type { Millis } from '../core/time.ts';
import { SECOND } from '../core/time.ts';
import type { Ballot, Outcome, Owner, VoterEntry } from './entries.ts';
import { compareBallots } from './entries.ts';
import { CLUSTER_ID_BYTES } from './seed.ts';

/**
 * A proposal that has not won after this long, and up to as long again, is overtaken by another; later rounds get
 * longer, so that proposers on a slow network end up not disturbing each other.
 */
const PROPOSAL_PATIENCE: Millis = 2 * SECOND;
const MOST_PATIENT_ROUND = 15;

interface ConsensusConfig {
  readonly self: Owner;
  /** The range voted about, as text. */
  readonly range: string;
  /** How many voters to expect; 0 = an observer. */
  readonly voters: number;
  readonly random: RandomSource;
  /** What this peer, with this generation, had made durable before. */
  readonly restored: VoterEntry | undefined;
}

interface Standing {
  readonly quorum: number;
  /** Voters that are reachable, this one included. */
  readonly known: number;
  /** Why the election cannot go on. */
  readonly problem: string | undefined;
}

/**
 * Single-decree Paxos (Lamport, "Paxos Made Simple") over gossip: each peer publishes one entry with all that it
 * promised and accepted, so that lost, repeated and reordered messages do not matter. It begins when somebody wants
 * an address. The owner sees to it that {@link own} is durable before others see it.
 */
export class Consensus {
  readonly #config: ConsensusConfig;
  #own: VoterEntry;
  #outcome: Outcome | undefined;
  #standing: Standing;
  #latestBallot: Ballot | undefined;
  #overtakeAt: Millis | undefined;
  #expected = 0;
  #reachable: ReadonlyMap<PeerName, string | undefined> = new Map();
  /** What {@link step} got and left the last time that it went all the way. */
  #seen: { readonly entries?: readonly VoterEntry[]; readonly own?: VoterEntry } = {};

  constructor(config: ConsensusConfig) {
    this.#config = config;
    const { self, range, voters, restored } = config;
    const fresh = { type: 'voter', range, name: self.owner, generation: self.generation } as const;
    this.#own = restored ?? {
      ...fresh,
      version: 1,
      voters,
      wanted: false,
      promised: undefined,
      accepted: undefined,
    };
    // What was promised was promised to a quorum of as many voters as were expected then.
    const expected = this.#own.promised === undefined ? voters : Math.max(voters, this.#own.voters);
    if (this.#own.voters !== expected) this.#write({ voters: expected });
    this.#standing = { quorum: quorumOf(expected), known: voters > 0 ? 1 : 0, problem: undefined };
  }

  /** What this peer has to make durable and then to publish. A new object after every change. */
  get own(): VoterEntry {
    return this.#own;
  }

  get outcome(): Outcome | undefined {
    return this.#outcome;
  }

  get standing(): Standing {
    return this.#standing;
  }

  /** Somebody here waits for the outcome. */
  want(): void {
    if (!this.#own.wanted) this.#write({ wanted: true });
  }

  /**
   * Goes as far as `entries` (of all voters, this one apart) allow. `reachable` = the generation of each peer that
   * can be reached now, undefined where it is not known. Neither is changed in place: the same ones are no news.
   */
  step(
    entries: readonly VoterEntry[],
    reachable: ReadonlyMap<PeerName, string | undefined>,
    now: Millis,
  ): void {
    if (this.#outcome !== undefined || !this.#isNews(entries, reachable, now)) return;
    this.#reachable = reachable;
    const others = this.#electors(entries);
    this.#standing = this.#count(others);
    if (this.#standing.problem !== undefined) return;
    let before: VoterEntry;
    do {
      before = this.#own;
      this.#noteBallots(others, now);
      if (this.#config.voters > 0) {
        this.#followPromises(others);
        this.#followAccepted(others);
        this.#acceptOwnProposal(others);
        this.#propose(others, now);
      }
    } while (before !== this.#own);
    this.#outcome = this.#chosen(others);
    this.#seen = { entries, own: this.#own };
  }

  #isNews(entries: readonly VoterEntry[], reachable: ReadonlyMap<PeerName, unknown>, now: Millis): boolean {
    const { entries: before, own } = this.#seen;
    if (entries !== before || reachable !== this.#reachable || own !== this.#own) return true;
    return this.#overtakeAt !== undefined && now >= this.#overtakeAt;
  }

  /** When {@link step} wants to be called though nothing has changed. */
  nextTimeout(): Millis | undefined {
    const { problem, known, quorum } = this.#standing;
    const mayPropose = this.#config.voters > 0 && problem === undefined && known >= quorum;
    return this.#outcome === undefined && mayPropose ? this.#overtakeAt : undefined;
  }

  /** One entry per name: that of the generation which the name has now. A wiped peer must not vote twice. */
  #electors(entries: readonly VoterEntry[]): VoterEntry[] {
    const byName = new Map<PeerName, VoterEntry>();
    for (const entry of entries) {
      if (entry.range !== this.#config.range || entry.name === this.#own.name) continue;
      const generation = this.#reachable.get(entry.name);
      if (generation !== undefined && generation !== entry.generation) continue;
      const rival = byName.get(entry.name);
      if (rival === undefined || rival.version < entry.version) byName.set(entry.name, entry);
    }
    return [...byName.values()];
  }

  #count(others: readonly VoterEntry[]): Standing {
    const present = others.filter((entry) => this.#reachable.has(entry.name));
    const expected = Math.max(this.#own.voters, ...present.map((entry) => entry.voters));
    const voters = present.filter((entry) => entry.voters > 0).length + (this.#config.voters > 0 ? 1 : 0);
    this.#expected = expected;
    return {
      quorum: quorumOf(expected),
      known: voters,
      problem: tooManyVoters(voters, expected),
    };
  }

  /** Gives each new highest ballot some time before this peer overtakes it. */
  #noteBallots(others: readonly VoterEntry[], now: Millis): void {
    const highest = highestBallot([...others, this.#own]);
    if (highest === undefined) return;
    if (this.#latestBallot !== undefined && compareBallots(highest, this.#latestBallot) <= 0) return;
    this.#latestBallot = highest;
    const patience = PROPOSAL_PATIENCE * Math.min(highest.round, MOST_PATIENT_ROUND);
    this.#overtakeAt = now + patience * (1 + randomFraction(this.#config.random));
  }

  #followPromises(others: readonly VoterEntry[]): void {
    const highest = highestBallot(others);
    if (highest !== undefined && this.#mayPromise(highest)) this.#promise(highest);
  }

  #followAccepted(others: readonly VoterEntry[]): void {
    const best = highestAccepted(others);
    if (best === undefined || !this.#mayAccept(best.ballot)) return;
    const votes = others.filter(({ accepted }) => sameBallot(accepted?.ballot, best.ballot));
    const voters = Math.max(this.#own.voters, this.#expected, ...votes.map((entry) => entry.voters));
    this.#write({ promised: best.ballot, accepted: best, voters });
  }

  /** Once a quorum promised this peer's ballot: what was accepted already, else a cluster of the voters at hand. */
  #acceptOwnProposal(others: readonly VoterEntry[]): void {
    const ballot = this.#own.promised;
    if (ballot === undefined || ballot.proposer !== this.#own.name || !this.#mayAccept(ballot)) return;
    const voters = [...others, this.#own].filter((entry) => entry.voters > 0);
    const promises = voters.filter((entry) => sameBallot(entry.promised, ballot));
    if (promises.length < this.#quorumFor(promises)) return;
    const outcome = highestAccepted(voters)?.outcome ?? this.#newOutcome(voters);
    this.#write({ accepted: { ballot, outcome } });
  }

  #newOutcome(voters: readonly VoterEntry[]): Outcome {
    const owners = voters
      .filter((entry) => entry === this.#own || this.#reachable.has(entry.name))
      .map((entry) => ({ owner: entry.name, generation: entry.generation }))
      .sort((a, b) => (a.owner < b.owner ? -1 : 1));
    return { clusterId: toHex(this.#config.random.bytes(CLUSTER_ID_BYTES)), owners };
  }

  #propose(others: readonly VoterEntry[], now: Millis): void {
    const wanted = [...others, this.#own].some((entry) => entry.wanted || entry.promised !== undefined);
    if (!wanted || this.#standing.known < this.#standing.quorum) return;
    if (this.#overtakeAt !== undefined && now < this.#overtakeAt) return;
    const round = (highestBallot([...others, this.#own])?.round ?? 0) + 1;
    this.#promise({ round, proposer: this.#own.name });
    this.#noteBallots(others, now);
  }

  /** A value is chosen when a quorum accepted it in one and the same ballot. */
  #chosen(others: readonly VoterEntry[]): Outcome | undefined {
    const voters = [...others, this.#own].filter((entry) => entry.voters > 0);
    for (const { accepted } of voters) {
      if (accepted === undefined) continue;
      const same = voters.filter((entry) => sameBallot(entry.accepted?.ballot, accepted.ballot));
      if (same.length >= this.#quorumFor(same)) return accepted.outcome;
    }
    return undefined;
  }

  /** Whose votes are counted, in reach or not, also say how many it takes: who knows of no other voter needs more than one. */
  #quorumFor(votes: readonly VoterEntry[]): number {
    return quorumOf(Math.max(this.#expected, ...votes.map(({ voters }) => voters)));
  }

  #mayPromise(ballot: Ballot): boolean {
    return this.#own.promised === undefined || compareBallots(ballot, this.#own.promised) > 0;
  }

  #mayAccept(ballot: Ballot): boolean {
    const { promised, accepted } = this.#own;
    if (promised !== undefined && compareBallots(ballot, promised) < 0) return false;
    return accepted === undefined || compareBallots(ballot, accepted.ballot) > 0;
  }

  /** A promise remembers how many voters were expected: after a restart, alone, this peer must not need fewer. */
  #promise(ballot: Ballot): void {
    this.#write({ promised: ballot, voters: Math.max(this.#own.voters, this.#expected) });
  }

  #write(change: Partial<Pick<VoterEntry, 'voters' | 'wanted' | 'promised' | 'accepted'>>): void {
    this.#own = { ...this.#own, ...change, version: this.#own.version + 1 };
  }
}

/** Any two quorums of the expected voters share one. */
export function quorumOf(expected: number): number {
  return Math.floor(expected / 2) + 1;
}

/** More voters than were expected could make two quorums that share nobody, and so two rings. */
function tooManyVoters(voters: number, expected: number): string | undefined {
  if (voters < 2 * quorumOf(expected)) return undefined;
  return (
    `${voters} peers vote on the first ring but at most ${expected} were announced: ` +
    `start them with --ipalloc-init consensus=${voters}`
  );
}

function highestBallot(entries: readonly VoterEntry[]): Ballot | undefined {
  return entries.reduce<Ballot | undefined>((best, { promised }) => {
    if (promised === undefined) return best;
    return best === undefined || compareBallots(promised, best) > 0 ? promised : best;
  }, undefined);
}

function highestAccepted(entries: readonly VoterEntry[]): VoterEntry['accepted'] {
  return entries.reduce<VoterEntry['accepted']>((best, { accepted }) => {
    if (accepted === undefined) return best;
    return best === undefined || compareBallots(accepted.ballot, best.ballot) > 0 ? accepted : best;
  }, undefined);
}

function sameBallot(a: Ballot | undefined, b: Ballot): boolean {
  return a !== undefined && compareBallots(a, b) === 0;
}
