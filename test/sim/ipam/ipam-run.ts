import { formatIp } from '../../../core/address.ts';
import type { PeerName } from '../../../core/peer-name.ts';
import { randomBelow, SeededRandom } from '../../../core/random.ts';
import type { StoreChange } from '../../../core/store.ts';
import { MINUTE, SECOND, type Millis } from '../../../core/time.ts';
import type { IpamRequest, IpamResult } from '../../../ipam/effects.ts';
import type { InitMode } from '../../../ipam/init-mode.ts';
import type { Ring } from '../../../ipam/ring.ts';
import { parseIpamSettings, type IpamSettings } from '../../../ipam/settings.ts';
import type { IpamStatus } from '../../../ipam/status.ts';
import { SimNetwork } from '../network.ts';
import { VirtualClock } from '../virtual-clock.ts';
import type { Action, Scenario } from './actions.ts';
import { NO_NOISE } from './faulty-ipam.ts';
import { IpamNode, nodeName, type IpamWorld } from './ipam-node.ts';
import { awaitedBy, hasTakenOver, owned, ringOf, stored, TakeOverWatch } from './take-over-watch.ts';
import { Reference } from './reference.ts';

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
/** Conflicts are settled by the operator after this long; by then they have to be reported. */
const CONFLICTS_AFTER: Millis = 4 * MINUTE;
/** Error messages that say what the design cannot exclude. */
const REPORTS = /rolled back|belong to another peer/;
const SETTLES_WITHIN: Millis = 2 * SECOND;
const ANSWERED_WITHIN: Millis = 70 * SECOND;
const MAX_FAULTS = 10;

interface OpenRequest {
  readonly node: number;
  readonly id: string;
  readonly number: number;
}

/** An rmpeer that `node` is asked for. */
interface Removal {
  readonly node: IpamNode;
  readonly peer: IpamNode;
  /** What the peer owns by what anybody has stored. */
  readonly space: readonly string[];
  /** What `node` has stored until then. */
  readonly before: Ring;
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
  readonly #watch: TakeOverWatch;
  /** Those without an answer. */
  readonly #removals = new Set<Removal>();
  /** By id: who waits for an answer. */
  readonly #open = new Map<string, OpenRequest>();
  #step = 'start';

  constructor(scenario: Scenario) {
    const { seed, nodes, prefix } = scenario;
    this.#scenario = scenario;
    this.seed = seed;
    this.#random = new SeededRandom(seed + 2 ** 32);
    this.settings = parseIpamSettings(`10.32.0.0/${prefix}`, undefined) as IpamSettings;
    this.#reference = new Reference((kind, text) => this.fault(kind, text));
    this.#watch = new TakeOverWatch(this.#reference);
    this.network = new SimNetwork(this.clock, this.#random, {
      loss: 0,
      duplication: 0,
      leastDelay: 1,
      mostDelay: 60,
    });
    this.#nodes = Array.from({ length: nodes }, (_, i) => new IpamNode(this, i + 1, this.#initOf(i + 1)));
  }

  play(): void {
    const { nodes, late, actions } = this.#scenario;
    for (const node of this.#nodes.slice(0, nodes - late)) this.#start(node);
    for (const [i, action] of actions.entries()) {
      this.#step = `action ${i} (${action.do})`;
      this.#perform(action);
      this.clock.runFor(action.wait);
      if (this.faults.length >= MAX_FAULTS) return;
    }
    for (const why of this.#reference.doubles.values()) this.count(`two holders ${why}`);
    this.#step = 'healing';
    this.#heal();
    this.#step = 'handing out the rest';
    if (this.faults.length === 0) this.#handOutTheRest();
  }

  count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }

  fault(kind: string, text: string): void {
    if (this.faults.length < MAX_FAULTS) this.faults.push({ kind, text: `${this.#step}: ${text}` });
  }

  onStored({ number }: IpamNode, changes: readonly StoreChange[]): void {
    this.#reference.onStored(number, changes);
  }

  onCrash({ number }: IpamNode): void {
    this.#watch.onTrouble(this.clock.now, this.#nodes);
    this.#resetting.delete(number);
    this.#endRemovals(number);
    for (const [id, { node }] of this.#open) if (node === number) this.#open.delete(id);
  }

  onProblem({ number }: IpamNode, problem: string): void {
    this.count(`reported: ${problem.slice(0, 30)}`);
    if (this.#scenario.risk !== 'none' && REPORTS.test(problem)) return;
    this.fault('problem', `node ${number} reports: ${problem}`);
  }

  #initOf(number: number): InitMode {
    const { init, nodes, observers } = this.#scenario;
    const founders = nodes - observers;
    if (number > founders) return { type: 'observer' };
    if (init === 'consensus') return { type: 'consensus', voters: founders };
    return { type: 'seed', names: Array.from({ length: founders }, (_, i) => nodeName(i + 1)) };
  }

  #perform(action: Action): void {
    const done = this.#perhaps(action);
    if (done) this.count(action.do);
  }

  /** False if the action makes no sense at this moment: actions before it may have been left out. */
  #perhaps(action: Action): boolean {
    switch (action.do) {
      case 'cut':
        this.#watch.onTrouble(this.clock.now, this.#nodes);
        this.network.cut(this.#node(action.from).endpoint.ip, this.#node(action.to).endpoint.ip);
        return action.from !== action.to;
      case 'part':
        this.#watch.onTrouble(this.clock.now, this.#nodes);
        this.#part(action.half);
        return true;
      case 'heal':
        this.network.heal();
        this.#watch.onHealed(this.clock.now);
        return true;
      case 'noise':
        this.#watch.onTrouble(this.clock.now, this.#nodes);
        if (action.noise.loss === 0) this.#watch.onHealed(this.clock.now);
        this.noise = action.noise;
        return true;
      default:
        return this.#performAt(this.#node(action.node), action);
    }
  }

  #performAt(node: IpamNode, action: Extract<Action, { node: number }>): boolean {
    const isUp = node.control !== undefined;
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
      default:
        return isUp && this.#performLive(node, action);
    }
  }

  #performLive(
    node: IpamNode,
    action: Exclude<Extract<Action, { node: number }>, { do: 'start' | 'snapshot' | 'roll-back' | 'lose' }>,
  ): boolean {
    switch (action.do) {
      case 'allocate':
      case 'release':
        return this.#ask(node, { type: action.do, id: `${node.number}-${action.id}` });
      case 'claim': {
        const ip = this.settings.range.ipAt(action.offset);
        const cidr = { ip, prefix: this.#scenario.prefix };
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
        return action.peer !== node.number && this.#remove(node, action.peer, action.now);
      case 'reset':
        return this.#reset(node, action.force);
    }
  }

  /** Two hosts are left, and there is a ring: without a quorum there will never be one. */
  #kill(node: IpamNode): boolean {
    const others = this.#live().filter((other) => other !== node);
    if (others.length < 2 || !others.every(hasRing)) return false;
    this.#watch.onTrouble(this.clock.now, this.#nodes);
    node.crash(true);
    this.onCrash(node);
    this.#killed.add(node.number);
    this.#reference.onReplaced(node.number, new Map());
    // Whoever was told to connect to that host alone is told of one that lives.
    for (const other of others) other.connect(this.#targetsOf(other));
    return true;
  }

  /** Not before all have the ring: an election whose voters forget their votes may have two outcomes. */
  #lose(node: IpamNode): boolean {
    const others = this.#live().filter((other) => other !== node);
    const areReady = others.length > 0 && others.every(hasRing);
    if (!areReady || this.#killed.has(node.number)) return false;
    const space = this.#live().flatMap((one) => owned(one, node.name));
    const isHeard =
      this.#watch.isCalm(this.clock.now) && others.every(({ control }) => control !== undefined);
    node.crash(true);
    this.onCrash(node);
    this.#watch.onTakeOver(node, space, isHeard, this.clock.now + 10 * MINUTE);
    node.store.clear();
    this.#reference.onReplaced(node.number, node.store);
    this.#start(node);
    return true;
  }

  #remove(node: IpamNode, number: number, now: boolean): boolean {
    const peer = this.#node(number);
    const space = this.#live().flatMap((one) => owned(one, peer.name));
    const request = { type: 'remove-peers', peers: [peer.name], now, strict: false } as const;
    const removal = { node, peer, space, before: ringOf(node) };
    this.#removals.add(removal);
    node.ask(request, (result) => {
      this.#removals.delete(removal);
      if (result.type !== 'removed') return this.count('remove refused');
      const [removed] = result.removed;
      if (removed !== undefined && removed.addresses > 0) this.#onTaken(removal, removed.waitingFor);
    });
    return true;
  }

  /** Written, and perhaps not answered yet: `waitingFor` are to acknowledge it. */
  #onTaken({ node, peer, space }: Removal, waitingFor: readonly PeerName[]): void {
    this.count('taken over');
    if (!this.#killed.has(peer.number)) this.#reference.excuse('E1', space);
    const others = this.#live().filter((one) => one !== node && one !== peer);
    const allHear = others.every(({ name }) => waitingFor.includes(name));
    this.#watch.onTakeOver(node, space, allHear, 0);
  }

  /** What was asked of `node` is not answered any more, but may have been written. */
  #endRemovals(node: number): void {
    for (const removal of this.#removals) {
      if (removal.node.number !== node) continue;
      this.#removals.delete(removal);
      if (hasTakenOver(removal.node, removal.before)) {
        this.#onTaken(removal, awaitedBy(removal.node, removal.peer.name));
      }
    }
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
    const space = owned(node, node.name);
    const targets = this.#targetsOf(node);
    if (this.#killed.delete(node.number)) {
      this.#reference.excuse('E1', [...space, ...stored(node)]);
      this.#reference.onReplaced(node.number, node.store);
    }
    this.#watch.onRestart(
      space,
      targets.some(({ control }) => control !== undefined),
      this.clock.now,
    );
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
    const side = ({ number }: IpamNode): number => (half >> (number - 1)) & 1;
    for (const a of this.#nodes) {
      for (const b of this.#nodes) if (side(a) !== side(b)) this.network.cut(a.endpoint.ip, b.endpoint.ip);
    }
  }

  #rollBack(node: IpamNode): boolean {
    const snapshot = this.#snapshots.get(node.number);
    if (snapshot === undefined || this.#killed.has(node.number)) return false;
    const before = [...owned(node, node.name), ...stored(node)];
    node.crash(false);
    this.onCrash(node);
    node.store.clear();
    for (const [key, value] of snapshot) node.store.set(key, value);
    const after = [...owned(node, node.name), ...stored(node)];
    const all = Array.from({ length: this.settings.range.size }, (_, i) =>
      formatIp(this.settings.range.ipAt(i)),
    );
    this.#reference.excuse('E4', after.length === 0 ? all : [...before, ...after]);
    this.#reference.onReplaced(node.number, snapshot);
    return true;
  }

  #ask(node: IpamNode, request: Extract<IpamRequest, { id: string }>): boolean {
    const { id, type } = request;
    // What an id holds is certain only if it is asked for one thing at a time.
    if (this.#open.has(id) || this.#resetting.has(node.number)) return false;
    if (type === 'release') this.#reference.onRelease(node.number, id);
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
    this.#watch.onHealed(this.clock.now);
    for (const node of this.#live()) {
      node.armed = undefined;
      if (node.control === undefined) this.#start(node);
    }
    // Somebody has to want addresses, or there is no ring.
    const [first] = this.#live();
    this.#ask(first!, { type: 'allocate', id: `${first!.number}-0` });
    let problems: string[] = [];
    const isWhole = (): boolean => (problems = this.#problems()).length === 0;
    if (this.clock.runWhileNot(isWhole, CONFLICTS_AFTER, LOOK_EVERY) !== undefined) return;
    this.#settleConflicts();
    const operate = (): boolean => {
      this.#removeDead();
      return isWhole();
    };
    if (this.clock.runWhileNot(operate, CONVERGES_WITHIN, 10 * LOOK_EVERY) !== undefined) return;
    for (const problem of problems) this.fault('not whole', problem);
  }

  /** Addresses with two holders have to be reported; then one of them gives way, as an operator would see to. */
  #settleConflicts(): void {
    for (const address of this.#reference.contested) {
      const reports = this.#live().flatMap(({ ipam }) => ipam!.status().conflicts);
      const report = reports.find((conflict) => conflict.address === address);
      if (report === undefined) this.fault('unreported', `${address} has two holders, which nobody reports`);
      const holders = this.#live().flatMap((node) => {
        return this.#reference.holdersOn(node.number, address).map((id) => ({ node, id }));
      });
      const loser = holders.find(({ node }) => node.name === report?.user) ?? holders[0];
      if (loser !== undefined) this.#ask(loser.node, { type: 'release', id: loser.id });
    }
  }

  /** Whoever is gone for good is removed by the first that is left. */
  #removeDead(): void {
    const [first] = this.#live();
    for (const { name, reachable } of first!.ipam!.status().owned) {
      const peer = this.#nodes.find((node) => node.name === name)!;
      const isDead = !reachable || this.#killed.has(peer.number);
      if (isDead && peer !== first) this.#remove(first!, peer.number, true);
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
    return problems;
  }

  /** Every usable address can be handed out, once; the next request is refused. */
  #handOutTheRest(): void {
    const usable = this.settings.range.size - 2;
    for (let i = this.#reference.size; i < usable; i++) {
      // The last piece may be on its way to a peer that has just said that it has none.
      const tries = ['', ' again', ' and again'].map((suffix) => `rest-${i}${suffix}`);
      if (!tries.some((id) => this.#askAndWait(id))) {
        return this.fault('space', `rest-${i} of ${usable} was refused: space is lost`);
      }
    }
    if (this.#reference.size !== usable) {
      this.fault('space', `${this.#reference.size} of ${usable} addresses are handed out`);
    }
    if (this.#askAndWait('one-too-many')) this.fault('space', 'one address too many was handed out');
  }

  /** Whether it was given an address. */
  #askAndWait(id: string): boolean {
    const live = this.#live();
    const node = live[randomBelow(this.#random, live.length)]!;
    this.#ask(node, { type: 'allocate', id });
    if (this.clock.runWhileNot(() => !this.#open.has(id), ANSWERED_WITHIN, 20) === undefined) {
      this.fault('no answer', `${id} has no answer after ${ANSWERED_WITHIN} ms`);
    }
    const isGiven = this.#reference.promisedTo(node.number, id).size > 0;
    if (!isGiven) this.clock.runFor(SETTLES_WITHIN);
    return isGiven;
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
