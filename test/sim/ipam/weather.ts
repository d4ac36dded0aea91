import { MINUTE, type Millis } from '../../../core/time.ts';
import { NO_NOISE, type Noise } from './faulty-ipam.ts';
import type { IpamNode } from './ipam-node.ts';

/** After trouble, connections are made again and digests compared within this long: dials back off up to 3 min. */
const CALM_AFTER: Millis = 4 * MINUTE;

/** Whether all nodes have been up, connected and able to write for a while, as they really are. */
export class Weather {
  readonly #nodes: readonly IpamNode[];
  readonly #isKilled: (node: IpamNode) => boolean;
  /** When a node was last started, stopped or hindered. */
  readonly #changedAt = new Map<IpamNode, Millis>();
  #netChangedAt: Millis = 0;
  #isCut = false;
  #isNoisy = false;

  constructor(nodes: readonly IpamNode[], isKilled: (node: IpamNode) => boolean) {
    this.#nodes = nodes;
    this.#isKilled = isKilled;
  }

  onChange(node: IpamNode, now: Millis): void {
    this.#changedAt.set(node, now);
  }

  onCut(now: Millis): void {
    this.#isCut = true;
    this.#netChangedAt = now;
  }

  onHealed(now: Millis): void {
    this.#isCut = false;
    this.#netChangedAt = now;
  }

  onNoise(noise: Noise, now: Millis): void {
    this.#isNoisy = noise.loss > NO_NOISE.loss || noise.delay > NO_NOISE.delay;
    this.#netChangedAt = now;
  }

  /** `but`: whatever is with that node. Who is gone for good, or has not joined yet, is not missed. */
  isCalm(now: Millis, but?: IpamNode): boolean {
    if (this.#isCut || this.#isNoisy || now < this.#netChangedAt + CALM_AFTER) return false;
    return this.#nodes.every((node) => node === but || this.#isWell(node, now));
  }

  #isWell(node: IpamNode, now: Millis): boolean {
    if (now < (this.#changedAt.get(node) ?? 0) + CALM_AFTER) return false;
    if (this.#isKilled(node) || node.store.size === 0) return true;
    return node.alive && !node.isDiskFull;
  }
}
