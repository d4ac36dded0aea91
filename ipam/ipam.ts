import type { Cidr } from '../core/address.ts';
import type { LogLevel } from '../core/log.ts';
import type { PeerName } from '../core/peer-name.ts';
import type { RandomSource } from '../core/random.ts';
import type { Machine, Millis } from '../core/time.ts';
import { earlier } from '../core/time.ts';
import type { Channel, ChannelDigest } from '../gossip/channel.ts';
import { MalformedDelta } from '../gossip/channel.ts';
import { CatchUp } from './catch-up.ts';
import { SchemaViolation } from './closed-schema.ts';
import { CommitQueue } from './commit-queue.ts';
import { Consensus } from './consensus.ts';
import { decodeEntries, encodeEntries } from './delta-codec.ts';
import { Donor } from './donor.ts';
import type { Deferred, IpamEffect, IpamRequest, IpamResult, IpamTopologyView } from './effects.ts';
import type { Entry, Owner, RingEntry, VoterEntry } from './entries.ts';
import { FreeHint } from './free-hint.ts';
import { Holdings } from './holdings.ts';
import type { InitMode } from './init-mode.ts';
import { joinEntries } from './join-entries.ts';
import type { Message } from './messages.ts';
import { decodeMessage, encodeMessage } from './messages.ts';
import { Requests } from './requests.ts';
import type { Ring } from './ring.ts';
import { initialRing, isComplete } from './ring.ts';
import { ringReplies } from './ring-reply.ts';
import { seedRing } from './seed.ts';
import type { AddressRange } from './range.ts';
import { SharedState } from './shared-state.ts';
import type { IpamStatus } from './status.ts';
import { ipamStatus } from './status.ts';
import type { StoredState } from './stored-state.ts';
import {
  isForeign,
  metaChange,
  PREFIX,
  readStored,
  storeMismatch,
  UnusableStore,
  VOTER_KEY,
} from './stored-state.ts';

export interface IpamConfig {
  readonly name: PeerName;
  readonly nickname: string;
  /** 16 hexadecimal digits, not all zero. */
  readonly generation: string;
  readonly range: AddressRange;
  /** Lies within the range: see settings.ts. */
  readonly defaultSubnet: Cidr;
  readonly init: InitMode;
  /** How long a request may wait; 60 s unless given. */
  readonly requestTimeout?: Millis | undefined;
}

export interface IpamDependencies {
  readonly random: RandomSource;
  /** The store's keys and values at the start; those that do not begin with "ipam/" are ignored. */
  readonly stored: ReadonlyMap<string, Uint8Array>;
}

/**
 * Address allocation of one node: its part of the shared ring, and who holds which address here. It is also the
 * gossip channel "ipam". Nothing that it wrote itself leaves it before it is durable, so a crash at any moment neither
 * loses an address nor hands one out twice.
 */
export class Ipam implements Machine<IpamEffect>, Channel<Uint8Array> {
  readonly #config: IpamConfig;
  readonly #self: Owner;
  readonly #random: RandomSource;
  readonly #queue = new CommitQueue<Deferred>();
  readonly #shared = new SharedState();
  readonly #holdings: Holdings;
  readonly #donor: Donor;
  readonly #requests: Requests;
  readonly #catchUp: CatchUp;
  readonly #hint: FreeHint;
  readonly #reported = new Set<string>();
  /** What is in deltas that wait: joining them needs no decoding. */
  readonly #encoded = new WeakMap<Uint8Array, readonly Entry[]>();
  #consensus: Consensus | undefined;
  #writtenVote: VoterEntry | undefined;
  #view: IpamTopologyView;
  /** Generations of the peers that are reachable in it. */
  #generations: ReadonlyMap<PeerName, string> = new Map();
  #effects: IpamEffect[] = [];

  /** Throws {@link UnusableStore} when the stored state is damaged or belongs to another peer or range. */
  constructor(config: IpamConfig, { random, stored }: IpamDependencies, now: Millis) {
    this.#config = config;
    this.#self = { owner: config.name, generation: config.generation };
    this.#random = random;
    this.#view = { self: config.name, peers: [] };
    const state = this.#readOwn(stored);
    this.#holdings = new Holdings(config.range, this.#self, state.allocations, this.#queue);
    this.#donor = new Donor(this.#holdings);
    this.#hint = new FreeHint(config.name, now);
    this.#begin(state);
    const namesOthers = this.#holdings.ring.some(({ owner }) => owner !== config.name);
    this.#catchUp = new CatchUp(namesOthers, random, now);
    this.#requests = new Requests({
      holdings: this.#holdings,
      defaultSubnet: config.defaultSubnet,
      random,
      timeout: config.requestTimeout,
      freeHint: (name) => this.#shared.hint(name)?.free,
      reply: (request, result) => this.#reply(request, result),
      send: (to, message) => this.#send(to, message),
      describe: () => this.#detail(),
    });
    this.#announce();
    this.#settle(now);
  }

  /** Peers came, went or changed. */
  onTopology(view: IpamTopologyView, now: Millis): void {
    this.#view = view;
    this.#generations = new Map(this.#reachable().map(({ name, generation }) => [name, generation]));
    this.#shared.retainPeers(new Set([this.#config.name, ...view.peers.map(({ name }) => name)]), now);
    this.#catchUp.onNeighbours(
      this.#reachable()
        .filter(({ neighbour }) => neighbour !== false)
        .map(({ name }) => name),
      now,
    );
    this.#settle(now);
  }

  /** Something asks for, claims, releases or looks up addresses. Answered by a `reply`, unless cancelled. */
  onRequest(request: number, operation: IpamRequest, now: Millis): void {
    this.#requests.add(request, operation, now);
    this.#settle(now);
  }

  /** The asker has gone. Unknown numbers are ignored. */
  onCancel(request: number, now: Millis): void {
    this.#requests.cancel(request);
    this.#settle(now);
  }

  /** The transaction `token` would survive a power cut. */
  onCommitted(token: number, now: Millis): void {
    for (const output of this.#queue.committed(token)) this.#release(output);
    this.#hint.note();
    this.#settle(now);
  }

  /** A message of another peer's allocator. Bytes that are none are reported once per peer and dropped. */
  onUnicast(from: PeerName, bytes: Uint8Array, now: Millis): void {
    const message = decodeMessage(bytes);
    if (message === undefined) {
      this.#reportOnce(`malformed ${from}`, 'warn', 'ignored a malformed address message', { peer: from });
      return;
    }
    this.#onMessage(from, message, now);
    this.#settle(now);
  }

  /** See {@link Channel.merge}. */
  merge(delta: Uint8Array, now: Millis): Uint8Array | undefined {
    const news = this.#mergeEntries(decodeDelta(delta));
    this.#settle(now);
    return news.length === 0 ? undefined : this.#encode(news);
  }

  digest(): ChannelDigest {
    return this.#shared.digest();
  }

  entriesOf(buckets: number): Uint8Array | undefined {
    const entries = this.#shared.entriesOf(buckets);
    return entries.length === 0 ? undefined : encodeEntries(entries);
  }

  join(deltas: readonly Uint8Array[]): Uint8Array {
    return this.#encode(
      joinEntries(deltas.flatMap((delta) => this.#encoded.get(delta) ?? decodeDelta(delta))),
    );
  }

  encode(delta: Uint8Array): Uint8Array {
    return delta;
  }

  nextTimeout(): Millis | undefined {
    const asking = earlier(this.#requests.nextTimeout(), this.#catchUp.nextTimeout(this.#isCurious()));
    const hint = this.#holdings.clusterId === undefined ? undefined : this.#hint.nextTimeout();
    return earlier(asking, earlier(this.#consensus?.nextTimeout(), hint));
  }

  onTimeout(now: Millis): void {
    this.#settle(now);
  }

  drain(): IpamEffect[] {
    const effects = this.#effects;
    if (effects.length > 0) this.#effects = [];
    return effects;
  }

  status(): IpamStatus {
    return ipamStatus({
      status: this.#state(),
      detail: this.#detail(),
      defaultSubnet: this.#config.defaultSubnet,
      holdings: this.#holdings,
      self: { ...this.#self, nickname: this.#config.nickname },
      peers: this.#view.peers,
    });
  }

  /** What the store holds of this peer; a foreign store without allocations is emptied. */
  #readOwn(stored: ReadonlyMap<string, Uint8Array>): StoredState {
    const owner = { range: this.#config.range.text, name: this.#config.name };
    const state = readStored(stored);
    const mismatch = storeMismatch(state, owner);
    if (mismatch !== undefined) throw new UnusableStore(mismatch);
    const foreign = isForeign(state, owner);
    if (foreign) {
      for (const key of stored.keys()) if (key.startsWith(PREFIX)) this.#queue.write(key, () => undefined);
    }
    const meta = metaChange(owner);
    if (foreign || state.owner === undefined) this.#queue.write(meta.key, () => meta.value);
    return foreign ? { owner: undefined, ring: undefined, voter: undefined, allocations: [] } : state;
  }

  /** Goes on with the ring of the store, or makes one, or prepares to agree on one. */
  #begin(state: StoredState): void {
    const { init, range } = this.#config;
    const known = state.ring ?? (init.type === 'seed' ? seedRing(range, init.names) : undefined);
    if (known !== undefined) {
      this.#enter(known.clusterId, known.ring);
      return;
    }
    this.#consensus = new Consensus({
      self: this.#self,
      range: range.text,
      voters: init.type === 'consensus' ? init.voters : 0,
      random: this.#random,
      restored: state.voter?.generation === this.#self.generation ? state.voter : undefined,
    });
    this.#writeVote();
  }

  /** `ring` may be shown at once: it is durable here or wherever it came from, or all peers compute the same. */
  #enter(clusterId: string, ring: Ring): void {
    const entry: RingEntry = { type: 'ring', clusterId, range: this.#config.range, ring };
    this.#holdings.enter(clusterId);
    this.#shared.setHome(clusterId, this.#config.range.text);
    this.#holdings.merge(ring);
    this.#shared.merge([entry]);
  }

  /** Level-triggered: does all that the present state allows, then begins a transaction if there is something to write. */
  #settle(now: Millis): void {
    for (const to of this.#catchUp.step(this.#isCurious(), now)) {
      this.#send(to, { type: 'ring-request', id: this.#catchUp.id, part: this.#catchUp.missingPart(to) });
    }
    this.#requests.step(this.#reachable(), this.#isReady(), now);
    if (this.#consensus !== undefined) this.#elect(this.#consensus, now);
    if (this.#holdings.clusterId !== undefined) {
      const hint = this.#hint.step(() => this.#holdings.freeCount(now), now);
      if (hint !== undefined) this.#show([hint]);
    }
    for (const output of this.#queue.ready()) this.#release(output);
    const batch = this.#queue.begin();
    if (batch !== undefined) this.#effects.push({ type: 'commit', ...batch });
  }

  #elect(consensus: Consensus, now: Millis): void {
    // A neighbour may hold a ring already: no election is called before it has said so.
    const awaitsRings = this.#catchUp.unanswered().length > 0 && !this.#requests.waitsLong(now);
    if (this.#requests.waiting && !awaitsRings) consensus.want();
    consensus.step(this.#shared.voters(), this.#generations, now);
    if (consensus.own !== this.#writtenVote) this.#writeVote();
    const { problem } = consensus.standing;
    if (problem !== undefined) this.#reportOnce(problem, 'error', problem, {});
    if (consensus.outcome === undefined) return;
    const { clusterId, owners } = consensus.outcome;
    this.#leaveElection();
    const ring = initialRing(this.#config.range.size, owners);
    this.#holdings.enter(clusterId);
    this.#shared.setHome(clusterId, this.#config.range.text);
    this.#holdings.merge(ring);
    const entry: RingEntry = { type: 'ring', clusterId, range: this.#config.range, ring };
    this.#queue.defer({ type: 'show', entry });
    this.#announce();
    this.#requests.step(this.#reachable(), this.#isReady(), now);
  }

  /** An observer has nothing to say before it wants something. */
  #writeVote(): void {
    const vote = this.#consensus!.own;
    this.#writtenVote = vote;
    if (vote.voters === 0 && !vote.wanted) return;
    this.#queue.write(VOTER_KEY, () => encodeEntries([vote]));
    this.#queue.defer({ type: 'show', entry: vote });
  }

  #leaveElection(): void {
    this.#consensus = undefined;
    this.#writtenVote = undefined;
    this.#shared.forgetVoters();
    this.#queue.write(VOTER_KEY, () => undefined);
  }

  #onMessage(from: PeerName, message: Message, now: Millis): void {
    switch (message.type) {
      case 'space-request': {
        const current = this.#view.peers.find(({ name }) => name === from)?.generation ?? '';
        const stale = current !== '' && current !== message.generation;
        const answer = this.#donor.answer(from, message, this.#isReady() && !stale, now);
        const bytes = encodeMessage(answer);
        this.#queue.defer({ type: 'effect', effect: { type: 'unicast', to: from, bytes } });
        return;
      }
      case 'granted':
        this.#mergeEntries([message.ring]);
        this.#requests.onGranted(from, message.id);
        return;
      case 'denied':
        this.#requests.onDenied(from, message, now);
        return;
      case 'ring-request':
        for (const reply of ringReplies(message.id, message.part, this.#shownHome())) {
          this.#send(from, reply);
        }
        return;
      case 'ring-reply':
        this.#mergeEntries(message.rings);
        this.#catchUp.onReply(from, message);
        return;
    }
  }

  /** Takes in what others wrote and returns what was new. */
  #mergeEntries(entries: readonly Entry[]): Entry[] {
    const news = this.#shared.merge(entries.filter((entry) => this.#concerns(entry)));
    for (const entry of news) {
      if (entry.type === 'ring') this.#onRing(entry);
      if (entry.type === 'hint' && entry.name === this.#config.name) this.#hint.onOwnHint(entry.version);
    }
    if (this.#holdings.clusterId === undefined) this.#adopt();
    return news;
  }

  #concerns(entry: Entry): boolean {
    const range = entry.type === 'ring' ? entry.range.text : entry.type === 'voter' ? entry.range : undefined;
    if (range !== undefined && range !== this.#config.range.text) {
      const ours = this.#config.range.text;
      this.#reportOnce(`range ${range}`, 'warn', 'peers use another address range', { range, ours });
    }
    if (entry.type !== 'voter') return true;
    return (
      this.#consensus !== undefined && entry.name !== this.#config.name && range === this.#config.range.text
    );
  }

  #onRing({ clusterId, range, ring }: RingEntry): void {
    if (this.#holdings.clusterId === undefined || range.text !== this.#config.range.text) return;
    if (clusterId === this.#holdings.clusterId) {
      this.#holdings.merge(ring);
      return;
    }
    const ours = this.#holdings.clusterId;
    this.#reportOnce(`cluster ${clusterId}`, 'error', 'two clusters share this network', { ours, clusterId });
  }

  /** Without a ring, joins the cluster whose ring is known; of several the one with the lowest id. */
  #adopt(): void {
    const found = this.#shared.rings().find(({ range }) => range.text === this.#config.range.text);
    if (found === undefined) return;
    this.#leaveElection();
    this.#enter(found.clusterId, found.ring);
    this.#announce();
  }

  #release(output: Deferred): void {
    if (output.type === 'effect') this.#effects.push(output.effect);
    else this.#show([output.entry]);
  }

  /** Lets others see what is this node's own. */
  #show(entries: readonly Entry[]): void {
    const news = this.#shared.merge(entries.filter((entry) => this.#isShowable(entry)));
    if (news.length > 0) this.#effects.push({ type: 'publish', delta: this.#encode(news) });
  }

  #encode(entries: readonly Entry[]): Uint8Array {
    const delta = encodeEntries(entries);
    this.#encoded.set(delta, entries);
    return delta;
  }

  /** A vote that was overtaken by a ring is of no use to anyone. */
  #isShowable(entry: Entry): boolean {
    return entry.type !== 'voter' || this.#consensus !== undefined;
  }

  #shownHome(): RingEntry | undefined {
    const { clusterId } = this.#holdings;
    if (clusterId === undefined) return undefined;
    const { range } = this.#config;
    const ring = this.#shared.ring(clusterId, range.text);
    return ring.length === 0 ? undefined : { type: 'ring', clusterId, range, ring };
  }

  #reachable(): IpamTopologyView['peers'] {
    return this.#view.peers.filter(
      ({ name, generation, reachable }) => reachable && generation !== '' && name !== this.#config.name,
    );
  }

  /** May space be given out? */
  #isReady(): boolean {
    return this.#holdings.clusterId !== undefined && !this.#catchUp.gated;
  }

  /** Would somebody else's ring help, although nothing here depends on it? */
  #isCurious(): boolean {
    return (
      this.#holdings.clusterId === undefined || !isComplete(this.#holdings.ring, this.#config.range.size)
    );
  }

  #state(): IpamStatus['status'] {
    if (this.#holdings.clusterId === undefined) return this.#requests.waiting ? 'awaiting-consensus' : 'idle';
    if (this.#requests.searching) return 'waiting-for-grant';
    return this.#requests.exhausted ? 'exhausted' : 'ready';
  }

  #detail(): string | undefined {
    if (this.#consensus !== undefined) {
      const { problem, quorum, known } = this.#consensus.standing;
      return problem ?? `awaiting consensus (quorum ${quorum}, known ${known})`;
    }
    if (this.#catchUp.gated) return 'awaiting the rings of the neighbours after the start';
    return this.#requests.awaiting(this.#view.peers);
  }

  #announce(): void {
    const voters = this.#config.init.type === 'consensus' && this.#consensus ? this.#config.init.voters : 0;
    const { generation } = this.#config;
    const clusterId = this.#holdings.clusterId ?? '';
    this.#effects.push({ type: 'announce', info: { generation, clusterId, voters } });
  }

  /** A refusal changes nothing, so it need not wait for the store. */
  #reply(request: number, result: IpamResult): void {
    const effect = { type: 'reply', request, result } as const;
    if (result.type === 'failed') this.#effects.push(effect);
    else this.#queue.defer({ type: 'effect', effect });
  }

  #send(to: PeerName, message: Message): void {
    this.#effects.push({ type: 'unicast', to, bytes: encodeMessage(message) });
  }

  #reportOnce(key: string, level: LogLevel, message: string, fields: Record<string, string | number>): void {
    if (this.#reported.has(key) || this.#reported.size >= 1_000) return;
    this.#reported.add(key);
    this.#effects.push({ type: 'log', level, message, fields });
  }
}

function decodeDelta(delta: Uint8Array): Entry[] {
  try {
    return decodeEntries(delta);
  } catch (error) {
    if (error instanceof SchemaViolation) throw new MalformedDelta(`ipam: ${error.message}`);
    throw error;
  }
}
