import { formatIp } from '../../../core/address.ts';
import type { PeerName } from '../../../core/peer-name.ts';
import { randomBelow, SeededRandom } from '../../../core/random.ts';
import type { StoreChange } from '../../../core/store.ts';
import { MINUTE, SECOND, type Millis } from '../../../core/time.ts';
import type { IpamRequest, IpamResult, IpamTopologyView } from '../../../ipam/effects.ts';
import { ABSENT_USER } from '../../../ipam/foreign-users.ts';
import type { InitMode } from '../../../ipam/init-mode.ts';
import { parseIpamSettings, type IpamSettings } from '../../../ipam/settings.ts';
import type { IpamStatus } from '../../../ipam/status.ts';
import { readStored, RING_KEY } from '../../../ipam/stored-state.ts';
import { nodeName } from '../control-host.ts';
import { fakePrimitives } from '../fake-primitives.ts';
import { SimNetwork } from '../network.ts';
import { VirtualClock } from '../virtual-clock.ts';
import { rangeOf, type Action, type Scenario } from './actions.ts';
import { NO_NOISE } from './faulty-ipam.ts';
import { ForeignUseWatch } from './foreign-use-watch.ts';
import { IpamNode, type IpamWorld } from './ipam-node.ts';
import { owned, ringOf, stored, TakeOverWatch } from './take-over-watch.ts';
import { Reference } from './reference.ts';
import { Weather } from './weather.ts';

/** A broken promise. */
export interface Fault {
  readonly kind: string;
  readonly text: string;
}

export interface RunResult {
  /** None if all that is promised was kept. */
  readonly faults: readonly Fault[];
  /** How often each action was carried out and each fault happened. */
  readonly counts: ReadonlyMap<string, number>;
}

/** From the end of all trouble until all nodes have one view. Dials back off for minutes, what is taken over rests for ten. */
const CONVERGES_WITHIN: Millis = 40 * MINUTE;
const LOOK_EVERY: Millis = 3 * SECOND;
/** Conflicts are settled by the operator after this long. */
const CONFLICTS_AFTER: Millis = 4 * MINUTE;
/** An address with two holders is reported, once all can hear of each other, within this long. */
const REPORTED_WITHIN: Millis = 1 * MINUTE;
/** Error messages that say what the design cannot exclude. */
const REPORTS = /rolled back|belong to another peer/;
const TWO_CLUSTERS = 'two clusters share this network';
const DUPLICATE = 'another live peer uses our name';
const ANSWERED_WITHIN: Millis = 70 * SECOND;
const MAX_FAULTS = 10;
/** As a set of bits. */
const ODD_NUMBERS = 0b10101;

interface OpenRequest {
  readonly node: number;
  readonly id: string;
  readonly number: number;
}

/** Runs one scenario and judges it after every step. */
export function runScenario(scenario: Scenario): RunResult {
  const run = new IpamRun(scenario);
  try {
    run.play();
  } catch (error) {
    run.fault('error', error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
  return { faults: run.faults, counts: run.counts };
}

class IpamRun implements IpamWorld {
  readonly clock = new VirtualClock();
  readonly primitives = fakePrimitives;
  readonly network: SimNetwork;
  readonly settings: IpamSettings;
  readonly seed: number;
  readonly faults: Fault[] = [];
  readonly counts = new Map<string, number>();
  noise = NO_NOISE;
  readonly #scenario: Scenario;
  readonly #random: SeededRandom;
  readonly #nodes: readonly IpamNode[];
  readonly #reference: Reference;
  readonly #snapshots = new Map<number, Map<string, Uint8Array>>();
  readonly #killed = new Set<number>();
  readonly #resetting = new Set<number>();
  /** Have logged, since they started, that there are two clusters. */
  readonly #toldOfTwo = new Set<number>();
  /** Whose state directory was lost or rolled back. */
  readonly #forgetful = new Set<number>();
  readonly #watch: TakeOverWatch;
  readonly #users: ForeignUseWatch;
  readonly #weather: Weather;
  /** Since when addresses are seen to have two holders. */
  readonly #contestedSince = new Map<string, Millis>();
  /** By id: who waits for an answer. */
  readonly #open = new Map<string, OpenRequest>();
  /** Who has taken part in an election, and not given up its outcome since. */
  readonly #voted = new Set<number>();
  /** A state directory from before the first ring came back: with its vote forgotten there may be another outcome (E4). */
  #isVoteForgotten = false;
  #step = 'start';

  constructor(scenario: Scenario) {
    const { seed, nodes } = scenario;
    this.#scenario = scenario;
    this.seed = seed;
    this.#random = new SeededRandom(seed + 2 ** 32);
    this.settings = parseIpamSettings(rangeOf(scenario), undefined) as IpamSettings;
    this.network = new SimNetwork(this.clock, this.#random, {
      loss: 0,
      duplication: 0,
      leastDelay: 1,
      mostDelay: 60,
    });
    this.#nodes = Array.from({ length: nodes }, (_, i) => new IpamNode(this, i + 1, this.#initOf(i + 1)));
    this.#weather = new Weather(this.#nodes, (node) => this.#killed.has(node.number));
    this.#reference = new Reference({
      fault: (kind, text) => this.fault(kind, text),
      whyOf: (number, address) => this.#watch.whyOf(this.#node(number), address),
      isRightful: (number, address) => this.#watch.isRightful(this.#node(number), address),
      clusterOf: (number) => ringOf(this.#node(number))?.clusterId ?? '',
      mayBeApart: () => this.#mayBeTwoClusters(),
      onHold: (number, address) => {
        this.#watch.onHold(this.#node(number), address);
        this.#users.onHold(this.#node(number), address);
      },
    });
    const mesh = {
      range: this.settings.range,
      nodes: this.#nodes,
      now: () => this.clock.now,
      isKilled: (node: IpamNode) => this.#killed.has(node.number),
      isCalm: (but?: IpamNode) => this.#weather.isCalm(this.clock.now, but),
      fault: (kind: string, text: string) => this.fault(kind, text),
    };
    this.#watch = new TakeOverWatch(mesh, this.#reference);
    this.#users = new ForeignUseWatch(mesh, (node) => this.#resetting.has(node.number));
  }

  play(): void {
    const { nodes, late, actions } = this.#scenario;
    if (this.#mayBeTwoClusters()) this.#part(ODD_NUMBERS);
    for (const node of this.#nodes.slice(0, nodes - late)) this.#start(node);
    for (const [i, action] of actions.entries()) {
      this.#step = `action ${i} (${action.do})`;
      this.#perform(action);
      this.clock.runFor(action.wait);
      this.#look();
      if (this.faults.length >= MAX_FAULTS) return;
    }
    this.#step = 'healing';
    this.#heal();
    for (const why of this.#reference.doubles.values()) this.count(`two holders ${why}`);
    this.#step = 'handing out the rest';
    if (this.faults.length === 0) this.#handOutTheRest();
  }

  count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }

  fault(kind: string, text: string): void {
    if (this.faults.length < MAX_FAULTS) this.faults.push({ kind, text: `${this.#step}: ${text}` });
  }

  onStored(node: IpamNode, changes: readonly StoreChange[]): void {
    if (changes.some(({ key, value }) => key === RING_KEY && value === undefined)) this.#onRingGivenUp(node);
    if (this.#hasVoted(node)) this.#voted.add(node.number);
    this.#watch.onStored(node, changes);
    this.#reference.onStored(node.number, changes);
    this.#users.onStored(node, changes);
  }

  onAwaited(node: IpamNode, view: IpamTopologyView): void {
    this.#watch.onAwaited(node, view);
  }

  /** By `reset --force`, alone: with hosts that never had a ring a voter that knows nothing of its vote may make another. */
  #onRingGivenUp(node: IpamNode): void {
    if (!this.#voted.delete(node.number)) return;
    this.#isVoteForgotten ||= this.#nodes.some((other) => other !== node && ringOf(other) === undefined);
  }

  onGivenUp(node: IpamNode, peer: PeerName, victim: PeerName): void {
    this.count('waited for in vain');
    this.#watch.onGivenUp(node, peer, victim);
  }

  onCrash(node: IpamNode): void {
    const { number } = node;
    this.#weather.onChange(node, this.clock.now);
    this.#toldOfTwo.delete(number);
    this.#resetting.delete(number);
    for (const [id, { node: asked }] of this.#open) if (asked === number) this.#open.delete(id);
  }

  onProblem({ number }: IpamNode, problem: string): void {
    this.count(`reported: ${problem.slice(0, 30)}`);
    if (problem.startsWith(TWO_CLUSTERS)) this.#toldOfTwo.add(number);
    if (this.#mayBeTwoClusters() && problem.startsWith(TWO_CLUSTERS)) return;
    // Without its incarnation it overtakes each of the last entries of its former life that somebody still passes on.
    if (problem === DUPLICATE && this.#forgetful.has(number)) return;
    if (this.#scenario.risk !== 'none' && REPORTS.test(problem)) return;
    this.fault('problem', `node ${number} reports: ${problem}`);
  }

  #initOf(number: number): InitMode {
    const { init, nodes, observers } = this.#scenario;
    const founders = nodes - observers;
    if (number > founders) return { type: 'observer' };
    if (init === 'consensus') return { type: 'consensus', voters: founders };
    const all = Array.from({ length: founders }, (_, i) => i + 1);
    const listed = all.filter((other) => init === 'seed' || other % 2 === number % 2);
    return { type: 'seed', names: listed.map(nodeName) };
  }

  #mayBeTwoClusters(): boolean {
    return this.#scenario.init === 'two-seeds' || this.#isVoteForgotten;
  }

  #perform(action: Action): void {
    const done = this.#perhaps(action);
    if (done) this.count(action.do);
  }

  /** False if the action makes no sense at this moment: actions before it may have been left out. */
  #perhaps(action: Action): boolean {
    switch (action.do) {
      case 'cut':
        this.#weather.onCut(this.clock.now);
        this.network.cut(this.#node(action.from).endpoint.ip, this.#node(action.to).endpoint.ip);
        return action.from !== action.to;
      case 'part':
        this.#part(action.half);
        return true;
      case 'heal':
        this.network.heal();
        this.#weather.onHealed(this.clock.now);
        return true;
      case 'noise':
        this.noise = action.noise;
        this.#weather.onNoise(action.noise, this.clock.now);
        return true;
      default:
        return this.#performAt(this.#node(action.node), action);
    }
  }

  #performAt(node: IpamNode, action: Extract<Action, { node: number }>): boolean {
    const isUp = node.alive;
    switch (action.do) {
      case 'start':
        if (!isUp) this.#start(node);
        return !isUp;
      case 'snapshot':
        this.#snapshots.set(node.number, new Map(node.store));
        return true;
      case 'roll-back':
        return this.#rollBack(node);
      case 'lose':
        return this.#lose(node);
      case 'fill':
      case 'empty':
        node.isDiskFull = action.do === 'fill';
        this.#weather.onChange(node, this.clock.now);
        return true;
      default:
        return isUp && this.#performLive(node, action);
    }
  }

  #performLive(
    node: IpamNode,
    action: Exclude<
      Extract<Action, { node: number }>,
      { do: 'start' | 'snapshot' | 'roll-back' | 'lose' | 'fill' | 'empty' }
    >,
  ): boolean {
    switch (action.do) {
      case 'allocate':
      case 'release':
        return this.#ask(node, { type: action.do, id: `${node.number}-${action.id}` });
      case 'claim': {
        const ip = this.settings.range.ipAt(action.offset);
        const cidr = { ip, prefix: this.settings.range.network.prefix };
        return this.#ask(node, { type: 'claim', id: `${node.number}-${action.id}`, cidr });
      }
      case 'cancel':
        return this.#cancel(node);
      case 'crash':
        node.crash(action.silent);
        this.onCrash(node);
        return true;
      case 'crash-at':
        node.armed = action.step;
        return true;
      case 'kill':
        return this.#kill(node);
      case 'remove':
        return action.peer !== node.number && this.#remove(node, this.#node(action.peer).name, action);
      case 'reset':
        return this.#reset(node, action.force);
    }
  }

  /** Two hosts are left, and there is a ring: without a quorum there will never be one. */
  #kill(node: IpamNode): boolean {
    const others = this.#live().filter((other) => other !== node);
    if (others.length < 2 || !others.every(hasRing)) return false;
    node.crash(true);
    this.onCrash(node);
    this.#killed.add(node.number);
    this.#reference.onGone(node.number);
    // Whoever was told to connect to that host alone is told of one that lives.
    for (const other of others) other.connect(this.#targetsOf(other));
    return true;
  }

  /** Not before all have the ring: an election whose voters forget their votes may have two outcomes. */
  #lose(node: IpamNode): boolean {
    const others = this.#live().filter((other) => other !== node);
    const areReady = others.length > 0 && others.every(hasRing);
    if (!areReady || this.#killed.has(node.number)) return false;
    this.#isVoteForgotten ||= this.#hasVoted(node) && this.#mayElectWithout(node);
    node.crash(true);
    this.onCrash(node);
    node.store.clear();
    this.#forgetful.add(node.number);
    this.#watch.onReplaced(node);
    this.#users.onReplaced(node);
    this.#reference.onReplaced(node.number, node.store);
    this.#start(node);
    return true;
  }

  #remove(node: IpamNode, peer: PeerName, options: { now: boolean; strict: boolean }): boolean {
    const { now, strict } = options;
    node.ask({ type: 'remove-peers', peers: [peer], now, strict }, (result) => {
      if (result.type !== 'removed') return this.count('remove refused');
      if (result.removed.some(({ addresses }) => addresses > 0)) this.count('taken over');
    });
    return true;
  }

  /** What an id holds is certain only if nothing is asked for meanwhile. */
  #reset(node: IpamNode, force: boolean): boolean {
    const isBusy = [...this.#open.values()].some((open) => open.node === node.number);
    if (isBusy || this.#resetting.has(node.number)) return false;
    this.#resetting.add(node.number);
    this.#reference.onReset(node.number);
    node.ask({ type: 'reset', force }, (result) => {
      this.#resetting.delete(node.number);
      if (result.type !== 'reset') return this.count('reset refused');
      const held = this.#reference.heldBy(node.number);
      if (held.length > 0) this.fault('not reset', `node ${node.number} was reset and holds ${held.join()}`);
    });
    return true;
  }

  #start(node: IpamNode): void {
    const targets = this.#targetsOf(node);
    this.#watch.onStart(
      node,
      targets.some(({ alive }) => alive),
    );
    // What ran on it may still do so.
    if (this.#killed.delete(node.number)) this.#reference.onBack(node.number, node.store);
    this.#users.onStart(node);
    this.#weather.onChange(node, this.clock.now);
    node.start(targets);
  }

  /** Any host, and one that all know of, so that no two groups of hosts never hear of each other. */
  #targetsOf(node: IpamNode): IpamNode[] {
    const others = this.#live().filter((other) => other !== node);
    return [others[randomBelow(this.#random, others.length)]!, others[0]!];
  }

  /** Whose hosts are not gone for good. */
  #live(): IpamNode[] {
    return this.#nodes.filter(({ number }) => !this.#killed.has(number));
  }

  #part(half: number): void {
    this.#weather.onCut(this.clock.now);
    const side = ({ number }: IpamNode): number => (half >> (number - 1)) & 1;
    for (const a of this.#nodes) {
      for (const b of this.#nodes) if (side(a) !== side(b)) this.network.cut(a.endpoint.ip, b.endpoint.ip);
    }
  }

  #rollBack(node: IpamNode): boolean {
    const snapshot = this.#snapshots.get(node.number);
    if (snapshot === undefined || this.#killed.has(node.number)) return false;
    const before = [...owned(node, node.name), ...stored(node)];
    const hadVoted = this.#hasVoted(node);
    this.#forgetful.add(node.number);
    node.crash(false);
    this.onCrash(node);
    node.store.clear();
    for (const [key, value] of snapshot) node.store.set(key, value);
    this.#isVoteForgotten ||= hadVoted && !node.store.has(RING_KEY);
    const after = [...owned(node, node.name), ...stored(node)];
    const all = Array.from({ length: this.settings.range.size }, (_, i) =>
      formatIp(this.settings.range.ipAt(i)),
    );
    this.#watch.onReplaced(node);
    this.#users.onReplaced(node);
    this.#watch.onRolledBack(node, after.length === 0 ? all : [...before, ...after]);
    this.#reference.onReplaced(node.number, snapshot);
    return true;
  }

  /** Has it promised something in an election, or does it know the outcome of one? */
  #hasVoted({ store }: IpamNode): boolean {
    if (this.#scenario.init !== 'consensus') return false;
    return store.has(RING_KEY) || readStored(store).voter?.promised !== undefined;
  }

  /** Somebody else's ring is not durable yet, or gone: after a crash there may be another election. */
  #mayElectWithout(node: IpamNode): boolean {
    return this.#nodes.some((other) => {
      const hasRun = other.alive || this.#killed.has(other.number) || other.store.size > 0;
      return other !== node && hasRun && !other.store.has(RING_KEY);
    });
  }

  #ask(node: IpamNode, request: Extract<IpamRequest, { id: string }>): boolean {
    const { id, type } = request;
    // What an id holds is certain only if it is asked for one thing at a time.
    if (this.#open.has(id) || this.#resetting.has(node.number)) return false;
    if (type === 'release') this.#reference.onRelease(node.number, id);
    else this.#reference.onAsk(node.number, id);
    this.#open.set(id, { node: node.number, id, number: -1 });
    const number = node.ask(request, (result) => {
      this.#open.delete(id);
      this.#onResult(node, request, result);
    });
    if (this.#open.has(id)) this.#open.set(id, { node: node.number, id, number });
    return true;
  }

  #onResult(node: IpamNode, request: Extract<IpamRequest, { id: string }>, result: IpamResult): void {
    if (result.type === 'failed') return this.count(`${request.type} refused`);
    if (request.type === 'release') return this.#reference.onReleased(node.number, request.id);
    const [cidr] = result.type === 'addresses' ? result.addresses : [];
    if (cidr === undefined)
      return this.fault('answer', `${request.id} was answered ${JSON.stringify(result.type)}`);
    this.#reference.onGranted(node.number, request.id, formatIp(cidr.ip), request.type === 'claim');
  }

  #cancel(node: IpamNode): boolean {
    const last = [...this.#open.values()].findLast((open) => open.node === node.number);
    if (last === undefined) return false;
    this.#open.delete(last.id);
    node.cancel(last.number);
    return true;
  }

  /** All trouble ends; then every node has the same view, in which nothing is lost. */
  #heal(): void {
    this.network.heal();
    this.noise = NO_NOISE;
    this.#weather.onHealed(this.clock.now);
    this.#weather.onNoise(NO_NOISE, this.clock.now);
    for (const node of this.#live()) {
      node.armed = undefined;
      node.isDiskFull = false;
      if (!node.alive) this.#start(node);
    }
    // Somebody has to want addresses, or there is no ring; a host that is being reset is not asked.
    const [first] = this.#live();
    const id = `${first!.number}-0`;
    const askOnce = (): boolean => this.#open.has(id) || this.#ask(first!, { type: 'allocate', id });
    let isAsked = askOnce();
    let problems: string[] = [];
    const isWhole = (): boolean => {
      isAsked ||= askOnce();
      this.#look();
      return (problems = this.#problems()).length === 0;
    };
    if (this.clock.runWhileNot(isWhole, CONFLICTS_AFTER, LOOK_EVERY) !== undefined) return;
    const operate = (): boolean => {
      this.#settleConflicts();
      this.#settleClusters();
      this.#removeDead();
      return isWhole();
    };
    if (this.clock.runWhileNot(operate, CONVERGES_WITHIN, 10 * LOOK_EVERY) !== undefined) return;
    for (const problem of problems) this.fault('not whole', problem);
  }

  /** An address that has had two holders for a while is reported, if all hear of each other. */
  #look(): void {
    this.#watch.endRollBacks();
    const { now } = this.clock;
    const contested = new Set(this.#reference.contested);
    for (const address of this.#contestedSince.keys()) {
      if (!contested.has(address)) this.#contestedSince.delete(address);
    }
    for (const address of contested) {
      const since = this.#contestedSince.get(address) ?? now;
      this.#contestedSince.set(address, since);
      if (now < since + REPORTED_WITHIN || !this.#weather.isCalm(now) || this.#isReported(address)) continue;
      this.fault('unreported', `${address} has two holders, which nobody reports`);
    }
  }

  #isReported(address: string): boolean {
    const holds = this.#reference.holdersOf(address);
    const holders = holds.map(({ node }) => this.#node(node));
    if (new Set(holds.map(({ cluster }) => cluster)).size > 1) {
      // The status names one thing, which may be a more urgent one.
      return holders.every(({ number }) => this.#toldOfTwo.has(number));
    }
    const reports = this.#live().flatMap(({ ipam }) => ipam?.status().conflicts ?? []);
    return holders.some(({ name }) => reports.some((one) => one.address === address && one.user === name));
  }

  /** Of the holders of one address whoever lost it gives way, as an operator would see to. */
  #settleConflicts(): void {
    for (const address of this.#reference.contested) {
      const holders = this.#reference.holdersOf(address);
      if (new Set(holders.map(({ cluster }) => cluster)).size > 1) continue;
      const reports = this.#live().flatMap(({ ipam }) => ipam!.status().conflicts);
      const report = reports.find((conflict) => conflict.address === address);
      const loser = holders.find(({ node }) => this.#node(node).name === report?.user) ?? holders[0]!;
      this.#ask(this.#node(loser.node), { type: 'release', id: loser.id });
    }
  }

  /** Of two clusters the one with the lower id stays: on the hosts of the other everything is released. */
  #settleClusters(): void {
    const live = this.#live();
    const ids = live.map(({ ipam }) => ipam!.status().clusterId).filter((id) => id !== '');
    const [lowest] = ids.sort();
    for (const node of live) {
      const { clusterId } = node.ipam!.status();
      if (clusterId === '' || clusterId === lowest) continue;
      for (const id of this.#reference.idsOn(node.number)) this.#ask(node, { type: 'release', id });
    }
  }

  /** Whoever is gone for good is removed by the first of each cluster. */
  #removeDead(): void {
    const byCluster = new Map<string, IpamNode>();
    for (const node of this.#live()) {
      const { clusterId } = node.ipam!.status();
      if (!byCluster.has(clusterId)) byCluster.set(clusterId, node);
    }
    for (const first of byCluster.values()) {
      for (const { name, reachable } of first.ipam!.status().owned) {
        const peer = this.#nodes.find((node) => node.name === name)!;
        const isDead = !reachable || this.#killed.has(peer.number);
        if (isDead && peer !== first) this.#remove(first, peer.name, { now: true, strict: false });
      }
    }
  }

  #problems(): string[] {
    const live = this.#live();
    const first = live[0]!.ipam!.status();
    const view = viewOf(first);
    const problems = live.flatMap(({ number, ipam }) => {
      const status = ipam!.status();
      const { owned: owners, conflicts, quarantine } = status;
      const total = owners.reduce((sum, { addresses }) => sum + addresses, 0);
      const out: string[] = [];
      if (total !== this.settings.range.size) out.push(`node ${number} knows owners of ${total} addresses`);
      for (const { name, reachable } of owners) {
        // It takes half a minute until somebody who is silent counts as unreachable.
        const isDead = !reachable || this.#nodes.some((node) => node.name === name && !live.includes(node));
        if (isDead) out.push(`node ${number}: nobody serves what ${name} owns`);
      }
      for (const { address, user } of conflicts) out.push(`node ${number}: ${address} is lost to ${user}`);
      for (const { from, addresses } of quarantine) {
        // Without addresses it only tells of a peer that never heard of the take-over.
        if (addresses > 0) out.push(`node ${number} keeps what ${from} had in quarantine`);
      }
      if (viewOf(status) !== view)
        out.push(`nodes ${live[0]!.number} and ${number} differ: ${view} and ${viewOf(status)}`);
      return out;
    });
    for (const { id } of this.#open.values()) problems.push(`${id} has no answer`);
    // Until it has an answer, what is held there may be released.
    for (const number of this.#resetting) problems.push(`node ${number} is being reset`);
    for (const address of this.#reference.contested) problems.push(`${address} has two holders`);
    return problems;
  }

  /** Every usable address can be handed out, once; the next request is refused. */
  #handOutTheRest(): void {
    const usable = this.settings.range.size - 2;
    // What was released on a full disk is let go when the next transaction is tried, after a second.
    if (this.counts.has('fill')) this.clock.runFor(2 * SECOND);
    for (let i = 0; this.#reference.size < usable; i++) {
      // That may change between the question and the answer.
      let isWithheld = this.#isWithheld();
      // What was granted to a peer may be under way to it: for long on a connection that was cut until a moment ago.
      for (let refusals = 1; !this.#askAndWait(`rest-${i}`); refusals++) {
        const isWaitedFor = (isWithheld || this.#isWithheld()) && refusals < ABSENT_USER / LOOK_EVERY + 1;
        if (refusals > 1 && !isWaitedFor && this.#weather.isCalm(this.clock.now)) {
          return this.fault('space', `rest-${i} of ${usable} was refused: space is lost`);
        }
        this.clock.runFor(LOOK_EVERY);
        isWithheld = this.#isWithheld();
      }
    }
    if (this.#reference.size !== usable) {
      this.fault('space', `${this.#reference.size} of ${usable} addresses are handed out`);
    }
    if (this.#askAndWait('one-too-many')) this.fault('space', 'one address too many was handed out');
  }

  /** Who got an address from somebody who no longer keeps it for a user out of reach may have heard of the user later. */
  #isWithheld(): boolean {
    const live = this.#live();
    const isGone = (name: string): boolean => live.every((node) => node.name !== name);
    return live.some(({ ipam }) => ipam!.status().conflicts.some(({ user }) => isGone(user)));
  }

  /** Whether it was given an address. */
  #askAndWait(id: string): boolean {
    const live = this.#live();
    const node = live[randomBelow(this.#random, live.length)]!;
    this.#ask(node, { type: 'allocate', id });
    if (this.clock.runWhileNot(() => !this.#open.has(id), ANSWERED_WITHIN, 20) === undefined) {
      this.fault('no answer', `${id} has no answer after ${ANSWERED_WITHIN} ms`);
    }
    return this.#reference.promisedTo(node.number, id).size > 0;
  }

  #node(number: number): IpamNode {
    return this.#nodes[number - 1]!;
  }
}

function hasRing({ ipam }: IpamNode): boolean {
  return (ipam?.status().clusterId ?? '') !== '';
}

function viewOf({ clusterId, owned: owners }: IpamStatus): string {
  return JSON.stringify([clusterId, owners.map(({ name, addresses }) => [name, addresses])]);
}
