import { compareNames, type PeerName } from '../core/peer-name.ts';

/** Below this share of the full-mesh limit a sparse mesh becomes full again. */
const FULL_AGAIN = 0.6;
/** Neighbours chosen by rendezvous hashing; with those that choose us, half as many again. */
const RENDEZVOUS = 7;
const SUCCESSORS = 2;
/** Shedding leaves a peer so many neighbours. */
const MIN_DEGREE = 8;

export interface BackbonePeer {
  readonly name: PeerName;
  readonly acceptsInbound: boolean;
}

/** Whether the backbone is sparse, given whether it was and how many peers there are (this one included). */
export function isSparse(wasSparse: boolean, peers: number, fullMeshLimit: number): boolean {
  return wasSparse ? peers >= fullMeshLimit * FULL_AGAIN : peers > fullMeshLimit;
}

/**
 * The peers that `self` wants connections to in a sparse mesh: the best by rendezvous hashing, which makes a random
 * graph that hardly changes when a peer comes or goes, and the next ones on a hashed ring, which keep it connected.
 * Every node computes the same for a given `self` and `peers`. Cost O(peers).
 */
export function chooseNeighbours(self: BackbonePeer, peers: readonly BackbonePeer[]): Set<PeerName> {
  const eligible = peers
    .filter((peer) => peer.name !== self.name && (peer.acceptsInbound || self.acceptsInbound))
    .map(({ name }) => name);
  const chosen = smallest(eligible, RENDEZVOUS, (name) => pairScore(self.name, name));
  const origin = hashName(self.name, 0);
  const successors = smallest(eligible, SUCCESSORS, (name) => (hashName(name, 0) - origin) >>> 0);
  return new Set([...chosen, ...successors]);
}

/**
 * Those of its neighbours that `self` does not spare: whom it chose, and of the others the best by score until there are
 * MIN_DEGREE. They stay the same when any of the others go, so however many do at once, as many are left.
 */
export function keptNeighbours(
  self: PeerName,
  chosen: ReadonlySet<PeerName>,
  neighbours: readonly PeerName[],
): Set<PeerName> {
  const kept = neighbours.filter((name) => chosen.has(name));
  const others = neighbours.filter((name) => !chosen.has(name));
  const lacking = Math.max(0, MIN_DEGREE - kept.length);
  return new Set([...kept, ...smallest(others, lacking, (name) => pairScore(self, name))]);
}

/**
 * Whether better edges than that between them join the two. An edge may go only then: whichever go at the same time and
 * whatever each end knows, the best of those that would part the mesh stays.
 */
export function hasBetterPath(from: PeerName, to: PeerName, neighboursOf: NeighboursOf): boolean {
  const limit = pairScore(from, to);
  return areJoined(from, to, neighboursOf, (at, next) => pairScore(at, next) < limit);
}

/** Whether the two are joined by other edges than that between them. */
export function hasOtherPath(from: PeerName, to: PeerName, neighboursOf: NeighboursOf): boolean {
  return areJoined(from, to, neighboursOf, (at, next) => at !== from || next !== to);
}

type NeighboursOf = (name: PeerName) => Iterable<PeerName>;

/** `counts`: whether the edge between the two may be part of the way. */
function areJoined(
  from: PeerName,
  to: PeerName,
  neighboursOf: NeighboursOf,
  counts: (at: PeerName, next: PeerName) => boolean,
): boolean {
  const reached = new Set([from]);
  for (const at of reached) {
    for (const next of neighboursOf(at)) if (counts(at, next)) reached.add(next);
    if (reached.has(to)) return true;
  }
  return false;
}

/** Rendezvous score of a pair, the same from both ends; lower is better. */
export function pairScore(a: PeerName, b: PeerName): number {
  return a < b ? hashName(b, hashName(a, 1)) : hashName(a, hashName(b, 1));
}

/** The `count` names with the least score, by insertion: `count` is small. */
function smallest(names: readonly PeerName[], count: number, score: (name: PeerName) => number): PeerName[] {
  const best: { name: PeerName; score: number }[] = [];
  if (count === 0) return [];
  for (const name of names) {
    const candidate = { name, score: score(name) };
    if (best.length === count && !isBefore(candidate, best.at(-1)!)) continue;
    const at = best.findIndex((other) => isBefore(candidate, other));
    best.splice(at < 0 ? best.length : at, 0, candidate);
    if (best.length > count) best.pop();
  }
  return best.map(({ name }) => name);
}

interface Scored {
  readonly name: PeerName;
  readonly score: number;
}

function isBefore(a: Scored, b: Scored): boolean {
  return a.score !== b.score ? a.score < b.score : compareNames(a.name, b.name) < 0;
}

/** FNV-1a over the text, finished as in MurmurHash3, so that similar names spread. */
function hashName(name: PeerName, seed: number): number {
  let hash = 0x811c9dc5 ^ seed;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
