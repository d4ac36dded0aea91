import { formatIp } from '../../../core/address.ts';
import { randomBelow, SeededRandom } from '../../../core/random.ts';
import type { StoreChange } from '../../../core/store.ts';
import { MINUTE, SECOND, type Millis } from '../../../core/time.ts';
import type { IpamRequest, IpamResult } from '../../../ipam/effects.ts';
import type { InitMode } from '../../../ipam/init-mode.ts';
import { parseIpamSettings, type IpamSettings } from '../../../ipam/settings.ts';
import { SimNetwork } from '../network.ts';
import { VirtualClock } from '../virtual-clock.ts';
import type { Action, Scenario } from './actions.ts';
import { NO_NOISE } from './faulty-ipam.ts';
import { IpamNode, nodeName, type IpamWorld } from './ipam-node.ts';
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

/** From the end of all trouble until all nodes have one view. Dials back off for minutes. */
const CONVERGES_WITHIN: Millis = 5 * MINUTE;
const SETTLES_WITHIN: Millis = 2 * SECOND;
const ANSWERED_WITHIN: Millis = 70 * SECOND;
const MAX_FAULTS = 10;

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
    for (const [id, { node }] of this.#open) if (node === number) this.#open.delete(id);
  }

  onProblem({ number }: IpamNode, problem: string): void {
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
        this.network.cut(this.#node(action.from).endpoint.ip, this.#node(action.to).endpoint.ip);
        return action.from !== action.to;
      case 'part':
        this.#part(action.half);
        return true;
      case 'heal':
        this.network.heal();
        return true;
      case 'noise':
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
      default:
        return isUp && this.#performLive(node, action);
    }
  }

  #performLive(
    node: IpamNode,
    action: Exclude<Extract<Action, { node: number }>, { do: 'start' | 'snapshot' | 'roll-back' }>,
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
    }
  }

  #start(node: IpamNode): void {
    const others = this.#nodes.filter((other) => other !== node);
    node.start([others[randomBelow(this.#random, others.length)]!, others[0]!]);
  }

  #part(half: number): void {
    const side = ({ number }: IpamNode): number => (half >> (number - 1)) & 1;
    for (const a of this.#nodes) {
      for (const b of this.#nodes) if (side(a) !== side(b)) this.network.cut(a.endpoint.ip, b.endpoint.ip);
    }
  }

  #rollBack(node: IpamNode): boolean {
    const snapshot = this.#snapshots.get(node.number);
    if (snapshot === undefined) return false;
    node.crash(false);
    this.onCrash(node);
    node.store.clear();
    for (const [key, value] of snapshot) node.store.set(key, value);
    this.#reference.onReplaced(node.number, snapshot);
    return true;
  }

  #ask(node: IpamNode, request: Extract<IpamRequest, { id: string }>): boolean {
    const { id, type } = request;
    // What an id holds is certain only if it is asked for one thing at a time.
    if (this.#open.has(id)) return false;
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
    for (const node of this.#nodes) {
      node.armed = undefined;
      if (node.control === undefined) this.#start(node);
    }
    // Somebody has to want addresses, or there is no ring.
    if (!this.#open.has('1-0')) this.#ask(this.#node(1), { type: 'allocate', id: '1-0' });
    let problems: string[] = [];
    const isWhole = (): boolean => (problems = this.#problems()).length === 0;
    if (this.clock.runWhileNot(isWhole, CONVERGES_WITHIN, 2 * SECOND) !== undefined) return;
    for (const problem of problems) this.fault('not whole', problem);
  }

  #problems(): string[] {
    const first = this.#nodes[0]!.ipam!.status();
    const view = JSON.stringify([
      first.clusterId,
      first.owned.map(({ name, addresses }) => [name, addresses]),
    ]);
    const problems = this.#nodes.flatMap(({ number, ipam }) => {
      const { owned, clusterId, conflicts } = ipam!.status();
      const total = owned.reduce((sum, { addresses }) => sum + addresses, 0);
      const out: string[] = [];
      if (total !== this.settings.range.size) out.push(`node ${number} knows owners of ${total} addresses`);
      for (const { name, reachable } of owned)
        if (!reachable) out.push(`node ${number} does not reach ${name}`);
      for (const { address } of conflicts) out.push(`node ${number} has lost ${address}`);
      const own = JSON.stringify([clusterId, owned.map(({ name, addresses }) => [name, addresses])]);
      if (own !== view) out.push(`nodes 1 and ${number} differ: ${view} and ${own}`);
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
    const node = this.#node(1 + randomBelow(this.#random, this.#nodes.length));
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
