import test from 'ava';
import type { PeerName } from '../../core/peer-name.ts';
import { randomBelow, randomFraction, SeededRandom } from '../../core/random.ts';
import type { Millis } from '../../core/time.ts';
import { Consensus, quorumOf } from '../../ipam/consensus.ts';
import type { Outcome, VoterEntry } from '../../ipam/entries.ts';
import { peer } from './network.ts';

interface Voter {
  readonly name: PeerName;
  readonly generation: string;
  readonly expected: number;
  consensus: Consensus;
  durable: VoterEntry | undefined;
  /** What it has seen of others. */
  seen: Map<PeerName, VoterEntry>;
  /** The others as they were before the election: topology tells of them again after a restart. */
  readonly known: Map<PeerName, VoterEntry>;
}

/** Voters that publish what is durable through a mailbox that loses, repeats and reorders. */
class Election {
  readonly voters: Voter[];
  readonly random: SeededRandom;
  readonly chosen = new Set<string>();
  now: Millis = 0;
  loss = 0.3;
  #mail: { readonly to: Voter; readonly entry: VoterEntry }[] = [];

  constructor(seed: number, expected: readonly number[]) {
    this.random = new SeededRandom(seed);
    this.voters = expected.map((count, i) => {
      const [name, generation] = [peer(i + 1), `00000000000000a${i}`];
      const consensus = this.#create(name, generation, count, undefined);
      return {
        name,
        generation,
        expected: count,
        consensus,
        durable: undefined,
        seen: new Map(),
        known: new Map(),
      };
    });
  }

  /** One node runs: it may get mail, may commit and publish, or may crash before or after its commit. */
  step(): void {
    this.now += randomBelow(this.random, 400);
    const voter = this.voters[randomBelow(this.random, this.voters.length)]!;
    const count = this.loss > 0 ? randomBelow(this.random, 4) : this.#mail.length;
    for (let i = 0; i < count; i++) this.#receive();
    if (this.#mail.length > 30) this.#mail.splice(0, 10);
    const reachable = new Map(this.voters.filter((v) => v !== voter).map((v) => [v.name, v.generation]));
    voter.consensus.step([...voter.seen.values()], reachable, this.now);
    if (randomFraction(this.random) < 0.05 && this.loss > 0) return this.#restart(voter);
    voter.durable = voter.consensus.own;
    this.#note(voter.consensus.outcome);
    if (randomFraction(this.random) < 0.05 && this.loss > 0) this.#restart(voter);
    for (const to of this.voters) if (to !== voter) this.#mail.push({ to, entry: voter.durable });
  }

  want(index: number): void {
    this.voters[index]!.consensus.want();
  }

  #receive(): void {
    if (this.#mail.length === 0) return;
    const at = randomBelow(this.random, this.#mail.length);
    const { to, entry } = this.#mail[at]!;
    const repeated = randomFraction(this.random) < 0.1;
    if (!repeated) this.#mail.splice(at, 1);
    if (randomFraction(this.random) < this.loss) return;
    const known = to.seen.get(entry.name);
    if (known === undefined || known.version < entry.version) to.seen.set(entry.name, entry);
  }

  #restart(voter: Voter): void {
    voter.seen = new Map(voter.known);
    voter.consensus = this.#create(voter.name, voter.generation, voter.expected, voter.durable);
    voter.consensus.want();
  }

  #create(name: PeerName, generation: string, voters: number, restored: VoterEntry | undefined): Consensus {
    const self = { owner: name, generation };
    return new Consensus({ self, range: '10.32.0.0/12', voters, random: this.random, restored });
  }

  #note(outcome: Outcome | undefined): void {
    if (outcome !== undefined) this.chosen.add(JSON.stringify(outcome));
  }
}

for (const [what, expected] of [
  ['one voter', [1]],
  ['two voters', [2, 2]],
  ['three voters', [3, 3, 3]],
  ['three voters of which two know only the first', [1, 2, 2]],
  ['five voters', [5, 5, 5, 5, 5]],
  ['three voters and two observers', [3, 3, 3, 0, 0]],
] as const) {
  test(`${what} choose one outcome and no other, through loss, repetition, reordering and restarts`, (t) => {
    for (let seed = 0; seed < 80; seed++) {
      const election = new Election(seed, expected);
      // All have heard of all: whom to expect is not what is tested here.
      for (const voter of election.voters) {
        for (const other of election.voters)
          if (other !== voter) voter.known.set(other.name, other.consensus.own);
      }
      for (const voter of election.voters) voter.seen = new Map(voter.known);
      for (let i = 0; i < expected.length; i++) election.want(i);
      for (let step = 0; step < 150; step++) election.step();
      election.loss = 0;
      for (let step = 0; step < 60 * expected.length; step++) election.step();
      t.is(election.chosen.size, 1, `seed ${seed}`);
      // Whoever knows the outcome leaves the election: the others then take the ring, not the votes.
      t.true(
        election.voters.some(({ consensus }) => consensus.outcome !== undefined),
        `seed ${seed}`,
      );
    }
  });
}

test('nothing happens before somebody wants an outcome', (t) => {
  const election = new Election(1, [3, 3, 3]);
  election.loss = 0;
  for (let step = 0; step < 500; step++) election.step();
  t.is(election.chosen.size, 0);
  t.true(election.voters.every(({ consensus }) => consensus.own.promised === undefined));
});

test('the outcome lists the voters by name with their generations, and not the observers', (t) => {
  const election = new Election(1, [2, 2, 0]);
  election.loss = 0;
  election.want(2);
  for (let step = 0; step < 300; step++) election.step();
  const { owners } = JSON.parse([...election.chosen][0]!) as Outcome;
  t.deepEqual(owners, [
    { owner: peer(1), generation: '00000000000000a0' },
    { owner: peer(2), generation: '00000000000000a1' },
  ]);
});

test('a promise survives a restart: an older ballot is not accepted after it', (t) => {
  const random = new SeededRandom(1);
  const self = { owner: peer(1), generation: '00000000000000a0' };
  const config = { self, range: '10.32.0.0/12', voters: 3, random };
  const first = new Consensus({ ...config, restored: undefined });
  const entry = (round: number, accepts: boolean): VoterEntry => {
    const ballot = { round, proposer: peer(2) };
    const outcome = { clusterId: 'ff'.repeat(16), owners: [] };
    return {
      type: 'voter',
      range: config.range,
      name: peer(2),
      generation: '00000000000000a1',
      version: round,
      voters: 3,
      wanted: true,
      promised: ballot,
      accepted: accepts ? { ballot, outcome } : undefined,
    };
  };
  const reachable = new Map([[peer(2), '00000000000000a1']]);
  first.step([entry(5, false)], reachable, 0);
  t.is(first.own.promised?.round, 5);
  const second = new Consensus({ ...config, restored: first.own });
  second.step([entry(4, true)], reachable, 0);
  t.is(second.own.accepted, undefined);
  second.step([entry(6, true)], reachable, 0);
  t.is(second.own.accepted?.ballot.round, 6);
});

test('a wiped peer does not vote twice: only its present generation counts', (t) => {
  const election = new Election(1, [2, 2]);
  const [a, b] = election.voters as [Voter, Voter];
  a.consensus.want();
  a.consensus.step([b.consensus.own], new Map([[b.name, b.generation]]), 0);
  const promised = { ...b.consensus.own, version: 9, promised: a.consensus.own.promised };
  a.consensus.step([promised], new Map([[b.name, '00000000000000ff']]), 1);
  t.is(a.consensus.own.accepted, undefined);
  a.consensus.step([promised], new Map([[b.name, b.generation]]), 2);
  t.not(a.consensus.own.accepted, undefined);
});

test('a restarted peer that has promised does not elect itself alone, though it was told of no other', (t) => {
  const election = new Election(1, [1, 2]);
  const [a, b] = election.voters as [Voter, Voter];
  a.consensus.want();
  const reachable = new Map([[b.name, b.generation]]);
  a.consensus.step([b.consensus.own], reachable, 0);
  t.not(a.consensus.own.promised, undefined);
  const self = { owner: a.name, generation: a.generation };
  const again = new Consensus({
    self,
    range: '10.32.0.0/12',
    voters: 1,
    random: election.random,
    restored: a.consensus.own,
  });
  again.step([], new Map(), 60_000);
  t.is(again.outcome, undefined);
  t.is(again.standing.quorum, 2);
});

test('one vote of several that were expected is no outcome, for whoever hears of it before it knows the voters', (t) => {
  const ballot = { round: 1, proposer: peer(1) };
  const outcome = {
    clusterId: '01'.repeat(16),
    owners: [{ owner: peer(1), generation: '00000000000000a0' }],
  };
  const vote = (n: number): VoterEntry => ({
    type: 'voter',
    range: '10.32.0.0/12',
    name: peer(n),
    generation: `00000000000000a${n}`,
    version: 3,
    voters: 3,
    wanted: true,
    promised: ballot,
    accepted: { ballot, outcome },
  });
  const observer = (): Consensus =>
    new Consensus({
      self: { owner: peer(9), generation: '00000000000000a9' },
      range: '10.32.0.0/12',
      voters: 0,
      random: new SeededRandom(1),
      restored: undefined,
    });
  const one = observer();
  one.step([vote(1)], new Map(), 0);
  t.is(one.outcome, undefined);
  const two = observer();
  two.step([vote(1), vote(2)], new Map(), 0);
  t.deepEqual(two.outcome, outcome);
});

test('who accepts what a voter proposed that expects more voters says so with its vote', (t) => {
  const election = new Election(1, [1, 5]);
  const [a, b] = election.voters as [Voter, Voter];
  const ballot = { round: 1, proposer: b.name };
  const accepted = { ballot, outcome: { clusterId: '01'.repeat(16), owners: [] } };
  a.consensus.step([{ ...b.consensus.own, promised: ballot, accepted }], new Map(), 0);
  t.like(a.consensus.own, { accepted, voters: 5 });
  t.is(a.consensus.outcome, undefined);
});

test('promises of a voter that expects more voters do not make a quorum of fewer, although it is out of reach by then', (t) => {
  const election = new Election(1, [2, 2]);
  const [a, b] = election.voters as [Voter, Voter];
  a.consensus.want();
  a.consensus.step([b.consensus.own], new Map([[b.name, b.generation]]), 0);
  const promised = { ...b.consensus.own, version: 9, promised: a.consensus.own.promised };
  a.consensus.step([{ ...promised, voters: 5 }], new Map(), 1);
  t.is(a.consensus.own.accepted, undefined);
  a.consensus.step([promised], new Map(), 2);
  t.not(a.consensus.own.accepted, undefined);
});

test('any two quorums of the expected voters share one', (t) => {
  t.deepEqual([1, 2, 3, 4, 5].map(quorumOf), [1, 2, 2, 3, 3]);
});
