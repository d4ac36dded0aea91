import { compareNames, type PeerName } from '../core/peer-name.ts';
import { HOUR, SECOND, type Millis } from '../core/time.ts';
import {
  chooseNeighbours,
  hasBetterPath,
  hasOtherPath,
  isSparse,
  keptNeighbours,
  pairScore,
} from './backbone.ts';
import { encodeMessage } from './messages.ts';
import type { Neighbour } from './neighbour.ts';
import type { Neighbourhood } from './neighbourhood.ts';
import type { TopologyEntry } from './topology-entry.ts';
import type { Topology } from './topology.ts';

/** Peers that start together are to be known, and what others shed is to be told, before we look what to shed. */
const SHED_AFTER: Millis = 5 * SECOND;
/** Who shed us has to dial us itself for so long, as long as we take the mesh for full. */
const LEAVE_FOR: Millis = HOUR;
/** Whoever has not answered by then keeps the connection. */
const ANSWER_WITHIN: Millis = 30 * SECOND;
/** An answer costs a search of the graph: a neighbour gets no more than one in such a time. */
const ANSWER_EVERY: Millis = SECOND;
const SPARE = encodeMessage({ type: 'spare' });
const KEEP = encodeMessage({ type: 'keep' });

export interface BackboneConfig {
  readonly name: PeerName;
  readonly acceptsInbound: boolean;
  readonly discovery: boolean;
  readonly fullMeshLimit: number;
}

/** Whom a peer chooses, and whom others would, of the same peers. */
interface Choice {
  readonly of: readonly TopologyEntry[];
  readonly chosen: ReadonlySet<PeerName>;
  readonly byOthers: Map<PeerName, ReadonlySet<PeerName>>;
}

/** A neighbour was told that we can spare it. */
type Offer =
  | { readonly state: 'open'; readonly until: Millis }
  /** It is not asked again while its entry is this one. */
  | { readonly state: 'declined'; readonly by: TopologyEntry | undefined };

/**
 * Keeps our part of the backbone as the topology asks for: tells the connection maker whom to find, sheds edges. An edge
 * goes by agreement: one end says that it can spare it, and counts it as gone until the other has ended it or said that
 * it keeps it. So neither end is left with too few, and the mesh is not parted, however many edges are shed at once and
 * whatever each end knows.
 */
export class Backbone {
  readonly #config: BackboneConfig;
  readonly #neighbourhood: Neighbourhood;
  readonly #topology: Topology;
  readonly #neighboursOf: (name: PeerName) => Iterable<PeerName>;
  #sparse = false;
  /** Peers that shed us, and until when they are left alone. */
  readonly #shedBy = new Map<PeerName, Millis>();
  readonly #offers = new WeakMap<Neighbour, Offer>();
  /** When a neighbour was last answered that it can spare us. */
  readonly #answeredAt = new WeakMap<Neighbour, Millis>();
  /** Of the topology that was looked at last. */
  #revision = -1;
  #shedAt: Millis | undefined;
  #choice: Choice | undefined;
  #peers: { readonly revision: number; readonly others: readonly TopologyEntry[] } | undefined;

  /** `neighboursOf`: by the edges that both ends list as established. */
  constructor(
    config: BackboneConfig,
    neighbourhood: Neighbourhood,
    topology: Topology,
    neighboursOf: (name: PeerName) => Iterable<PeerName>,
  ) {
    this.#config = config;
    this.#neighbourhood = neighbourhood;
    this.#topology = topology;
    this.#neighboursOf = neighboursOf;
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
   * The edge to a peer was shed. If it did not go by our wish, that peer takes the mesh for sparse. It knows how large the
   * mesh once was, which we may not if we came later; and where its limit is another, we do not dial it again and again.
   */
  onShed(neighbour: Neighbour, now: Millis): void {
    if (this.#isOffered(neighbour, now)) return;
    this.#sparse = isSparse(true, this.#topology.size, this.#config.fullMeshLimit);
    if (!this.#sparse) this.#shedBy.set(neighbour.name, now + LEAVE_FOR);
    this.#revision = -1;
  }

  /** The edge to a peer went for one to a peer that had none: it stays in reach by way of others, and there is no room for it. */
  onRoomMade(neighbour: Neighbour, now: Millis): void {
    this.#shedBy.set(neighbour.name, now + LEAVE_FOR);
    this.#revision = -1;
  }

  /**
   * The neighbour does not need its connection to us. Without discovery ours are all that we will have. Where the answer
   * would have to wait, there is none, which comes to the same.
   */
  onSpare(neighbour: Neighbour, now: Millis): void {
    if (now < (this.#answeredAt.get(neighbour) ?? -Infinity) + ANSWER_EVERY) return;
    this.#answeredAt.set(neighbour, now);
    const isNeeded =
      !this.#config.discovery || this.#kept(now).has(neighbour.name) || this.#isOnlyWay(neighbour);
    if (!isNeeded) this.#neighbourhood.shed(neighbour, now);
    else if (neighbour.isWritable) neighbour.send(KEEP, now);
  }

  /** The neighbour needs the connection that we could spare. */
  onKeep(neighbour: Neighbour): void {
    this.#offers.set(neighbour, { state: 'declined', by: this.#topology.entry(neighbour.name) });
  }

  /** The topology may have changed. */
  refresh(now: Millis): void {
    if (this.#topology.revision === this.#revision) return;
    this.#revision = this.#topology.revision;
    this.#neighbourhood.maker.verify((name) => this.#topology.entry(name)?.addresses, now);
    if (!this.#config.discovery) return;
    const peers = this.#others();
    for (const [name, until] of this.#shedBy) if (now >= until) this.#shedBy.delete(name);
    if (this.#sparse) this.#shedAt ??= now + SHED_AFTER;
    else this.#shedAt = undefined;
    const chosen = this.#sparse ? this.#choose().chosen : undefined;
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

  /** Offers to part from all whom neither end needs. */
  onTimeout(now: Millis): void {
    if (this.#shedAt === undefined || now < this.#shedAt) return;
    this.#shedAt = undefined;
    const kept = this.#kept(now);
    const rest = this.#counted(now).filter((neighbour) => !kept.has(neighbour.name));
    for (const neighbour of rest.sort((a, b) => compareNames(a.name, b.name))) {
      if (this.#needsUs(neighbour) || this.#isOnlyWay(neighbour)) continue;
      this.#offers.set(neighbour, { state: 'open', until: now + ANSWER_WITHIN });
      neighbour.send(SPARE, now);
    }
  }

  /** The neighbour of the worst edge of those whose other ends stay in reach without it; undefined if there is none. */
  findSpare(): Neighbour | undefined {
    const score = ({ name }: Neighbour): number => pairScore(this.#config.name, name);
    return [...this.#neighbourhood.neighbours.values()]
      .filter(({ isEstablished }) => isEstablished)
      .sort((a, b) => score(b) - score(a))
      .find(({ name }) => hasOtherPath(this.#config.name, name, this.#neighboursOf));
  }

  /** Most of what changes in the topology has no part in the choice, which is dear. */
  #choose(): Choice {
    const of = this.#others();
    if (this.#choice === undefined || !areAlike(of, this.#choice.of))
      this.#choice = { of, chosen: chooseNeighbours(this.#config, of), byOthers: new Map() };
    return this.#choice;
  }

  #others(): readonly TopologyEntry[] {
    const { revision } = this.#topology;
    if (this.#peers?.revision !== revision) {
      const all = Array.from(this.#topology.entries(), ({ entry }) => entry);
      this.#peers = { revision, others: all.filter(({ name }) => name !== this.#config.name) };
    }
    return this.#peers.others;
  }

  #isOffered(neighbour: Neighbour, now: Millis): boolean {
    const offer = this.#offers.get(neighbour);
    return offer?.state === 'open' && now < offer.until;
  }

  /** Those whose connections are there to stay, as far as it is for us. */
  #counted(now: Millis): Neighbour[] {
    const neighbours = [...this.#neighbourhood.neighbours.values()];
    return neighbours.filter((neighbour) => neighbour.isEstablished && !this.#isOffered(neighbour, now));
  }

  #kept(now: Millis): ReadonlySet<PeerName> {
    const names = this.#counted(now).map(({ name }) => name);
    return keptNeighbours(this.#config.name, this.#choose().chosen, names);
  }

  #isOnlyWay({ name }: Neighbour): boolean {
    return !hasBetterPath(this.#config.name, name, this.#neighboursOf);
  }

  /** It has said so, or would as far as we know: it decides, but is not asked again and again. */
  #needsUs(neighbour: Neighbour): boolean {
    const { name } = neighbour;
    const entry = this.#topology.entry(name);
    const offer = this.#offers.get(neighbour);
    if (entry === undefined || (offer?.state === 'declined' && offer.by === entry)) return true;
    const names = entry.neighbours.flatMap((edge) => (edge.established ? edge.name : []));
    // It has us, whether or not it has told of that yet.
    const all = [...new Set([...names, this.#config.name])];
    return keptNeighbours(name, this.#chosenBy(entry), all).has(this.#config.name);
  }

  #chosenBy(entry: TopologyEntry): ReadonlySet<PeerName> {
    const { of, byOthers } = this.#choose();
    const known = byOthers.get(entry.name);
    if (known !== undefined) return known;
    const chosen = chooseNeighbours(entry, [this.#config, ...of]);
    byOthers.set(entry.name, chosen);
    return chosen;
  }
}

function areAlike(a: readonly TopologyEntry[], b: readonly TopologyEntry[]): boolean {
  return (
    a === b ||
    (a.length === b.length &&
      a.every(({ name, acceptsInbound }, i) => {
        const other = b[i]!;
        return name === other.name && acceptsInbound === other.acceptsInbound;
      }))
  );
}
