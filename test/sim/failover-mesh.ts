import { randomBelow, SeededRandom } from '../../core/random.ts';
import { SECOND, type Millis } from '../../core/time.ts';
import { fakePrimitives } from './fake-primitives.ts';
import { BROADCAST, frameOf } from './frames.ts';
import { SimNetwork, type NetworkTerms } from './network.ts';
import { SimNode } from './sim-node.ts';
import { VirtualClock } from './virtual-clock.ts';
import { worldOf } from './world.ts';

const FORMATION_LIMIT: Millis = 60 * SECOND;

/** Frames from one node to another at an even pace, and when they arrived. */
interface Flow {
  readonly from: SimNode;
  readonly to: SimNode;
  readonly interval: Millis;
  /** `to` answers each frame, and what counts is the answers' arrival. */
  readonly echoed: boolean;
  running: boolean;
  lastArrival: Millis;
  /** The longest time without an arrival since it was last asked for. */
  longestGap: Millis;
}

/** A small mesh with flows of frames through it, to watch what cuts of the underlay do to them. */
export class FailoverMesh {
  readonly clock = new VirtualClock();
  readonly network: SimNetwork;
  readonly nodes: readonly SimNode[];
  readonly random: SeededRandom;
  readonly #flows: Flow[] = [];

  constructor(seed: number, count: number, terms: NetworkTerms) {
    this.random = new SeededRandom(seed);
    this.network = new SimNetwork(this.clock, this.random, terms);
    const { clock, network } = this;
    const onFrame = (node: SimNode, frame: Uint8Array): void => this.#onFrame(node, frame);
    const world = worldOf({ clock, network, seed, nodes: count, primitives: fakePrimitives, onFrame });
    this.nodes = Array.from({ length: count }, (_, i) => new SimNode(world, i + 1));
  }

  node(number: number): SimNode {
    return this.nodes[number - 1]!;
  }

  /** Starts all nodes and waits until every edge is published, as direct if `settled`, and every node has been heard by all. */
  form(settled = true): void {
    for (const node of this.nodes) {
      const delay = randomBelow(this.random, 2 * SECOND);
      this.clock.after(delay, () => node.start(this.nodes.slice(0, node.number - 1)));
    }
    const formed = this.clock.runWhileNot(
      () => this.nodes.every((node) => this.#seesAll(node, settled)),
      FORMATION_LIMIT,
    );
    if (formed === undefined) throw new Error('the mesh did not form');
    for (const node of this.nodes) node.sendFrame(frameOf(node.number, BROADCAST));
    this.clock.runFor(SECOND);
  }

  /** Cuts the underlay from host `a` to host `b`, and back unless `oneWay`. */
  cut(a: number, b: number, oneWay: boolean): void {
    this.network.cut(this.node(a).endpoint.ip, this.node(b).endpoint.ip);
    if (!oneWay) this.network.cut(this.node(b).endpoint.ip, this.node(a).endpoint.ip);
  }

  startFlow(from: number, to: number, interval: Millis, echoed = false): void {
    const { now } = this.clock;
    const ends = { from: this.node(from), to: this.node(to) };
    const flow: Flow = { ...ends, interval, echoed, running: true, lastArrival: now, longestGap: 0 };
    this.#flows.push(flow);
    this.#tick(flow);
  }

  stopFlows(): void {
    for (const flow of this.#flows.splice(0)) flow.running = false;
  }

  /** The longest time that any flow was without an arrival, up to now; counts afresh from here. */
  takeLongestGap(): Millis {
    const { now } = this.clock;
    let longest = 0;
    for (const flow of this.#flows) {
      longest = Math.max(longest, flow.longestGap, now - flow.lastArrival);
      flow.longestGap = 0;
      flow.lastArrival = now;
    }
    return longest;
  }

  /** By what the link from one host to the other goes, as its status says. */
  path(from: number, to: number): string {
    const peer = this.node(to).name;
    let answer = 'unknown';
    this.node(from).askStatus(({ router }) => {
      const link = router.links.find((each) => each.peer === peer);
      answer = link?.state === 'up' ? link.path : (link?.state ?? 'none');
    });
    const deadline = this.clock.now + SECOND;
    while (answer === 'unknown' && this.clock.now < deadline) this.clock.runFor(1);
    return answer;
  }

  /** Lets time pass until the link is direct on both ends; returns the ms, or undefined after `limit`. */
  timeToDirect(a: number, b: number, limit: Millis): Millis | undefined {
    const isDirect = () => this.path(a, b) === 'direct' && this.path(b, a) === 'direct';
    return this.clock.runWhileNot(isDirect, limit);
  }

  #seesAll({ routes }: SimNode, settled: boolean): boolean {
    const edges = this.nodes.length * (this.nodes.length - 1);
    return routes?.direct.length === edges && (!settled || routes.direct.every((flag) => flag === 1));
  }

  #tick(flow: Flow): void {
    if (!flow.running) return;
    flow.from.sendFrame(frameOf(flow.from.number, flow.to.number));
    this.clock.after(flow.interval, () => this.#tick(flow));
  }

  #onFrame(node: SimNode, frame: Uint8Array): void {
    const source = frame[11]!;
    for (const flow of this.#flows) {
      const forth = flow.to === node && flow.from.number === source;
      if (forth && flow.echoed) node.sendFrame(frameOf(node.number, source));
      const back = flow.from === node && flow.to.number === source;
      if (!(flow.echoed ? back : forth)) continue;
      flow.longestGap = Math.max(flow.longestGap, this.clock.now - flow.lastArrival);
      flow.lastArrival = this.clock.now;
    }
  }
}
