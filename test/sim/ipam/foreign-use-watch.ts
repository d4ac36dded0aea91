import { formatIp } from '../../../core/address.ts';
import type { PeerName } from '../../../core/peer-name.ts';
import type { StoreChange } from '../../../core/store.ts';
import type { Millis } from '../../../core/time.ts';
import type { MemberEntry } from '../../../ipam/entries.ts';
import { ABSENT_USER } from '../../../ipam/foreign-users.ts';
import { spansHave } from '../../../ipam/range.ts';
import { compareValues, valueAt } from '../../../ipam/ring.ts';
import { readStored, RING_KEY } from '../../../ipam/stored-state.ts';
import type { IpamNode } from './ipam-node.ts';
import { ringOf, type WatchedMesh } from './take-over-watch.ts';

const MEMBER_KEY = 'ipam/member/';

/** By offset: who uses it without owning it, and since when this process of the node is known to have stored that. */
type Uses = ReadonlyMap<number, ReadonlyMap<PeerName, Millis>>;

const NONE: Uses = new Map();

/**
 * Watches that what a member uses and another owns is not given out by the owner once that has stored it: before the
 * user says that it is over, or could have been out of reach for as long as it is waited for.
 */
export class ForeignUseWatch {
  readonly #mesh: WatchedMesh;
  /** Is the node being reset? Then its heir gets all, and withholds what it has to. */
  readonly #isLeaving: (node: IpamNode) => boolean;
  /** As of the last transaction: what is decided together with the news of a use may have come before it. */
  readonly #uses = new Map<IpamNode, Uses>();
  /** When each entry was first stored: deleted, it may come back from somebody who deletes it later, and is then no news. */
  readonly #firstStored = new Map<IpamNode, Map<string, Millis>>();
  readonly #rings = new Map<IpamNode, ReturnType<typeof ringOf>>();

  constructor(mesh: WatchedMesh, isLeaving: (node: IpamNode) => boolean) {
    this.#mesh = mesh;
    this.#isLeaving = isLeaving;
  }

  /** A node is about to start from its store. */
  onStart(node: IpamNode): void {
    this.#rings.set(node, ringOf(node));
    this.#firstStored.delete(node);
    this.#uses.set(node, this.#read(node, NONE));
  }

  /** The node has other state than it had. */
  onReplaced(node: IpamNode): void {
    this.#rings.delete(node);
    this.#firstStored.delete(node);
    this.#uses.delete(node);
  }

  /** A node hands out an address. Its durable state says so. */
  onHold(node: IpamNode, address: string): void {
    const { range, fault } = this.#mesh;
    for (const [offset, users] of this.#uses.get(node) ?? NONE) {
      if (formatIp(range.ipAt(offset)) !== address) continue;
      const user = this.#withheldFor(node, offset, users);
      if (user !== undefined)
        fault('in use', `node ${node.number} gives out ${address}, which ${user} is known to use`);
    }
  }

  /** The node's durable state changed, and all has been made of the allocations in it. */
  onStored(node: IpamNode, changes: readonly StoreChange[]): void {
    if (!changes.some(({ key }) => key === RING_KEY || key.startsWith(MEMBER_KEY))) return;
    const before = this.#uses.get(node) ?? NONE;
    if (changes.some(({ key }) => key === RING_KEY)) {
      if (!this.#isLeaving(node)) this.#judgeGrants(node, before);
      this.#rings.set(node, ringOf(node));
    }
    this.#uses.set(node, this.#read(node, before));
  }

  #judgeGrants(node: IpamNode, uses: Uses): void {
    const [before, after] = [this.#rings.get(node), ringOf(node)];
    if (before === undefined || before.clusterId !== after?.clusterId) return;
    for (const [offset, users] of uses) {
      const [old, value] = [valueAt(before.ring, offset), valueAt(after.ring, offset)];
      if (old?.owner !== node.name || value === undefined || value.owner === node.name) continue;
      // Whoever writes a value has it on disk before others do.
      const isOfOthers = this.#mesh.nodes.some((other) => {
        const known = other === node ? undefined : ringOf(other);
        const theirs = known?.clusterId === after.clusterId ? valueAt(known.ring, offset) : undefined;
        return theirs !== undefined && compareValues(theirs, value) >= 0;
      });
      const user = this.#withheldFor(node, offset, users, value.owner);
      if (isOfOthers || user === undefined) continue;
      const address = formatIp(this.#mesh.range.ipAt(offset));
      const what = `node ${node.number} gives ${address} to ${value.owner} while ${user} is known to use it`;
      this.#mesh.fault('in use', what);
    }
  }

  /** Whom the address has to be kept for, other than `but`: it has been known before, still is, and not for too long. */
  #withheldFor(
    node: IpamNode,
    offset: number,
    users: ReadonlyMap<PeerName, Millis>,
    but?: PeerName,
  ): PeerName | undefined {
    const still = this.#read(node, NONE).get(offset);
    const now = this.#mesh.now();
    const found = [...users].find(([name, since]) => {
      return name !== but && still?.has(name) === true && now < since + ABSENT_USER;
    });
    return found?.[0];
  }

  /** What the node has stored of uses; times are those of `before` where there was one. */
  #read(node: IpamNode, before: Uses): Uses {
    const clusterId = ringOf(node)?.clusterId;
    const uses = new Map<number, Map<PeerName, Millis>>();
    const stored = new Map([...node.store].filter(([key]) => key.startsWith(MEMBER_KEY)));
    for (const member of readStored(stored).members) {
      if (member.name === node.name || member.clusterId !== clusterId) continue;
      for (let offset = 0; offset < this.#mesh.range.size; offset++) {
        if (!spansHave(member.conflicts, offset)) continue;
        const since = before.get(offset)?.get(member.name) ?? this.#firstStoredAt(node, member);
        uses.set(offset, (uses.get(offset) ?? new Map<PeerName, Millis>()).set(member.name, since));
      }
    }
    return uses;
  }

  #firstStoredAt(node: IpamNode, { name, generation, life, version, run }: MemberEntry): Millis {
    const times = this.#firstStored.get(node) ?? new Map<string, Millis>();
    this.#firstStored.set(node, times);
    const key = [name, generation, life, version, run].join(' ');
    // Whoever is out of reach is waited for since it is known, which may be long before the disk had room for it.
    const at = times.get(key) ?? node.failingSince ?? this.#mesh.now();
    times.set(key, at);
    return at;
  }
}
