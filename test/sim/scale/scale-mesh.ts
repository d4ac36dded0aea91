import { draw, randomFraction, SeededRandom } from '../../../core/random.ts';
import type { RoutesSnapshot } from '../../../core/routes.ts';
import { SECOND, type Millis } from '../../../core/time.ts';
import { encodeBody } from '../../../gossip/topology-codec.ts';
import { encodeDelta } from '../../../gossip/topology-delta.ts';
import type { ControlReport } from '../../../router/control-status.ts';
import { nodeName } from '../control-host.ts';
import { fakePrimitives } from '../fake-primitives.ts';
import { SimNetwork, type NetworkTerms } from '../network.ts';
import { SimNode } from '../sim-node.ts';
import { VirtualClock } from '../virtual-clock.ts';
import { worldOf } from '../world.ts';
import { TrafficMeter } from './traffic-meter.ts';

export interface ScaleOptions {
  readonly seed: number;
  readonly nodes: number;
  /** How many random others each node is given; all of them if there are no more. */
  readonly known: number;
  readonly terms: NetworkTerms;
  readonly fullMeshLimit: number;
}

/** Peers that share the address range from the start, so that its allocation needs no agreement of all. */
const SEEDS = 3;
/** How often the views of all nodes are compared. */
const LOOK_EVERY: Millis = 0.1 * SECOND;
/** For a node that is stopped to say so. */
const FAREWELL: Millis = 0.1 * SECOND;

/** A large mesh of whole nodes in virtual time: who runs, who sees whom, what is sent. */
export class ScaleMesh {
  readonly clock = new VirtualClock();
  readonly network: SimNetwork;
  readonly meter: TrafficMeter;
  readonly random: SeededRandom;
  readonly nodes: readonly SimNode[];
  readonly #known: number;

  constructor({ seed, nodes, known, terms, fullMeshLimit }: ScaleOptions) {
    this.#known = known;
    this.random = new SeededRandom(seed);
    this.network = new SimNetwork(this.clock, this.random, terms);
    this.meter = new TrafficMeter(this.network);
    const names = Array.from({ length: Math.min(SEEDS, nodes) }, (_, i) => nodeName(i + 1));
    const world = worldOf({
      clock: this.clock,
      network: this.meter,
      primitives: fakePrimitives,
      seed,
      nodes,
      range: '10.32.0.0/12',
      init: { type: 'seed', names },
      fullMeshLimit,
      onFrame: () => undefined,
    });
    this.nodes = Array.from({ length: nodes }, (_, i) => new SimNode(world, i + 1));
  }

  get living(): SimNode[] {
    return this.nodes.filter(({ alive }) => alive);
  }

  /** Starts a node that is given some of the others, whether or not they run. */
  start(node: SimNode): void {
    node.start(
      this.draw(
        this.nodes.filter((other) => other !== node),
        this.#known,
      ),
    );
  }

  /** Starts all within `spread`. */
  boot(spread: Millis): void {
    for (const node of this.nodes) {
      this.clock.after(randomFraction(this.random) * spread, () => this.start(node));
    }
  }

  /** Stops a node as an operator does: it tells the others. */
  leave(node: SimNode): void {
    node.leave();
    this.clock.after(FAREWELL, () => node.crash());
    this.clock.runFor(FAREWELL);
  }

  /** Up to `count` different ones of `nodes`, by lot. */
  draw(nodes: readonly SimNode[], count: number): SimNode[] {
    return draw(nodes, count, this.random);
  }

  /** Runs until all living nodes have one view: of one another. Returns the ms, or undefined after `limit`. */
  untilOneView(limit: Millis): Millis | undefined {
    return this.clock.runWhileNot(() => this.hasOneView(), limit, LOOK_EVERY);
  }

  hasOneView(): boolean {
    const want = this.living.map(({ name }) => name).sort();
    return this.living.every(({ routes }) => sees(routes, want));
  }

  /** Runs until all living nodes but `node` see it, or no longer do. Returns the ms, or undefined after `limit`. */
  untilKnown(node: SimNode, present: boolean, limit: Millis): Millis | undefined {
    const others = this.living.filter((other) => other !== node);
    const isKnown = () => others.every(({ routes }) => hasName(routes, node.name) === present);
    return this.clock.runWhileNot(isKnown, limit, LOOK_EVERY);
  }

  /** What a node reports of itself. */
  report(node: SimNode): ControlReport {
    let report: ControlReport | undefined;
    node.askReport((answer) => (report = answer));
    this.clock.runWhileNot(() => report !== undefined, 3 * SECOND, 1);
    if (report === undefined) throw new Error(`node ${node.number} does not report`);
    return report;
  }

  /** The topology as a node would send it to a new neighbour, in bytes. */
  stateBytes(node: SimNode): number {
    const { topology } = this.report(node);
    return encodeDelta(topology.map((entry) => ({ entry, body: encodeBody(entry) }))).length;
  }
}

function sees(routes: RoutesSnapshot | undefined, want: readonly string[]): boolean {
  const names = routes?.names ?? [];
  return names.length === want.length && names.every((name, i) => name === want[i]);
}

function hasName(routes: RoutesSnapshot | undefined, name: string): boolean {
  const names: readonly string[] = routes?.names ?? [];
  let low = 0;
  let high = names.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (names[middle]! < name) low = middle + 1;
    else high = middle;
  }
  return names[low] === name;
}
