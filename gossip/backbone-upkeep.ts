import { compareNames, type PeerName } from '../core/peer-name.ts';
import { HOUR, SECOND, type Millis } from '../core/time.ts';
import { chooseNeighbours, isSparse, MIN_DEGREE, pairScore } from './backbone.ts';
import type { Neighbour } from './neighbour.ts';
import type { Neighbourhood } from './neighbourhood.ts';
import type { TopologyEntry } from './topology-entry.ts';
import type { Topology } from './topology.ts';

const SHED_EVERY: Millis = 5 * SECOND;
/** Who shed us has to dial us itself for so long, as long as we take the mesh for full. */
const LEAVE_FOR: Millis = HOUR;

export interface BackboneConfig {
  readonly name: PeerName;
  readonly acceptsInbound: boolean;
  readonly discovery: boolean;
  readonly fullMeshLimit: number;
}

/** Keeps our part of the backbone as the topology asks for: tells the connection maker whom to find, sheds edges. */
export class Backbone {
  readonly #config: BackboneConfig;
  readonly #neighbourhood: Neighbourhood;
  readonly #topology: Topology;
  #sparse = false;
  /** Peers that shed us, and until when they are left alone. */
  readonly #shedBy = new Map<PeerName, Millis>();
  /** Of the topology that was looked at last. */
  #revision = -1;
  #shedAt: Millis | undefined;
  /** The peers that we chose from last, and whom. */
  #choice: { readonly of: readonly TopologyEntry[]; readonly chosen: ReadonlySet<PeerName> } | undefined;

  constructor(config: BackboneConfig, neighbourhood: Neighbourhood, topology: Topology) {
    this.#config = config;
    this.#neighbourhood = neighbourhood;
    this.#topology = topology;
  }

  /** Of the mesh, without discovery, too. */
  get isSparse(): boolean {
    return this.#sparse;
  }

  /** Peers may have come or gone: counts them. */
  judge(): void {
    const before = this.#sparse;
    this.#sparse = isSparse(before, this.#topology.size, this.#config.fullMeshLimit);
    if (before && !this.#sparse) this.#shedBy.clear();
  }

  /**
   * A peer shed us, so it takes the mesh for sparse. It knows how large the mesh once was, which we may not if we came
   * later; and where its limit is another, we do not dial it again and again.
   */
  onShed(by: PeerName, now: Millis): void {
    this.#sparse = isSparse(true, this.#topology.size, this.#config.fullMeshLimit);
    if (!this.#sparse) this.#shedBy.set(by, now + LEAVE_FOR);
    this.#revision = -1;
  }

  /** The topology may have changed. */
  refresh(now: Millis): void {
    if (!this.#config.discovery || this.#topology.revision === this.#revision) return;
    this.#revision = this.#topology.revision;
    const peers = this.#peers();
    for (const [name, until] of this.#shedBy) if (now >= until) this.#shedBy.delete(name);
    if (this.#sparse) this.#shedAt ??= now + SHED_EVERY;
    else this.#shedAt = undefined;
    const chosen = this.#sparse ? this.#choose(peers) : undefined;
    const isWanted = (name: PeerName) => chosen?.has(name) ?? !this.#shedBy.has(name);
    const isReachable = (name: PeerName) => this.#topology.isReachable(name);
    const wanted = peers
      .filter(({ name, acceptsInbound }) => acceptsInbound && isWanted(name))
      .map(({ name, addresses }) => ({
        name,
        addresses,
        mayDialUs: this.#config.acceptsInbound,
        reachable: isReachable(name),
      }));
    this.#neighbourhood.maker.discover(wanted, isReachable, now);
    const isServed = (name: PeerName) => isReachable(name) && (this.#sparse || this.#shedBy.has(name));
    this.#neighbourhood.maker.serve(peers.filter(({ name }) => isServed(name)));
  }

  nextTimeout(): Millis | undefined {
    return this.#shedAt;
  }

  /** Sheds at most one edge that neither end wants. */
  onTimeout(now: Millis): void {
    if (this.#shedAt === undefined || now < this.#shedAt) return;
    this.#shedAt = now + SHED_EVERY;
    const victim = this.#superfluous();
    if (victim !== undefined) this.#neighbourhood.shed(victim, now);
  }

  /** Most of what changes in the topology has no part in the choice, which is dear. */
  #choose(peers: readonly TopologyEntry[]): ReadonlySet<PeerName> {
    if (this.#choice === undefined || !areAlike(peers, this.#choice.of))
      this.#choice = { of: peers, chosen: chooseNeighbours(this.#config, peers) };
    return this.#choice.chosen;
  }

  #peers(): TopologyEntry[] {
    return Array.from(this.#topology.entries(), ({ entry }) => entry).filter(
      ({ name }) => name !== this.#config.name,
    );
  }

  /** Of the edges that neither end wants the one with the worst score, while there are more than enough. */
  #superfluous(): Neighbour | undefined {
    const { neighbours } = this.#neighbourhood;
    if (neighbours.size <= MIN_DEGREE) return undefined;
    const all = Array.from(this.#topology.entries(), ({ entry }) => entry);
    const chosen = this.#choose(this.#peers());
    return [...neighbours.values()]
      .filter(({ name }) => !chosen.has(name))
      .sort((a, b) => this.#score(b) - this.#score(a) || compareNames(a.name, b.name))
      .find((neighbour) => this.#maySever(neighbour, all));
  }

  #maySever({ name }: Neighbour, all: readonly TopologyEntry[]): boolean {
    const entry = this.#topology.entry(name);
    if (entry === undefined || entry.neighbours.length <= MIN_DEGREE) return false;
    return !chooseNeighbours(entry, all).has(this.#config.name);
  }

  #score({ name }: Neighbour): number {
    return pairScore(this.#config.name, name);
  }
}

function areAlike(a: readonly TopologyEntry[], b: readonly TopologyEntry[]): boolean {
  return (
    a.length === b.length &&
    a.every(({ name, acceptsInbound }, i) => {
      const other = b[i]!;
      return name === other.name && acceptsInbound === other.acceptsInbound;
    })
  );
}
