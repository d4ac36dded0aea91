import type { PeerName } from '../core/peer-name.ts';
import type { Millis } from '../core/time.ts';
import { earlier } from '../core/time.ts';
import { ClusterMerge } from './cluster-merge.ts';
import { Departure, ownQuarantine } from './departure.ts';
import type { Deferred } from './effects.ts';
import type { Outcome, RingEntry } from './entries.ts';
import { FirstRing } from './first-ring.ts';
import type { InitMode } from './init-mode.ts';
import type { IpamPorts } from './ports.ts';
import type { Ring } from './ring.ts';
import { initialRing } from './ring.ts';
import { seedRing } from './seed.ts';
import type { SharedState } from './shared-state.ts';
import type { StoredState } from './stored-state.ts';

interface ClusterDependencies {
  readonly ports: IpamPorts;
  readonly shared: SharedState;
  readonly init: InitMode;
  /** Draws a generation, which is durable with whatever is written next. */
  readonly renew: () => string;
  /** The ring of the cluster was left behind, and all that was under way in it. */
  readonly left: () => void;
}

/** Which cluster this peer belongs to: how it comes to its first ring, and how it changes sides. */
export class Cluster {
  readonly #deps: ClusterDependencies;
  readonly #merge: ClusterMerge;
  #first: FirstRing | undefined;
  #departure: Departure | undefined;
  #reported: string | undefined;

  /** Goes on with the ring of the store, or makes one, or prepares to agree on one. */
  constructor(deps: ClusterDependencies, stored: StoredState) {
    this.#deps = deps;
    this.#merge = new ClusterMerge(deps.ports, deps.shared);
    this.#begin(stored);
  }

  /** Is it handing its space to a member that stays? */
  get departure(): Departure | undefined {
    return this.#departure;
  }

  /** Is a first ring being agreed upon? */
  get electing(): boolean {
    return this.#first !== undefined;
  }

  /** What this peer waits for, in words. */
  get detail(): string | undefined {
    if (this.#first !== undefined) return this.#first.detail;
    const others = this.#merge.others();
    if (others.length === 0) return undefined;
    return `two clusters share this network: ${others.join(', ')} and ${this.#deps.ports.holdings.clusterId ?? ''}`;
  }

  /** Without a ring, joins the cluster whose ring is known; of several the one with the lowest id. */
  adopt(): void {
    const { holdings } = this.#deps.ports;
    if (holdings.clusterId !== undefined) return;
    const found = this.#deps.shared.rings().find(({ range }) => range.text === holdings.range.text);
    if (found === undefined) return;
    this.#endElection();
    this.#enter(found.clusterId, found.ring);
  }

  /** `generations` = of the peers in reach. */
  elect(wanted: boolean, generations: ReadonlyMap<PeerName, string>, now: Millis): boolean {
    const outcome = this.#first?.step(wanted, generations, now);
    if (outcome !== undefined) this.#onOutcome(outcome);
    return outcome !== undefined;
  }

  /** Changes sides if that is due. */
  step(now: Millis): void {
    this.#reportOthers();
    const wanted = this.#departure === undefined ? this.#merge.wanted(now) : undefined;
    if (wanted !== undefined && this.#merge.isAlone()) return this.#change();
    // Its heir would give out what is in quarantine.
    if (wanted !== undefined && ownQuarantine(this.#deps.ports).length > 0) this.#merge.putOff(now);
    else if (wanted !== undefined) {
      this.#departure = new Departure(this.#deps.ports);
      this.#deps.ports.log('info', 'another cluster has the lower id: handing all addresses on to join it', {
        cluster: wanted.clusterId,
      });
    }
    const end = this.#departure?.step(now);
    if (end === undefined) return;
    this.#departure = undefined;
    if (end.type === 'left') return this.#change();
    this.#deps.ports.log('info', 'staying in this cluster for now', { reason: end.reason });
    this.#merge.putOff(now);
  }

  /**
   * Gives up the ring: back to the state before there was one. Returns false, and keeps it, if there was no such state.
   * The vote goes with it: one that stayed would choose the same cluster again, and without a say a peer of two, whose
   * other voter is gone for good, would never have a ring.
   */
  forget(): boolean {
    const { ports, shared, renew, left, init } = this.#deps;
    // The same cluster would begin again, in which this peer knew nothing of what it has given away.
    if (init.type === 'seed') return false;
    const { clusterId, range } = ports.holdings;
    if (clusterId !== undefined) shared.forgetRing(clusterId, range.text);
    // Parts of it that are yet to be told would come back as a ring that lacks the rest, and votes as those of another voter.
    ports.queue.drop(isTold);
    this.#departure = undefined;
    left();
    ports.holdings.leave(renew());
    this.#prepareElection(undefined);
    return true;
  }

  /** The generation has changed: votes of the one before do not count. */
  onRenewed(): void {
    if (this.#first !== undefined) this.#prepareElection(undefined);
  }

  nextTimeout(): Millis | undefined {
    const election = earlier(this.#first?.nextTimeout(), this.#departure?.nextTimeout());
    return earlier(election, this.#merge.nextTimeout(this.#departure));
  }

  #begin({ ring, voter }: StoredState): void {
    const { init } = this.#deps;
    if (ring !== undefined) this.#enter(ring.clusterId, ring.ring);
    else if (init.type === 'seed') this.#enterSeed(init.names);
    else this.#prepareElection(voter);
  }

  #prepareElection(voter: StoredState['voter']): void {
    const { ports, shared, init } = this.#deps;
    this.#first = new FirstRing(ports, shared, init, ports.holdings.self, voter);
  }

  #endElection(): void {
    this.#first?.end();
    this.#first = undefined;
  }

  #enterSeed(names: readonly PeerName[]): void {
    const seeded = seedRing(this.#deps.ports.holdings.range, names);
    this.#enter(seeded.clusterId, seeded.ring);
  }

  /** `ring` may be shown at once: it is durable here or wherever it came from, or all peers compute the same. */
  #enter(clusterId: string, ring: Ring): void {
    const entry = this.#join(clusterId, ring);
    this.#deps.shared.merge([entry]);
  }

  #join(clusterId: string, ring: Ring): RingEntry {
    const { ports, shared } = this.#deps;
    const { holdings } = ports;
    holdings.enter(clusterId);
    shared.setHome(clusterId, holdings.range.text);
    holdings.merge(ring);
    return { type: 'ring', clusterId, range: holdings.range, ring };
  }

  #onOutcome({ clusterId, owners }: Outcome): void {
    const { queue, holdings } = this.#deps.ports;
    this.#endElection();
    const entry = this.#join(clusterId, initialRing(holdings.range.size, owners));
    queue.defer({ type: 'show', entry });
  }

  /** In one transaction: the other cluster, its ring, and a new generation. */
  #change(): void {
    const { ports, renew, left } = this.#deps;
    const before = ports.holdings.clusterId!;
    // It may be another one than that for which everything was handed on.
    const target = this.#merge.target();
    if (target === undefined) return;
    const { clusterId, ring } = target;
    left();
    ports.holdings.leave(renew());
    this.#enter(clusterId, ring);
    ports.log('warn', 'this peer has joined the cluster with the lower id', { before, cluster: clusterId });
  }

  #reportOthers(): void {
    const [other] = this.#deps.ports.holdings.clusterId === undefined ? [] : this.#merge.others();
    if (other !== undefined && other !== this.#reported) {
      const ours = this.#deps.ports.holdings.clusterId!;
      const message =
        'two clusters share this network: one of them gives way once it has handed out no addresses';
      this.#deps.ports.log('error', message, { ours, theirs: other });
    }
    this.#reported = other;
  }
}

/** Others would learn of it. */
function isTold(output: Deferred): boolean {
  return output.type === 'show' || output.effect.type === 'unicast';
}
