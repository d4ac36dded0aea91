import { formatIp } from '../../../core/address.ts';
import type { PeerName } from '../../../core/peer-name.ts';
import { MINUTE, type Millis } from '../../../core/time.ts';
import { valueAt, type Ring } from '../../../ipam/ring.ts';
import { readStored } from '../../../ipam/stored-state.ts';
import type { IpamNode } from './ipam-node.ts';
import type { Reference } from './reference.ts';

/** After trouble, connections are made again and digests compared within this long. */
const CALM_AFTER: Millis = 2 * MINUTE;

interface TakeOver {
  readonly taker: IpamNode;
  readonly space: readonly string[];
  /** It may not have begun before that. */
  readonly begunBy: Millis;
}

/** Tells which take-overs were made under conditions in which two holders cannot be excluded. */
export class TakeOverWatch {
  readonly #reference: Reference;
  /** All that was ever taken over. */
  readonly #taken = new Set<string>();
  #underway: TakeOver[] = [];
  #troubledUntil: Millis = 0;

  constructor(reference: Reference) {
    this.#reference = reference;
  }

  /** Someone takes over `space`. `isHeard`: all other members that live are to acknowledge it. */
  onTakeOver(taker: IpamNode, space: readonly string[], isHeard: boolean, begunBy: Millis): void {
    for (const address of space) this.#taken.add(address);
    if (isHeard) this.#underway.push({ taker, space, begunBy });
    else this.#reference.excuse('E2', space);
  }

  /** Somebody may be out of reach from now on: E2 for what has not been acknowledged by all. */
  onTrouble(now: Millis, nodes: readonly IpamNode[]): void {
    this.#troubledUntil = Infinity;
    if (nodes.every(({ control }) => control !== undefined)) this.#troubledUntil = now + CALM_AFTER;
    this.#underway = this.#underway.filter(({ taker, begunBy }) => {
      return now < begunBy || taker.ipam === undefined || taker.ipam.status().quarantine.length > 0;
    });
    for (const { space } of this.#underway) this.#reference.excuse('E2', space);
    this.#underway = [];
  }

  onHealed(now: Millis): void {
    this.#troubledUntil = now + CALM_AFTER;
  }

  /** A node starts that owned `space`: E3 unless it surely reaches one who knows of all take-overs. */
  onRestart(space: readonly string[], reaches: boolean, now: Millis): void {
    const taken = space.filter((address) => this.#taken.has(address));
    if (!reaches || !this.isCalm(now)) this.#reference.excuse('E3', taken);
  }

  /** All nodes have been up and connected for a while. */
  isCalm(now: Millis): boolean {
    return now >= this.#troubledUntil;
  }
}

/** The addresses that `name` owns by what `node` has stored. */
export function owned(node: IpamNode, name: PeerName): string[] {
  const { ring } = readStored(node.store);
  const segments = ring?.ring.filter(({ owner }) => owner === name) ?? [];
  return segments.flatMap(({ start, end }) => {
    return Array.from({ length: end - start }, (_, i) => formatIp(ring!.range.ipAt(start + i)));
  });
}

/** The addresses that `node` has stored as handed out. */
export function stored(node: IpamNode): string[] {
  return readStored(node.store).allocations.flatMap(({ addresses }) =>
    addresses.map(({ ip }) => formatIp(ip)),
  );
}

/** The ring that `node` has stored. */
export function ringOf(node: IpamNode): Ring {
  return readStored(node.store).ring?.ring ?? [];
}

/** Does `node` own something by a take-over that it had not stored `before`? Only a take-over raises an epoch. */
export function hasTakenOver(node: IpamNode, before: Ring): boolean {
  return ringOf(node).some(({ start, end, epoch, owner }) => {
    if (owner !== node.name) return false;
    const offsets = Array.from({ length: end - start }, (_, i) => start + i);
    return offsets.some((offset) => epoch > (valueAt(before, offset)?.epoch ?? epoch));
  });
}

/** Who is to acknowledge what `node` took over from `victim`. */
export function awaitedBy(node: IpamNode, victim: PeerName): PeerName[] {
  const takeOvers = readStored(node.store).takeOvers.filter((one) => one.victim.owner === victim);
  return takeOvers.flatMap(({ waiting }) => waiting.map(({ owner }) => owner));
}
