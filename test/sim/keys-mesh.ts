import { SeededRandom } from '../../core/random.ts';
import { SECOND, type Millis } from '../../core/time.ts';
import type { ControlStatus } from '../../router/control-status.ts';
import { fakePrimitives } from './fake-primitives.ts';
import { BROADCAST, frameOf } from './frames.ts';
import { SimNetwork, type NetworkTerms } from './network.ts';
import { SimNode } from './sim-node.ts';
import { VirtualClock } from './virtual-clock.ts';
import { worldOf } from './world.ts';

const NUMBER_OFFSET = 14;
const FORMATION_LIMIT: Millis = 60 * SECOND;

/** Whole nodes that send one another numbered frames while their passwords and keys change. */
export class KeysMesh {
  readonly clock = new VirtualClock();
  readonly nodes: readonly SimNode[];
  /** The frames of the flows, by number, and how often each arrived where it was sent to. */
  readonly sent: { readonly from: SimNode; readonly to: SimNode; arrivals: number }[] = [];
  /** Frames that arrived behind one of the same flow that was sent after them. */
  readonly overtaken: number[] = [];
  /** The status that each node gave last. */
  readonly statuses = new Map<SimNode, ControlStatus>();
  readonly #highest = new Map<string, number>();
  readonly #lastHeard = new Map<string, Millis>();
  #flowing = true;

  /** `workersOf`: of the data plane of the node with a number; one each unless it is given. */
  constructor(
    seed: number,
    count: number,
    terms: NetworkTerms,
    workersOf: (number: number) => number = () => 1,
  ) {
    const network = new SimNetwork(this.clock, new SeededRandom(seed), terms);
    const onFrame = (node: SimNode, frame: Uint8Array): void => this.#onFrame(node, frame);
    const world = worldOf({
      clock: this.clock,
      network,
      seed,
      nodes: count,
      primitives: fakePrimitives,
      workersOf,
      onFrame,
    });
    this.nodes = Array.from({ length: count }, (_, i) => new SimNode(world, i + 1));
  }

  /** Starts all nodes, until every edge is published as direct and every node has been heard by all. */
  form(): void {
    for (const node of this.nodes) node.start(this.nodes.slice(0, node.number - 1));
    const edges = this.nodes.length * (this.nodes.length - 1);
    const isFormed = () =>
      this.nodes.every(
        ({ routes }) => routes?.direct.length === edges && routes.direct.every((flag) => flag === 1),
      );
    if (this.clock.runWhileNot(isFormed, FORMATION_LIMIT) === undefined)
      throw new Error('the mesh did not form');
    for (const node of this.nodes) node.sendFrame(numbered(frameOf(node.number, BROADCAST), 0xffff_ffff));
    this.clock.runFor(SECOND);
  }

  /** Frames from each of `some` to each of `others`, from now on. */
  startFlows(some: readonly SimNode[], others: readonly SimNode[], interval: Millis): void {
    for (const from of some) for (const to of others) this.#tick(from, to, interval);
  }

  /** What was sent from one of these nodes to another and did not arrive just once. */
  faults(among: readonly SimNode[]): string[] {
    return this.sent.flatMap(({ from, to, arrivals }, number) =>
      arrivals === 1 || !among.includes(from) || !among.includes(to)
        ? []
        : [`frame ${number} from ${from.number} to ${to.number}: ${arrivals} times`],
    );
  }

  stopFlows(): void {
    this.#flowing = false;
  }

  /** Has every node say its status every 100 ms from now on, which `judge` gets. */
  watch(judge: (node: SimNode, status: ControlStatus) => void): void {
    for (const node of this.nodes) {
      node.askStatus((status) => {
        this.statuses.set(node, status);
        judge(node, status);
      });
    }
    this.clock.after(100, () => this.watch(judge));
  }

  /** When a frame from one node last arrived at the other. */
  lastHeard(from: SimNode, to: SimNode): Millis {
    return this.#lastHeard.get(`${from.number} ${to.number}`) ?? Number.NEGATIVE_INFINITY;
  }

  #tick(from: SimNode, to: SimNode, interval: Millis): void {
    if (!this.#flowing || from === to) return;
    const number = this.sent.push({ from, to, arrivals: 0 }) - 1;
    from.sendFrame(numbered(frameOf(from.number, to.number), number));
    this.clock.after(interval, () => this.#tick(from, to, interval));
  }

  #onFrame(node: SimNode, frame: Uint8Array): void {
    if (frame[5] !== node.number) return;
    const number = new DataView(frame.buffer, frame.byteOffset).getUint32(NUMBER_OFFSET);
    this.sent[number]!.arrivals++;
    const flow = `${frame[11]} ${node.number}`;
    if (number < (this.#highest.get(flow) ?? 0)) this.overtaken.push(number);
    else this.#highest.set(flow, number);
    this.#lastHeard.set(`${frame[11]} ${node.number}`, this.clock.now);
  }
}

/** The names of the peers to which a status shows an established connection, ascending. */
export function establishedWith({ router }: ControlStatus): string[] {
  const names = router.connections.filter(({ state }) => state === 'established').map(({ peer }) => peer);
  return [...new Set(names)].sort();
}

function numbered(frame: Uint8Array, number: number): Uint8Array {
  new DataView(frame.buffer).setUint32(NUMBER_OFFSET, number);
  return frame;
}
