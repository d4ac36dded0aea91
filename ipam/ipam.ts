import type { PeerName } from '../core/peer-name.ts';
import type { RandomSource } from '../core/random.ts';
import type { Machine, Millis } from '../core/time.ts';
import { earlier } from '../core/time.ts';
import type { Channel, ChannelDigest } from '../gossip/channel.ts';
import { CatchUp } from './catch-up.ts';
import { decodeDelta } from './channel-delta.ts';
import { Cluster } from './cluster.ts';
import { refuseOutputs } from './commit-failure.ts';
import { CommitQueue } from './commit-queue.ts';
import { Conflicts } from './conflicts.ts';
import { encodeEntries } from './delta-codec.ts';
import type { Departure } from './departure.ts';
import { Donor } from './donor.ts';
import type {
  Asked,
  Deferred,
  IpamEffect,
  IpamPeer,
  IpamRequest,
  IpamResult,
  IpamTopologyView,
} from './effects.ts';
import type { Entry, MemberEntry } from './entries.ts';
import { withinRange } from './entries.ts';
import { FreeHint } from './free-hint.ts';
import { Holdings } from './holdings.ts';
import { joinEntries } from './joined-entries.ts';
import { Inbox } from './inbox.ts';
import { takeBackLost } from './lost-grants.ts';
import { Membership } from './membership.ts';
import type { Message } from './messages.ts';
import { decodeMessage, encodeMessage } from './messages.ts';
import { Operator } from './operator.ts';
import { PeerReports } from './peer-reports.ts';
import type { IpamPorts } from './ports.ts';
import { Requests } from './requests.ts';
import { Resets } from './resets.ts';
import { SharedState } from './shared-state.ts';
import { Situation } from './situation.ts';
import type { IpamConfig, IpamDependencies, IpamDrop } from './ipam-config.ts';
import type { IpamStatus } from './status.ts';
import { memberChange, openStored } from './stored-state.ts';
import { TakeOvers } from './take-overs.ts';

/**
 * Address allocation of one node: its part of the shared ring, and who holds which address here. It is also the
 * gossip channel "ipam". Nothing that it wrote itself leaves it before it is durable, so a crash at any moment neither
 * loses an address nor hands one out twice.
 */
export class Ipam implements Machine<IpamEffect>, Channel<readonly Entry[]> {
  readonly #config: IpamConfig;
  readonly #random: RandomSource;
  readonly #queue = new CommitQueue<Deferred>();
  readonly #shared = new SharedState();
  readonly #holdings: Holdings;
  readonly #membership: Membership;
  readonly #cluster: Cluster;
  readonly #takeOvers: TakeOvers;
  readonly #conflicts: Conflicts;
  readonly #donor: Donor;
  readonly #requests: Requests;
  readonly #operator: Operator;
  readonly #resets: Resets;
  readonly #catchUp: CatchUp;
  readonly #inbox: Inbox;
  readonly #hint: FreeHint;
  readonly #reports: PeerReports;
  readonly #situation: Situation;
  #view: IpamTopologyView;
  /** Peers that are reachable and allocate, with their generations. */
  #reachable: readonly IpamPeer[] = [];
  #generations: ReadonlyMap<PeerName, string> = new Map();
  #announced = '';
  #settledAt: Millis;
  /** Only settling changes what is to be done when. */
  #timeout: Millis | undefined;
  #effects: IpamEffect[] = [];
  /** How many messages were dropped, by reason. */
  readonly drops: Partial<Record<IpamDrop, number>> = {};
  /** See {@link Channel.encode}. */
  readonly encode = encodeEntries;

  /** Throws {@link UnusableStore} when the stored state is damaged or belongs to another peer or range. */
  constructor(config: IpamConfig, { random, stored }: IpamDependencies, now: Millis) {
    this.#config = config;
    this.#random = random;
    this.#view = { self: config.name, peers: [] };
    this.#settledAt = now;
    const owner = { range: config.range.text, name: config.name };
    const { state, generation, life, discarded } = openStored(stored, owner, config.generation, random);
    for (const key of discarded) this.#queue.write(key, () => undefined);
    const self = { owner: config.name, generation };
    this.#holdings = new Holdings(config.range, self, state.allocations, this.#queue);
    this.#membership = new Membership(
      { ...owner, self, nickname: config.nickname, life },
      this.#queue,
      random,
    );
    const ports = this.#ports();
    this.#reports = new PeerReports(ports.log);
    this.#cluster = new Cluster(
      {
        ports,
        shared: this.#shared,
        init: config.init,
        renew: () => this.#membership.renew(),
        left: () => this.#takeOvers.clear(),
      },
      state,
    );
    this.#shared.merge(state.members);
    this.#takeOvers = new TakeOvers(ports, state.takeOvers, now);
    this.#conflicts = new Conflicts(ports, this.#shared, this.#membership);
    this.#donor = new Donor(
      this.#holdings,
      () => this.#conflicts.users,
      () => this.#takeOvers.spans,
    );
    this.#hint = new FreeHint(config.name, now);
    // A seed list makes the same ring anew for a host that has lost its disk, and what it gave away since.
    const isNew = state.ring === undefined && this.#holdings.clusterId !== undefined;
    const namesOthers = this.#holdings.ring.some((value) => value.owner !== config.name);
    this.#catchUp = new CatchUp(isNew || namesOthers, random, now);
    this.#requests = this.#makeRequests(ports);
    this.#operator = this.#makeOperator(ports);
    this.#inbox = this.#makeInbox(ports);
    this.#resets = new Resets(ports);
    this.#situation = this.#makeSituation(ports);
    this.#settle(now);
  }

  /** Peers came, went or changed. */
  onTopology(view: IpamTopologyView, now: Millis): void {
    this.#view = { ...view, peers: view.peers.filter(({ name }) => name !== this.#config.name) };
    this.#reachable = this.#view.peers.filter(({ generation, reachable }) => reachable && generation !== '');
    this.#generations = new Map(this.#reachable.map(({ name, generation }) => [name, generation]));
    const known = new Map(view.peers.map(({ name, generation }) => [name, generation]));
    known.set(this.#config.name, this.#holdings.self.generation);
    for (const member of this.#shared.retainPeers(known, now)) this.#storeMember(member, true);
    const neighbours = this.#reachable.filter(({ neighbour }) => neighbour !== false).map(({ name }) => name);
    this.#catchUp.onNeighbours(neighbours, view.connecting ?? [], now);
    this.#settle(now);
  }

  /** Is nothing given out before neighbours have told of their rings, or none was there for a while? */
  get awaitsNeighbours(): boolean {
    return this.#catchUp.gated;
  }

  /** Something asks for, claims, releases or looks up addresses. Answered by a `reply`, unless cancelled. */
  onRequest(request: number, operation: IpamRequest, now: Millis): void {
    switch (operation.type) {
      case 'remove-peers':
        this.#operator.remove(request, operation, now);
        break;
      case 'check':
        this.#operator.check(request, now);
        break;
      case 'reset':
        for (const answer of this.#resets.start(request, operation, () => this.#cluster.forget(), now)) {
          this.#reply(answer.request, answer.result);
        }
        break;
      default:
        this.#requests.add(request, operation, now);
    }
    this.#settle(now);
  }

  /** The asker has gone. Unknown numbers are ignored. */
  onCancel(request: number, now: Millis): void {
    this.#requests.cancel(request);
    this.#operator.cancel(request);
    this.#resets.cancel(request);
    this.#settle(now);
  }

  /** The transaction `token` would survive a power cut. */
  onCommitted(token: number, now: Millis): void {
    for (const output of this.#queue.committed(token)) this.#release(output);
    this.#takeOvers.onCommitted();
    this.#hint.note();
    this.#settle(now);
  }

  /** The transaction `token` was not made; `error` = a sentence. */
  onCommitFailed(token: number, error: string, now: Millis): void {
    const outputs = this.#queue.failed(token, now);
    this.#takeOvers.onCommitFailed(now);
    this.#effects.push(...refuseOutputs(outputs, error, this.#holdings, this.#queue, now));
    this.#settle(now);
  }

  /** A message of another peer's allocator. Bytes that are none are reported once per peer and dropped. */
  onUnicast(from: PeerName, bytes: Uint8Array, now: Millis): void {
    const message = decodeMessage(bytes);
    if (message === undefined) {
      this.drops['ipam-malformed'] = (this.drops['ipam-malformed'] ?? 0) + 1;
      this.#reports.malformed(from);
      return;
    }
    this.#inbox.onMessage(from, message, now);
    this.#settle(now);
  }

  /** See {@link Channel.merge}. */
  merge(delta: Uint8Array, now: Millis): readonly Entry[] | undefined {
    const news = this.#mergeEntries(decodeDelta(delta), now);
    this.#settle(now);
    return news.length === 0 ? undefined : news;
  }

  digest(): ChannelDigest {
    return this.#shared.digest();
  }

  entriesOf(buckets: number): readonly Entry[] | undefined {
    const entries = this.#shared.entriesOf(buckets);
    return entries.length === 0 ? undefined : entries;
  }

  join(news: readonly (readonly Entry[])[]): readonly Entry[] {
    return joinEntries(news);
  }

  nextTimeout(): Millis | undefined {
    return this.#timeout;
  }

  #firstTimeout(): Millis | undefined {
    const hint = this.#holdings.clusterId === undefined ? undefined : this.#hint.nextTimeout();
    let time = earlier(
      earlier(hint, this.#queue.nextTimeout()),
      this.#catchUp.nextTimeout(this.#isCurious()),
    );
    const parts = [this.#requests, this.#cluster, this.#takeOvers, this.#conflicts, this.#operator];
    for (const part of [...parts, this.#resets]) time = earlier(time, part.nextTimeout());
    return time;
  }

  onTimeout(now: Millis): void {
    this.#settle(now);
  }

  drain(): IpamEffect[] {
    const effects = this.#effects;
    if (effects.length > 0) this.#effects = [];
    return effects;
  }

  /** What happened since the start that should be rare, for `report`. */
  get counts(): Readonly<Record<string, number>> {
    const [conflicts, takeOvers] = [this.#conflicts.counts, this.#takeOvers.counts];
    return {
      addressConflicts: conflicts.begun,
      addressConflictsEnded: conflicts.ended,
      addressesTakenOver: takeOvers.taken,
      acknowledgementsGivenUp: takeOvers.unacknowledged,
    };
  }

  /** Times in it are counted from `now`, if given. */
  status(now: Millis = this.#settledAt): IpamStatus {
    return this.#situation.status(now);
  }

  /** Level-triggered: does all that the present state allows, then begins a transaction if there is something to write. */
  #settle(now: Millis): void {
    this.#settledAt = now;
    this.#askForRings(now);
    this.#conflicts.guard(this.#takeOvers.spans, now);
    this.#takeOvers.step(now);
    if (this.#isReady()) this.#takeOvers.removeFormerSelf(now);
    this.#operator.step(this.#isReady(), now);
    this.#cluster.step(now);
    const reset = this.#resets.step(now);
    if (reset !== undefined) this.#reply(reset.request, reset.result);
    this.#conflicts.guard(this.#takeOvers.spans, now);
    this.#requests.step(this.#reachable, this.#isReady(), now);
    if (this.#cluster.electing) this.#elect(now);
    this.#tellMembers();
    this.#conflicts.claim(now);
    this.#announce();
    if (this.#holdings.clusterId !== undefined) {
      const hint = this.#hint.step(() => this.#holdings.freeCount, now);
      if (hint !== undefined) this.#show([hint]);
    }
    for (const output of this.#queue.ready()) this.#release(output);
    const batch = this.#queue.begin(now);
    if (batch !== undefined) this.#effects.push({ type: 'commit', ...batch });
    this.#timeout = this.#firstTimeout();
  }

  #askForRings(now: Millis): void {
    for (const to of this.#catchUp.step(this.#isCurious(), now)) {
      this.#send(to, { type: 'ring-request', id: this.#catchUp.id, part: this.#catchUp.missingPart(to) });
    }
  }

  #elect(now: Millis): void {
    // A neighbour may hold a ring already: no election is called before it has said so.
    const awaitsRings = this.#catchUp.unanswered().length > 0 && !this.#requests.waitsLong(now);
    const wanted = this.#requests.waiting && !awaitsRings;
    if (this.#cluster.elect(wanted, this.#generations, now)) {
      this.#requests.step(this.#reachable, this.#isReady(), now);
    }
  }

  #departure(): Departure | undefined {
    return this.#resets.departure ?? this.#cluster.departure;
  }

  /** Takes in what others wrote and returns what was new. */
  #mergeEntries(entries: readonly Entry[], now: Millis): Entry[] {
    const { range, clusterId } = this.#holdings;
    const concerned = entries.filter((entry) => this.#concerns(entry));
    const news = this.#shared.merge(concerned.map((entry) => withinRange(entry, clusterId, range)));
    if (this.#shared.refused > 0) this.#reports.fullRing();
    for (const entry of news) this.#onNews(entry);
    this.#cluster.adopt();
    for (const { request, asked } of takeBackLost(this.#holdings, this.#queue, now)) {
      this.#requests.addAgain(request, asked);
    }
    this.#conflicts.guard(this.#takeOvers.spans, now);
    return news;
  }

  #onNews(entry: Entry): void {
    switch (entry.type) {
      case 'ring':
        if (entry.clusterId === this.#holdings.clusterId) this.#holdings.merge(entry.ring);
        return;
      case 'hint':
        if (entry.name === this.#config.name) this.#hint.onOwnHint(entry.version);
        return;
      case 'member':
        if (this.#membership.showsRollback(entry)) this.#onRollback(entry);
        if (entry.name !== this.#config.name) this.#storeMember(entry, false);
        return;
      case 'voter':
        return;
    }
  }

  /** Does a peer's entry matter to this one, or to those that it passes it on to? */
  #concerns(entry: Entry): boolean {
    const range = entry.type === 'ring' ? entry.range.text : entry.type === 'voter' ? entry.range : undefined;
    if (range !== undefined && range !== this.#config.range.text) {
      this.#reports.otherRange(range, this.#config.range.text);
    }
    if (entry.type !== 'voter') return true;
    return this.#cluster.electing && entry.name !== this.#config.name && range === this.#config.range.text;
  }

  /** Nothing that this generation wrote after the snapshot is known any more: all that it owns rests first. */
  #onRollback({ life }: MemberEntry): void {
    const fields = { startsHere: this.#membership.life, startsKnown: life };
    const message =
      'the state directory was rolled back or copied: addresses handed out since then are not known here; ' +
      'going on under a new generation, with all addresses of this host in quarantine';
    this.#effects.push({ type: 'log', level: 'error', message, fields });
    this.#holdings.become(this.#membership.renew());
    this.#cluster.onRenewed();
  }

  #storeMember(entry: MemberEntry, forget: boolean): void {
    const change = memberChange(entry, forget);
    this.#queue.write(change.key, () => change.value);
  }

  /** Returns what this peer says of itself as a member, shown once it is durable. */
  #tellMembers(): MemberEntry | undefined {
    const entry = this.#conflicts.news();
    if (entry !== undefined) this.#queue.defer({ type: 'show', entry });
    return this.#membership.entry;
  }

  #release(output: Deferred): void {
    if (output.type === 'effect') this.#effects.push(output.effect);
    else this.#show([output.entry]);
  }

  /** Lets others see what is this node's own. */
  #show(entries: readonly Entry[]): void {
    // A vote that was overtaken by a ring is of no use to anyone.
    const shown = entries.filter(({ type }) => type !== 'voter' || this.#cluster.electing);
    const news = this.#shared.merge(shown);
    if (news.length > 0) this.#effects.push({ type: 'publish', news });
  }

  /** May space be given out? Not before the ring is known to be recent, and not while all of it is handed on. */
  #isReady(): boolean {
    return this.#holdings.clusterId !== undefined && !this.#catchUp.gated && this.#departure() === undefined;
  }

  /** Would somebody else's ring help, although nothing here depends on it? */
  #isCurious(): boolean {
    return this.#holdings.clusterId === undefined || !this.#holdings.standing.isComplete;
  }

  /** What others may see of the generation and the cluster is durable. */
  #announce(): void {
    const { generation } = this.#holdings.self;
    const clusterId = this.#holdings.clusterId ?? '';
    if (this.#announced === generation + clusterId) return;
    this.#announced = generation + clusterId;
    this.#queue.defer({ type: 'effect', effect: { type: 'announce', info: { generation, clusterId } } });
  }

  #ports(): IpamPorts {
    return {
      holdings: this.#holdings,
      queue: this.#queue,
      random: this.#random,
      peers: () => this.#view.peers,
      quarantine: () => this.#takeOvers.spans,
      send: (to, message) => this.#send(to, message),
      sendDurable: (to, message) => this.#sendAllDurable([to], message),
      sendAllDurable: (to, message) => this.#sendAllDurable(to, message),
      log: (level, message, fields) => this.#effects.push({ type: 'log', level, message, fields }),
    };
  }

  #makeRequests(ports: IpamPorts): Requests {
    return new Requests({
      ...ports,
      defaultSubnet: this.#config.defaultSubnet,
      timeout: this.#config.requestTimeout,
      freeHint: (name) => this.#shared.hint(name)?.free,
      users: () => this.#conflicts.users,
      reply: (request, result, asked) => this.#reply(request, result, asked),
      describe: () => this.#situation.detail,
    });
  }

  #makeOperator(ports: IpamPorts): Operator {
    return new Operator({
      ports,
      takeOvers: this.#takeOvers,
      directory: () => this.#situation.directory,
      ownFacts: () => this.#situation.facts,
      reply: (request, result) => this.#reply(request, result),
      describe: () => this.#situation.detail,
      otherRanges: () => this.#reports.otherRanges,
      removed: (names) => this.#effects.push({ type: 'removed', names }),
    });
  }

  #makeSituation(ports: IpamPorts): Situation {
    return new Situation({
      ports,
      config: this.#config,
      shared: this.#shared,
      takeOvers: this.#takeOvers,
      conflicts: this.#conflicts,
      requests: this.#requests,
      cluster: this.#cluster,
      catchUp: this.#catchUp,
      removed: () => this.#operator.removed,
      isLeaving: () => this.#departure() !== undefined,
      otherRanges: () => this.#reports.otherRanges,
    });
  }

  #makeInbox(ports: IpamPorts): Inbox {
    return new Inbox({
      ports,
      shared: this.#shared,
      donor: this.#donor,
      requests: this.#requests,
      catchUp: this.#catchUp,
      takeOvers: this.#takeOvers,
      conflicts: this.#conflicts,
      operator: this.#operator,
      departure: () => this.#departure(),
      isReady: () => this.#isReady(),
      merge: (entries, now) => this.#mergeEntries(entries, now),
      ownMember: () => this.#tellMembers(),
      ownFacts: () => this.#situation.facts,
    });
  }

  /** A refusal changes nothing, so it need not wait for the store. */
  #reply(request: number, result: IpamResult, asked?: Asked): void {
    const effect = { type: 'reply', request, result } as const;
    if (result.type === 'failed') this.#effects.push(effect);
    else this.#queue.defer({ type: 'effect', effect, asked });
  }

  #send(to: PeerName, message: Message): void {
    this.#effects.push({ type: 'unicast', to, bytes: encodeMessage(message) });
  }

  #sendAllDurable(receivers: readonly PeerName[], message: Message): void {
    const bytes = encodeMessage(message);
    for (const to of receivers) this.#queue.defer({ type: 'effect', effect: { type: 'unicast', to, bytes } });
  }
}
