import { formatIp } from '../../../core/address.ts';
import type { PeerName } from '../../../core/peer-name.ts';
import type { StoreChange } from '../../../core/store.ts';
import { MINUTE, SECOND, type Millis } from '../../../core/time.ts';
import type { IpamTopologyView } from '../../../ipam/effects.ts';
import type { Owner, RingEntry } from '../../../ipam/entries.ts';
import type { TakeOver as StoredTakeOver } from '../../../ipam/quarantine.ts';
import type { AddressRange } from '../../../ipam/range.ts';
import { compareValues, valueAt, type Ring, type RingValue } from '../../../ipam/ring.ts';
import { META_KEY, readStored, RING_KEY } from '../../../ipam/stored-state.ts';
import type { IpamNode } from './ipam-node.ts';
import type { Excuse, Reference } from './reference.ts';

const TAKE_OVER_KEY = 'ipam/take-over/';
/** What is taken over without --now rests for 10 min from the try to store it that succeeds. */
const CERTAIN_REST: Millis = 5 * MINUTE;
/** Where it has neighbours, a node need not wait longer for one that has not accepted it. */
const ACCEPTED_WITHIN: Millis = 7 * SECOND;

/** What the watch is told of the mesh as it really is. */
export interface WatchedMesh {
  readonly range: AddressRange;
  readonly nodes: readonly IpamNode[];
  readonly now: () => Millis;
  /** Gone for good. */
  readonly isKilled: (node: IpamNode) => boolean;
  /** All, perhaps but one, have been up and connected for a while. */
  readonly isCalm: (but?: IpamNode) => boolean;
  readonly fault: (kind: string, text: string) => void;
}

/** One take-over, as its taker has stored it. */
interface TakeOver {
  readonly taker: IpamNode;
  readonly clusterId: string;
  /** By offset. */
  readonly values: ReadonlyMap<number, RingValue>;
  /** As it was stored first. */
  readonly record: StoredTakeOver;
  /** The taker gives nothing of it out before that. */
  readonly restsUntil: Millis;
  /** Who has to acknowledge it, by the taker's store. */
  waiting: readonly Owner[];
  /** Offsets that the victim has claimed back: whoever gets them from it need not wait. */
  readonly returned: Set<number>;
  /** Who had it on disk at some time. */
  readonly knew: Set<IpamNode>;
  /** Who may have gone on without knowing of it, which cannot be excluded, and why. */
  readonly unaware: Map<IpamNode, Excuse>;
}

/** What a node that starts has to wait for before it gives anything out, while it does. */
interface Awaited {
  /** Of each neighbour, what it had stored when it became one. */
  readonly rings: ReadonlyMap<PeerName, RingEntry | undefined>;
  readonly hasNeighbours: boolean;
  /** Who is about to become a neighbour, since when. */
  readonly connecting: ReadonlyMap<PeerName, Millis>;
}

/**
 * Watches what nodes store of take-overs. It tells under which conditions two holders of an address cannot be excluded:
 * one of them got it from a ring that lacks a take-over, on a node that the taker could not be made to wait for. And it
 * sees to it that the taker waits for all others.
 */
export class TakeOverWatch {
  readonly #mesh: WatchedMesh;
  readonly #reference: Reference;
  readonly #offsets: ReadonlyMap<string, number>;
  readonly #rings = new Map<IpamNode, RingEntry | undefined>();
  readonly #all = new Set<TakeOver>();
  readonly #byOffset = new Map<number, TakeOver[]>();
  /** The taker has lost its record of them: whatever it owns by them is excused, or taken over anew. */
  readonly #forgotten = new Set<TakeOver>();
  readonly #byRecord = new Map<string, TakeOver>();
  /** "CLUSTER OWNER GENERATION OFFSET EPOCH": the first value by which somebody else gave the owner that, who owns it by that from then on. */
  readonly #given = new Map<string, RingValue>();
  /** "NODE OFFSET" */
  readonly #everHeld = new Set<string>();
  /** Began from a seed list, perhaps anew: they may have reached nobody who knew what they gave away since (E3). */
  readonly #seededAlone = new Set<IpamNode>();
  /** Since the last start: what was awaited last. */
  readonly #awaited = new Map<IpamNode, Awaited>();
  /** What nodes that were rolled back may give out once more. */
  readonly #rolledBack = new Set<string>();

  constructor(mesh: WatchedMesh, reference: Reference) {
    this.#mesh = mesh;
    this.#reference = reference;
    this.#offsets = new Map(
      Array.from({ length: mesh.range.size }, (_, i) => [formatIp(mesh.range.ipAt(i)), i]),
    );
  }

  /** The node's durable state changed: for this, before anything is made of the allocations in it. */
  onStored(node: IpamNode, changes: readonly StoreChange[]): void {
    for (const { key, value } of changes) {
      if (key.startsWith(TAKE_OVER_KEY)) this.#onRecord(node, key, value);
    }
    if (!changes.some(({ key }) => key === RING_KEY)) return;
    const before = this.#rings.get(node);
    const after = ringOf(node);
    this.#rings.set(node, after);
    this.#findUnrecorded(node, before, after);
    this.#noteGifts(node, after);
    this.#noteReturns(node, after);
    for (const takeOver of this.#all) if (this.#knows(node, takeOver)) takeOver.knew.add(node);
  }

  /** The node has other state than it had: none, or that of a while ago. */
  onReplaced(node: IpamNode): void {
    this.#rings.set(node, ringOf(node));
    this.#awaited.delete(node);
    for (const takeOver of this.#all) if (takeOver.taker === node) this.#forgotten.add(takeOver);
    for (const [other, awaited] of this.#awaited) {
      const rings = new Map([...awaited.rings].filter(([name]) => name !== node.name));
      this.#awaited.set(other, { ...awaited, rings });
    }
  }

  /** A node that gives nothing out yet after its start sees this of the mesh. */
  onAwaited(node: IpamNode, { peers, connecting }: IpamTopologyView): void {
    const known = this.#awaited.get(node);
    const before = known?.rings;
    const neighbours = peers.filter(
      (one) => one.reachable && one.neighbour === true && one.generation !== '',
    );
    const rings = new Map(
      neighbours.map(({ name }) => [name, before?.has(name) ? before.get(name) : ringOf(this.#nodeOf(name))]),
    );
    const since = (name: PeerName): Millis => known?.connecting.get(name) ?? this.#mesh.now();
    this.#awaited.set(node, {
      rings,
      hasNeighbours: neighbours.length > 0,
      connecting: new Map((connecting ?? []).map((name) => [name, since(name)])),
    });
  }

  /** The taker reports that it waits no longer for `peer`, which is out of reach. */
  onGivenUp(taker: IpamNode, peer: PeerName, victim: PeerName): void {
    const node = this.#nodeOf(peer);
    if (this.#isSeenBy(taker, node)) {
      this.#mesh.fault('given up', `${peer} is in reach of node ${taker.number} and was waited for in vain`);
    }
    for (const takeOver of this.#all) {
      if (takeOver.taker === taker && takeOver.record.victim.owner === victim)
        this.#blame(takeOver, node, 'E2');
    }
  }

  /** A node is about to start from its store. `reaches`: it has a target that is up. */
  onStart(node: IpamNode, reaches: boolean): void {
    const why = this.#mesh.isKilled(node) ? 'E1' : reaches && this.#mesh.isCalm(node) ? undefined : 'E3';
    const hasRing = ringOf(node) !== undefined;
    this.#awaited.delete(node);
    if (!hasRing && why !== undefined) this.#seededAlone.add(node);
    // It may have ended before it reached anybody, and be alone again.
    else if (why === undefined || !this.#isBehindAnywhere(node)) this.#seededAlone.delete(node);
    for (const takeOver of this.#all) {
      // A seed list gives a host that had no ring what was its own at first.
      const isVictim = takeOver.taker !== node && takeOver.record.victim.owner === node.name;
      if (isVictim && !hasRing) this.#blame(takeOver, node, 'E1');
      else if (why !== undefined && hasRing) this.#blame(takeOver, node, why);
    }
  }

  /** These addresses it had, or has by its old state. */
  onRolledBack(node: IpamNode, addresses: readonly string[]): void {
    for (const address of addresses) this.#rolledBack.add(address);
    this.#reference.excuse(undefined, addresses, 'E4');
    for (const takeOver of this.#all) this.#blame(takeOver, node, 'E4');
  }

  /** Once all have one ring, and nobody holds what the ring says is another's, a roll back excuses nothing more. */
  endRollBacks(): void {
    if (this.#rolledBack.size === 0 || !this.#isOneRing()) return;
    const over = [...this.#rolledBack].filter((address) => {
      const holds = this.#reference.holdersOf(address);
      const [node] = holds.map((hold) => this.#mesh.nodes[hold.node - 1]!);
      return holds.length === 0 || (holds.length === 1 && this.#owns(node!, this.#offsets.get(address)!));
    });
    for (const address of over) this.#rolledBack.delete(address);
    this.#reference.endExcuse(over, 'E4');
  }

  /** See Judge. */
  whyOf(node: IpamNode, address: string): Excuse | undefined {
    if (this.#rolledBack.has(address)) return 'E4';
    const wasTold = this.#wasTold(node, address);
    if (this.#seededAlone.has(node) && !wasTold && this.#isBehind(node, address)) return 'E3';
    for (const takeOver of this.#of(address)) {
      const { unaware, waiting } = takeOver;
      if (unaware.size === 0 || this.#knows(node, takeOver)) continue;
      const own = unaware.get(node);
      if (own === 'E3' && wasTold) continue;
      if (own !== undefined) return own;
      // It has its ring from one of those, and nobody waits for it.
      if (waiting.every(({ owner }) => owner !== node.name)) return [...unaware.values()][0]!;
    }
    return undefined;
  }

  /** See Judge. */
  isRightful(node: IpamNode, address: string): boolean {
    if (this.#rolledBack.has(address)) return false;
    const isAware = this.#of(address).every((takeOver) => this.#knows(node, takeOver));
    return isAware && !this.#isBehind(node, address) && this.#owns(node, this.#offsets.get(address)!);
  }

  /** Has somebody stored a later value of it? */
  #isBehind(node: IpamNode, address: string): boolean {
    return this.#mesh.nodes.some((other) => this.#isLater(ringOf(other), node, address));
  }

  #isBehindAnywhere(node: IpamNode): boolean {
    return [...this.#offsets.keys()].some((address) => this.#isBehind(node, address));
  }

  /** After its start, did it reach somebody who knew a later value of it, or was it about to reach somebody? */
  #wasTold(node: IpamNode, address: string): boolean {
    const awaited = this.#awaited.get(node);
    if (awaited === undefined) return false;
    return (
      this.#isConnecting(awaited) ||
      [...awaited.rings.values()].some((ring) => this.#isLater(ring, node, address))
    );
  }

  #isConnecting({ hasNeighbours, connecting }: Awaited): boolean {
    if (connecting.size === 0) return false;
    return !hasNeighbours || this.#mesh.now() < Math.max(...connecting.values()) + ACCEPTED_WITHIN;
  }

  #isLater(ring: RingEntry | undefined, node: IpamNode, address: string): boolean {
    const [offset, entry] = [this.#offsets.get(address)!, ringOf(node)];
    const own = valueAt(entry?.ring ?? [], offset);
    const value = ring?.clusterId === entry?.clusterId ? valueAt(ring?.ring ?? [], offset) : undefined;
    return value !== undefined && (own === undefined || compareValues(value, own) > 0);
  }

  /** A node hands out an address: not one that was taken over and is not free yet, nor before it may after its start. */
  onHold(node: IpamNode, address: string): void {
    const offset = this.#offsets.get(address);
    if (offset === undefined) return;
    const awaited = this.#awaited.get(node);
    if (awaited !== undefined && this.#isConnecting(awaited)) {
      this.#mesh.fault('too soon', `node ${node.number} gives ${address} out while it is being connected`);
    }
    for (const takeOver of this.#of(address)) {
      if (!this.#isByThisTakeOver(takeOver, node, offset)) continue;
      const { waiting, restsUntil } = takeOver;
      if (waiting.length > 0) {
        const names = waiting.map(({ owner }) => owner).join();
        this.#mesh.fault(
          'quarantine',
          `${address} is given out before ${names} has acknowledged the take-over`,
        );
      }
      if (this.#mesh.now() < restsUntil) {
        this.#mesh.fault('quarantine', `${address} is given out although it was taken over just now`);
      }
    }
    this.#everHeld.add(`${node.number} ${offset}`);
  }

  /** Is it to be handed out because of this take-over? Whoever used it before may have got it back. */
  #isByThisTakeOver(takeOver: TakeOver, node: IpamNode, offset: number): boolean {
    if (this.#forgotten.has(takeOver)) return false;
    if (takeOver.taker === node) return this.#isHeld(takeOver, offset);
    if (takeOver.returned.has(offset)) return false;
    const entry = ringOf(node);
    const { epoch } = takeOver.values.get(offset)!;
    const isOfEpoch = entry?.clusterId === takeOver.clusterId && valueAt(entry.ring, offset)?.epoch === epoch;
    if (!isOfEpoch || this.#everHeld.has(`${node.number} ${offset}`)) return false;
    return this.#byOffset
      .get(offset)!
      .every((one) => one === takeOver || one.values.get(offset)!.epoch !== epoch);
  }

  #onRecord(node: IpamNode, key: string, value: Uint8Array | undefined): void {
    const record = value && readStored(new Map([[key, value]])).takeOvers[0];
    const known = this.#byRecord.get(`${node.number} ${key}`);
    if (known !== undefined) this.#onWaiting(known, record);
    else if (record !== undefined) {
      const { clusterId, ring } = record.ring;
      const takeOver = this.#begin(node, clusterId, spelledOut(ring), record);
      this.#byRecord.set(`${node.number} ${key}`, takeOver);
    }
  }

  /** Only a take-over raises an epoch, and writes version 1: it has to be recorded, however soon it is over. */
  #findUnrecorded(node: IpamNode, before: RingEntry | undefined, after: RingEntry | undefined): void {
    if (after === undefined) return;
    const others = this.#mesh.nodes.filter((other) => other !== node);
    const isNew = ([offset, value]: [number, RingValue]): boolean => {
      if (value.owner !== node.name || value.version !== 1 || value.epoch === 0) return false;
      const isRecorded = (this.#byOffset.get(offset) ?? []).some(
        ({ taker, values }) => taker === node && values.get(offset)!.epoch >= value.epoch,
      );
      const isKnown = (ring: RingEntry | undefined): boolean => {
        const old = ring?.clusterId === after.clusterId ? valueAt(ring.ring, offset) : undefined;
        return old !== undefined && compareValues(old, value) >= 0;
      };
      // A former life of it may have written that.
      return !isRecorded && !isKnown(before) && !others.some((other) => isKnown(ringOf(other)));
    };
    const unrecorded = [...spelledOut(after.ring)].filter(isNew).length;
    if (unrecorded === 0) return;
    const what = `node ${node.number} took over ${unrecorded} addresses and does not record it`;
    this.#mesh.fault('quarantine', what);
  }

  /**
   * Two that take over the same do so at one epoch: the loser of them may be given some of it by the winner, even before
   * its own take-over is on disk. Whoever writes a value has it on disk before others do, and a take-over writes version 1.
   */
  #noteGifts(node: IpamNode, after: RingEntry | undefined): void {
    if (after === undefined) return;
    const others = after.ring.filter(
      ({ epoch, version, owner }) => epoch > 0 && version > 1 && owner !== node.name,
    );
    for (const [offset, value] of spelledOut(others)) {
      const key = giftOf(after.clusterId, value, offset);
      if (this.#given.has(key)) continue;
      const own = valueAt(ringOf(this.#nodeOf(value.owner))?.ring ?? [], offset);
      if (own === undefined || compareValues(own, value) < 0) this.#given.set(key, value);
    }
  }

  /** By what the victim has stored, or the taker: what it gets back and gives on the victim need not have stored between. */
  #noteReturns(node: IpamNode, after: RingEntry | undefined): void {
    for (const { taker, clusterId, values, record, returned } of this.#all) {
      const { owner } = record.victim;
      if ((owner !== node.name && taker !== node) || after?.clusterId !== clusterId) continue;
      for (const [offset, { epoch }] of values) {
        const value = valueAt(after.ring, offset);
        if (value?.owner === owner && value.epoch === epoch) returned.add(offset);
      }
    }
  }

  #begin(
    taker: IpamNode,
    clusterId: string,
    values: ReadonlyMap<number, RingValue>,
    record: StoredTakeOver,
  ): TakeOver {
    const now = this.#mesh.now();
    const restsUntil = record.now ? -Infinity : now + CERTAIN_REST;
    const { waiting } = record;
    const takeOver = {
      taker,
      clusterId,
      values,
      record,
      restsUntil,
      waiting,
      returned: new Set<number>(),
      knew: new Set([taker]),
      unaware: new Map(),
    };
    this.#all.add(takeOver);
    for (const offset of values.keys()) {
      this.#byOffset.set(offset, [...(this.#byOffset.get(offset) ?? []), takeOver]);
    }
    for (const node of this.#mesh.nodes) {
      if (node === taker || this.#mesh.isKilled(node) || !isIn(node, clusterId)) continue;
      if (this.#knows(node, takeOver)) takeOver.knew.add(node);
      if (record.victim.owner === node.name) this.#blame(takeOver, node, 'E1');
      else if (waiting.every(({ owner }) => owner !== node.name)) this.#onUnheard(takeOver, node);
    }
    return takeOver;
  }

  /** The taker does not wait for `node`. */
  #onUnheard(takeOver: TakeOver, node: IpamNode): void {
    const isMember = ringOf(node)?.clusterId === takeOver.clusterId;
    if (isMember && this.#isSeenBy(takeOver.taker, node)) {
      const who = `node ${takeOver.taker.number} does not wait for node ${node.number}`;
      this.#mesh.fault('not acknowledged', `${who}, which is in reach`);
    }
    this.#blame(takeOver, node, 'E2');
  }

  /** The record changed, or is gone. */
  #onWaiting(takeOver: TakeOver, record: StoredTakeOver | undefined): void {
    const left = record?.waiting ?? [];
    const ended = takeOver.waiting.filter(({ owner }) => left.every((other) => other.owner !== owner));
    takeOver.waiting = left;
    // Who changed sides, or gave everything up, has left all of it behind.
    const isHeld = [...takeOver.values.keys()].some((offset) => this.#isHeld(takeOver, offset));
    if (isHeld) for (const one of ended) this.#onAcknowledged(takeOver, one);
    if (record === undefined && isHeld && this.#mesh.now() < takeOver.restsUntil) {
      this.#mesh.fault('quarantine', `node ${takeOver.taker.number} ends a quarantine before its time`);
    }
  }

  /** `one` is waited for no longer. */
  #onAcknowledged(takeOver: TakeOver, one: Owner): void {
    const { taker, knew, unaware, clusterId } = takeOver;
    const node = this.#nodeOf(one.owner);
    if (knew.has(node) || unaware.has(node)) return;
    const ring = ringOf(node);
    if (ring !== undefined && ring.clusterId !== clusterId) return;
    const owns = ringOf(taker)!.ring.some(
      (value) => value.owner === one.owner && value.generation === one.generation,
    );
    // Whoever owns nothing any more was removed itself.
    if (takeOver.record.strict && !owns) this.#blame(takeOver, node, 'E1');
    else {
      const what = `node ${taker.number} takes it that node ${node.number} has acknowledged a take-over`;
      this.#mesh.fault('not acknowledged', `${what}, which has not stored it`);
    }
  }

  #blame(takeOver: TakeOver, node: IpamNode, why: Excuse): void {
    if (takeOver.taker === node && why !== 'E4') return;
    if (this.#knows(node, takeOver)) return;
    if (!takeOver.unaware.has(node)) takeOver.unaware.set(node, why);
    const addresses = [...takeOver.values.keys()].map((offset) => formatIp(this.#mesh.range.ipAt(offset)));
    this.#reference.excuse(node.number, addresses, why);
  }

  /** Is `node` in reach as it really is, and does `taker` know it? Connections are made again only after a while. */
  #isSeenBy(taker: IpamNode, node: IpamNode): boolean {
    const lines = taker.ipam?.status().owned ?? [];
    return this.#mesh.isCalm() && lines.some(({ name, reachable }) => name === node.name && reachable);
  }

  /** Has it stored what was taken over, or what became of it since? Other clusters are not concerned. */
  #knows(node: IpamNode, { clusterId, values }: TakeOver): boolean {
    const entry = ringOf(node);
    if (entry === undefined) return false;
    if (entry.clusterId !== clusterId) return true;
    for (const [offset, value] of values) {
      const stored = valueAt(entry.ring, offset);
      if (stored === undefined || compareValues(stored, value) < 0) return false;
    }
    return true;
  }

  /** Does the taker still own this address by its take-over? */
  #isHeld({ taker, clusterId, values }: TakeOver, offset: number): boolean {
    const entry = ringOf(taker);
    if (entry?.clusterId !== clusterId) return false;
    const value = valueAt(entry.ring, offset);
    if (value?.owner !== taker.name || value.epoch !== values.get(offset)?.epoch) return false;
    // What a former life of it owns, that of a state that was rolled back, it has to take over anew.
    if (value.generation !== generationOf(taker)) return false;
    const gift = this.#given.get(giftOf(clusterId, value, offset));
    return gift === undefined || compareValues(value, gift) < 0;
  }

  #owns(node: IpamNode, offset: number): boolean {
    const value = valueAt(ringOf(node)?.ring ?? [], offset);
    return value?.owner === node.name;
  }

  #isOneRing(): boolean {
    const [first, ...others] = this.#mesh.nodes.filter(
      (node) => !this.#mesh.isKilled(node) && node.store.size > 0,
    );
    const ring = first?.store.get(RING_KEY);
    return ring !== undefined && others.every(({ store }) => sameBytes(store.get(RING_KEY), ring));
  }

  #of(address: string): readonly TakeOver[] {
    const offset = this.#offsets.get(address);
    return offset === undefined ? [] : (this.#byOffset.get(offset) ?? []);
  }

  #nodeOf(name: PeerName): IpamNode {
    return this.#mesh.nodes.find((node) => node.name === name)!;
  }
}

const decoded = new WeakMap<Uint8Array, RingEntry>();

/** The ring that `node` has stored. */
export function ringOf({ store }: IpamNode): RingEntry | undefined {
  const bytes = store.get(RING_KEY);
  if (bytes === undefined) return undefined;
  const entry = decoded.get(bytes) ?? readStored(new Map([[RING_KEY, bytes]])).ring!;
  decoded.set(bytes, entry);
  return entry;
}

function generationOf({ store }: IpamNode): string | undefined {
  const meta = store.get(META_KEY);
  return meta && readStored(new Map([[META_KEY, meta]])).owner?.generation;
}

function giftOf(clusterId: string, { owner, generation, epoch }: RingValue, offset: number): string {
  return `${clusterId} ${owner} ${generation} ${offset} ${epoch}`;
}

/** Has it a ring, or is it about to store one, of that cluster? Its disk may be full. */
function isIn(node: IpamNode, clusterId: string): boolean {
  return ringOf(node) !== undefined || node.ipam?.status().clusterId === clusterId;
}

/** The addresses that `name` owns by what `node` has stored. */
export function owned(node: IpamNode, name: PeerName): string[] {
  const entry = ringOf(node);
  const segments = entry?.ring.filter(({ owner }) => owner === name) ?? [];
  return segments.flatMap(({ start, end }) => {
    return Array.from({ length: end - start }, (_, i) => formatIp(entry!.range.ipAt(start + i)));
  });
}

/** The addresses that `node` has stored as handed out. */
export function stored(node: IpamNode): string[] {
  return readStored(node.store).allocations.flatMap(({ addresses }) =>
    addresses.map(({ ip }) => formatIp(ip)),
  );
}

function spelledOut(ring: Ring): Map<number, RingValue> {
  const out = new Map<number, RingValue>();
  for (const segment of ring) {
    for (let offset = segment.start; offset < segment.end; offset++) out.set(offset, segment);
  }
  return out;
}

function sameBytes(a: Uint8Array | undefined, b: Uint8Array): boolean {
  return a !== undefined && Buffer.compare(a, b) === 0;
}
