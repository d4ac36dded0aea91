import type { PeerName } from '../../../core/peer-name.ts';
import { randomFraction, type RandomSource } from '../../../core/random.ts';
import type { Millis } from '../../../core/time.ts';
import type { IpamTopologyView } from '../../../ipam/effects.ts';
import type { Entry } from '../../../ipam/entries.ts';
import type { IpamConfig, IpamDependencies } from '../../../ipam/ipam-config.ts';
import { Ipam } from '../../../ipam/ipam.ts';

/** What befalls messages between allocators; probabilities of one message. */
export interface Noise {
  readonly loss: number;
  readonly duplication: number;
  /** Unicasts take up to this much longer, each its own time, and so overtake each other and gossip. */
  readonly delay: Millis;
}

export const NO_NOISE: Noise = { loss: 0, duplication: 0, delay: 0 };

export interface FaultyWorld {
  readonly noise: Noise;
  readonly random: RandomSource;
  /** Runs `act` in `delay` ms and then lets the node go on, unless it has ended by then. */
  readonly later: (delay: Millis, act: (now: Millis) => void) => void;
  /** What is seen while nothing is given out yet after the start. */
  readonly onAwaited: (view: IpamTopologyView) => void;
  /** A fault happened. */
  readonly count: (what: string) => void;
}

/**
 * The real allocator behind a bad network: what other allocators send it is lost, comes twice, late or out of order.
 * Streams between nodes do none of that by themselves, unless a connection breaks.
 */
export class FaultyIpam extends Ipam {
  readonly #world: FaultyWorld;

  constructor(config: IpamConfig, deps: IpamDependencies, now: Millis, world: FaultyWorld) {
    super(config, deps, now);
    this.#world = world;
  }

  override onTopology(view: IpamTopologyView, now: Millis): void {
    if (this.awaitsNeighbours) this.#world.onAwaited(view);
    super.onTopology(view, now);
  }

  override onUnicast(from: PeerName, bytes: Uint8Array, now: Millis): void {
    const { noise, random, later, count } = this.#world;
    if (this.#happens(noise.loss, 'lost unicast')) return;
    const copies = this.#happens(noise.duplication, 'doubled unicast') ? 2 : 1;
    for (let i = 0; i < copies; i++) {
      const delay = noise.delay === 0 ? 0 : randomFraction(random) * noise.delay;
      if (delay === 0) super.onUnicast(from, bytes, now);
      else {
        count('delayed unicast');
        const copy = Uint8Array.from(bytes);
        later(delay, (then) => super.onUnicast(from, copy, then));
      }
    }
  }

  override merge(delta: Uint8Array, now: Millis): readonly Entry[] | undefined {
    const { noise } = this.#world;
    // The exchange of digests brings it later.
    if (this.#happens(noise.loss, 'lost gossip')) return undefined;
    const copy = this.#happens(noise.duplication, 'doubled gossip') ? Uint8Array.from(delta) : undefined;
    const news = super.merge(delta, now);
    if (copy !== undefined && super.merge(copy, now) !== undefined) {
      throw new Error('a delta that was merged a moment ago brought news again');
    }
    return news;
  }

  #happens(probability: number, what: string): boolean {
    if (probability === 0 || randomFraction(this.#world.random) >= probability) return false;
    this.#world.count(what);
    return true;
  }
}
