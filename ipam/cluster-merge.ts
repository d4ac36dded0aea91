import { randomFraction } from '../core/random.ts';
import type { Millis } from '../core/time.ts';
import { SECOND } from '../core/time.ts';
import type { Departure } from './departure.ts';
import { heirs } from './departure.ts';
import type { IpamPeer } from './effects.ts';
import type { RingEntry } from './entries.ts';
import type { IpamPorts } from './ports.ts';
import { isComplete } from './ring.ts';
import type { SharedState } from './shared-state.ts';

/** Between two tries to change sides, and up to as long again: those that chose each other do not do so again. */
const RETRY: Millis = 5 * SECOND;

/**
 * When two clusters meet, the one with the lower id stays. A peer of the other changes sides if it has handed out
 * nothing, after its space went to a member that stays behind; whoever has handed out addresses keeps both apart.
 */
export class ClusterMerge {
  readonly #ports: IpamPorts;
  readonly #shared: SharedState;
  #notBefore: Millis | undefined;
  #others:
    | { readonly peers: readonly IpamPeer[]; readonly clusterId: string | undefined; ids: string[] }
    | undefined;

  constructor(ports: IpamPorts, shared: SharedState) {
    this.#ports = ports;
    this.#shared = shared;
  }

  /** Other clusters that peers in reach belong to, ascending. */
  others(): readonly string[] {
    const [peers, own] = [this.#ports.peers(), this.#ports.holdings.clusterId];
    if (this.#others?.peers === peers && this.#others.clusterId === own) return this.#others.ids;
    const found = new Set<string>();
    for (const { reachable, clusterId } of peers) if (reachable && clusterId) found.add(clusterId);
    if (own !== undefined) found.delete(own);
    this.#others = { peers, clusterId: own, ids: [...found].sort() };
    return this.#others.ids;
  }

  /** The cluster to change to, if this peer may begin now: its whole ring is known. */
  wanted(now: Millis): RingEntry | undefined {
    const target = this.target();
    if (target === undefined) {
      this.#notBefore = undefined;
      return undefined;
    }
    this.#notBefore ??= now + RETRY * randomFraction(this.#ports.random);
    return now < this.#notBefore ? undefined : target;
  }

  /** With everything its own and nobody to hand it to, a peer is the whole cluster, which ends with it. */
  isAlone(): boolean {
    const { holdings } = this.#ports;
    const all = holdings.ring.every((value) => holdings.isMine(value));
    return all && heirs(this.#ports).length === 0;
  }

  /** A try failed. */
  putOff(now: Millis): void {
    this.#notBefore = now + RETRY * (1 + randomFraction(this.#ports.random));
  }

  nextTimeout(departure: Departure | undefined): Millis | undefined {
    return departure === undefined && this.target() !== undefined ? this.#notBefore : undefined;
  }

  /** The cluster to change to, and its whole ring: of several the one with the lowest id. */
  target(): RingEntry | undefined {
    const { holdings } = this.#ports;
    const { clusterId, range, allocations } = holdings;
    if (clusterId === undefined || allocations.active > 0) return undefined;
    const [lowest] = this.others();
    if (lowest === undefined || lowest >= clusterId) return undefined;
    const ring = this.#shared.ring(lowest, range.text);
    return isComplete(ring, range.size) ? { type: 'ring', clusterId: lowest, range, ring } : undefined;
  }
}
