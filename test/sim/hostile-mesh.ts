import { SeededRandom } from '../../core/random.ts';
import { SECOND, type Millis } from '../../core/time.ts';
import type { ControlStatus } from '../../router/control-status.ts';
import { BROADCAST, frameOf } from './frames.ts';
import { HostileRelay, type Attack } from './hostile-relay.ts';
import { SimNetwork } from './network.ts';
import { SimNode } from './sim-node.ts';
import { VirtualClock } from './virtual-clock.ts';
import { worldOf } from './world.ts';
import { playedSodium as sodium } from '../router/crypto/played-primitives.ts';

/** The stand-ins of other simulations hide nothing: here the cryptography is real. */

const MARKER = Buffer.from('no relay shall see this');
const FRAME_BYTES = 200;
const AT_MARKER = 14;
const AT_NUMBER = AT_MARKER + MARKER.length;

/**
 * Hosts 1 and 2, which reach each other only through host 3, a member that may be hostile, and where there are more,
 * through further, honest ones.
 */
export class HostileMesh {
  readonly clock = new VirtualClock();
  readonly network: SimNetwork;
  readonly nodes: readonly SimNode[];
  readonly relay: HostileRelay;
  /** Broken promises, as sentences. */
  readonly faults: string[] = [];
  /** Numbers of the marked frames that arrived, in that order. */
  readonly arrived: number[] = [];
  readonly #cuts: readonly (readonly [number, number])[];
  readonly #random: SeededRandom;
  readonly #sent = new Map<number, Uint8Array>();

  /** `cuts`: pairs of hosts that do not reach each other. */
  constructor(seed: number, count = 3, cuts: readonly (readonly [number, number])[] = [[1, 2]]) {
    this.#cuts = cuts;
    this.#random = new SeededRandom(seed);
    const terms = { loss: 0, duplication: 0, leastDelay: 1, mostDelay: 5 };
    this.network = new SimNetwork(this.clock, this.#random, terms);
    const { clock, network } = this;
    const onFrame = (node: SimNode, frame: Uint8Array): void => this.#onFrame(node, frame);
    const world = worldOf({ clock, network, seed, nodes: count, primitives: sodium, onFrame });
    const name = new SimNode(world, 3).name;
    this.relay = new HostileRelay(name, this.#random);
    this.relay.onRead = (bytes) => this.#onRelayReads(bytes);
    const hostile = this.relay.wrap(world);
    this.nodes = Array.from({ length: count }, (_, i) => new SimNode(i === 2 ? hostile : world, i + 1));
    this.#applyCuts();
  }

  node(number: number): SimNode {
    return this.nodes[number - 1]!;
  }

  /** Starts all nodes under this attack, and lets hosts 1 and 2 learn of each other's MACs. */
  form(attack?: Attack): void {
    this.relay.attack = attack;
    const relays = this.nodes.slice(2);
    for (const relay of relays) relay.start(relays.slice(0, relays.indexOf(relay)));
    for (const end of this.nodes.slice(0, 2)) end.start(relays);
    const formed = this.clock.runWhileNot(
      () => this.nodes.every((node) => this.#isSettled(node)),
      60 * SECOND,
    );
    if (formed === undefined) throw new Error('the mesh did not form');
    for (let i = 0; i < 2; i++) {
      for (const number of [1, 2]) this.node(number).sendFrame(frameOf(number, BROADCAST, FRAME_BYTES));
      this.clock.runFor(SECOND);
    }
  }

  /** Host `number` misses its relay for so long that it says so in its entry. */
  disturb(number: number): void {
    this.network.cut(this.node(3).endpoint.ip, this.node(number).endpoint.ip);
    // An idle path is missed after 14 s at the latest.
    this.clock.runFor(15 * SECOND);
    this.network.heal();
    this.#applyCuts();
    this.clock.runFor(30 * SECOND);
  }

  /** A numbered frame with the marker every 100 ms from host 1 to host 2. */
  talk(duration: Millis): void {
    const end = this.clock.now + duration;
    while (this.clock.now < end) {
      const number = this.#sent.size + 1;
      const frame = frameOf(1, 2, FRAME_BYTES);
      frame.set(MARKER, AT_MARKER);
      new DataView(frame.buffer).setUint32(AT_NUMBER, number);
      frame.set(this.#random.bytes(FRAME_BYTES - AT_NUMBER - 4), AT_NUMBER + 4);
      this.#sent.set(number, frame.slice());
      this.node(1).sendFrame(frame);
      this.clock.runFor(100);
    }
  }

  /** Talks until frames arrive, in steps of a second; returns the ms that took, or undefined after `limit`. */
  timeToHear(limit: Millis): Millis | undefined {
    const began = this.clock.now;
    const before = this.arrived.length;
    while (this.clock.now - began < limit) {
      this.talk(SECOND);
      if (this.arrived.length > before + 3) return this.clock.now - began;
    }
    return undefined;
  }

  status(number: number): ControlStatus {
    let answer: ControlStatus | undefined;
    this.node(number).askStatus((status) => (answer = status));
    this.clock.runFor(2_100);
    if (answer === undefined) throw new Error('no status');
    return answer;
  }

  link(from: number, to: number): ControlStatus['router']['links'][number] | undefined {
    return this.status(from).router.links.find(({ peer }) => peer === this.node(to).name);
  }

  /** Counts of what went wrong at both ends together. */
  drops(): Record<string, number> {
    const sums: Record<string, number> = {};
    for (const number of [1, 2]) {
      for (const [reason, count] of Object.entries(this.status(number).router.drops))
        sums[reason] = (sums[reason] ?? 0) + count;
    }
    return sums;
  }

  #applyCuts(): void {
    for (const [a, b] of this.#cuts) {
      this.network.cut(this.node(a).endpoint.ip, this.node(b).endpoint.ip);
      this.network.cut(this.node(b).endpoint.ip, this.node(a).endpoint.ip);
    }
  }

  /** Every edge that is not cut is there, and published as direct. */
  #isSettled({ routes }: SimNode): boolean {
    const count = this.nodes.length;
    const edges = count * (count - 1) - 2 * this.#cuts.length;
    return routes?.direct.length === edges && routes.direct.every((flag) => flag === 1);
  }

  #onRelayReads(bytes: Uint8Array): void {
    if (Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).includes(MARKER))
      this.faults.push(`at ${this.clock.now} the relay read a frame`);
  }

  #onFrame(node: SimNode, frame: Uint8Array): void {
    if (!Buffer.from(frame).includes(MARKER)) return;
    const number = new DataView(frame.buffer, frame.byteOffset).getUint32(AT_NUMBER);
    const sent = this.#sent.get(number);
    if (node !== this.node(2)) this.faults.push(`host ${node.number} got frame ${number}`);
    else if (sent === undefined || Buffer.compare(sent, frame) !== 0)
      this.faults.push(`frame ${number} was changed`);
    else if (this.arrived.includes(number)) this.faults.push(`frame ${number} came twice`);
    else this.arrived.push(number);
  }
}
