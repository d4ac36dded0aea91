import { formatIp } from '../../../core/address.ts';
import type { StoreChange } from '../../../core/store.ts';
import { ALLOCATION_KEY, readAllocation } from '../../../ipam/allocations.ts';

/** The cases that no design can exclude: see docs/IPAM.md. */
export type Excuse = 'E1' | 'E2' | 'E3' | 'E4';

/** What the reference model asks about a node that gets hold of an address. */
export interface Judge {
  fault(kind: string, text: string): void;
  /** Why the node may hold it although somebody else does; undefined if nothing excuses that. */
  whyOf(node: number, address: string): Excuse | undefined;
  /** Does the node own it by a ring that is not behind? Then nothing needs to excuse it any more. */
  isRightful(node: number, address: string): boolean;
  /** The id of the cluster that it belongs to. */
  clusterOf(node: number): string;
  /** May two clusters be in use at once? Their holders of an address are then no matter of either. */
  mayBeApart(): boolean;
  onHold(node: number, address: string): void;
}

interface Hold {
  readonly node: number;
  readonly id: string;
  readonly cluster: string;
  why: Excuse | undefined;
}

interface Table {
  /** Durable: id to addresses. */
  readonly held: Map<string, readonly string[]>;
  /** Answered: id to the addresses that whoever asked relies on. */
  readonly promised: Map<string, Set<string>>;
  /**
   * Given once more, perhaps: promised before a release or a reset of which nobody has heard whether it was carried out, or
   * stored for a request that had no answer.
   */
  readonly doubtful: Map<string, Set<string>>;
}

/**
 * The reference model: a plain set of who holds what. A node holds what its store says, whether the asker was told or
 * not, and owes what it has promised. Nodes are numbers; each id is used on one node only.
 */
export class Reference {
  readonly #judge: Judge;
  readonly #tables = new Map<number, Table>();
  readonly #holds = new Map<string, Hold[]>();
  /** Of hosts that are gone: why what they held was excused. */
  readonly #excusedThen = new Map<string, Excuse>();
  /** A host is back with what it had handed out before. */
  #isComingBack = false;
  /** Addresses that had two holders, and why that could not be excluded. */
  readonly doubles = new Map<string, Excuse | 'two clusters'>();

  constructor(judge: Judge) {
    this.#judge = judge;
  }

  /** Addresses with a holder. */
  get size(): number {
    return this.#holds.size;
  }

  /** Addresses that have two holders at this moment. */
  get contested(): string[] {
    return [...this.#holds].filter(([, holds]) => holds.length > 1).map(([address]) => address);
  }

  promisedTo(node: number, id: string): ReadonlySet<string> {
    return this.#table(node).promised.get(id) ?? new Set();
  }

  heldBy(node: number): string[] {
    return [...this.#table(node).held.values()].flat();
  }

  idsOn(node: number): string[] {
    return [...this.#table(node).held.keys()];
  }

  /** Who holds `address`. */
  holdersOf(address: string): readonly Readonly<Hold>[] {
    return this.#holds.get(address) ?? [];
  }

  /** What the node holds of these addresses it may hold although somebody else does; `node` undefined = all nodes. */
  excuse(node: number | undefined, addresses: Iterable<string>, why: Excuse): void {
    for (const hold of this.#holdsOf(addresses))
      if (node === undefined || hold.node === node) hold.why ??= why;
  }

  /** That excuse is over for who holds these addresses now. */
  endExcuse(addresses: Iterable<string>, why: Excuse): void {
    for (const hold of this.#holdsOf(addresses)) if (hold.why === why) hold.why = undefined;
  }

  /** The node's durable state changed. */
  onStored(node: number, changes: readonly StoreChange[]): void {
    for (const { key, value } of changes) {
      if (!key.startsWith(ALLOCATION_KEY)) continue;
      const [id, addresses] = readHeld(key, value);
      this.#setHeld(node, id, addresses);
      for (const address of this.promisedTo(node, id)) {
        if (!addresses.includes(address))
          this.#judge.fault('lost', `${address} was promised to ${id} and is not its own`);
      }
      retain(this.#table(node).doubtful, id, addresses);
    }
  }

  /** An allocation or claim was answered. */
  onGranted(node: number, id: string, address: string, isClaim: boolean): void {
    const table = this.#table(node);
    const promised = table.promised.get(id) ?? new Set();
    // A release that was not carried out has left what it was about, whatever was claimed since.
    const isKept = promised.has(address) || table.doubtful.get(id)?.has(address) === true;
    if (!isClaim && promised.size > 0 && !isKept) {
      this.#judge.fault('changed', `${id} held ${[...promised].join(' and ')} and was then given ${address}`);
    }
    if (table.held.get(id)?.includes(address) !== true) {
      this.#judge.fault('not durable', `${id} was given ${address}, which its node has not stored`);
    }
    table.promised.set(id, promised.add(address));
  }

  /** An address is asked for: what the id has already, whether anybody was told or not, it may be given again. */
  onAsk(node: number, id: string): void {
    const { held, doubtful } = this.#table(node);
    const left = held.get(id);
    if (left !== undefined) doubtful.set(id, new Set([...(doubtful.get(id) ?? []), ...left]));
  }

  /** A release is asked for: until it is answered, it may have happened or not. */
  onRelease(node: number, id: string): void {
    const { promised, doubtful } = this.#table(node);
    const both = new Set([...(doubtful.get(id) ?? []), ...(promised.get(id) ?? [])]);
    if (both.size > 0) doubtful.set(id, both);
    promised.delete(id);
  }

  /** The node is told to give up everything. */
  onReset(node: number): void {
    for (const id of [...this.#table(node).promised.keys()]) this.onRelease(node, id);
  }

  onReleased(node: number, id: string): void {
    const held = this.#table(node).held.get(id);
    if (held !== undefined)
      this.#judge.fault('not released', `${id} was released and still holds ${held.join(' and ')}`);
  }

  /** The node has other state than it had: none, or that of a while ago. Who relied on what is not in it is gone too. */
  onReplaced(node: number, store: ReadonlyMap<string, Uint8Array>): void {
    const { held, promised, doubtful } = this.#table(node);
    for (const id of [...held.keys()]) this.#setHeld(node, id, []);
    for (const [key, value] of store) {
      if (key.startsWith(ALLOCATION_KEY)) this.#setHeld(node, ...readHeld(key, value));
    }
    for (const sets of [promised, doubtful]) {
      for (const id of [...sets.keys()]) retain(sets, id, held.get(id) ?? []);
    }
  }

  /** The host is gone, and nothing that ran on it does. */
  onGone(node: number): void {
    for (const [address, holds] of this.#holds) {
      for (const { node: holder, id, why } of holds)
        if (holder === node && why !== undefined) this.#excusedThen.set(`${node} ${id} ${address}`, why);
    }
    this.onReplaced(node, new Map());
  }

  /** The host is back with the state that it had, and all that ran on it; what excused that still does. */
  onBack(node: number, store: ReadonlyMap<string, Uint8Array>): void {
    this.#isComingBack = true;
    this.onReplaced(node, store);
    this.#isComingBack = false;
    for (const key of this.#excusedThen.keys()) if (key.startsWith(`${node} `)) this.#excusedThen.delete(key);
  }

  *#holdsOf(addresses: Iterable<string>): Iterable<Hold> {
    for (const address of addresses) yield* this.#holds.get(address) ?? [];
  }

  #setHeld(node: number, id: string, addresses: readonly string[]): void {
    const { held } = this.#table(node);
    const before = held.get(id) ?? [];
    for (const address of before) if (!addresses.includes(address)) this.#drop(address, node, id);
    if (addresses.length === 0) held.delete(id);
    else held.set(id, addresses);
    for (const address of addresses) if (!before.includes(address)) this.#add(address, node, id);
  }

  #add(address: string, node: number, id: string): void {
    const why = this.#excusedThen.get(`${node} ${id} ${address}`) ?? this.#judge.whyOf(node, address);
    const hold = { node, id, cluster: this.#judge.clusterOf(node), why };
    const holds = [...(this.#holds.get(address) ?? []), hold];
    this.#holds.set(address, holds);
    if (!this.#isComingBack) this.#judge.onHold(node, address);
    if (holds.length > 1) this.#onDouble(address, holds);
  }

  #drop(address: string, node: number, id: string): void {
    const left = (this.#holds.get(address) ?? []).filter((hold) => hold.node !== node || hold.id !== id);
    if (left.length === 0) this.#holds.delete(address);
    else this.#holds.set(address, left);
  }

  /** All holders but one have to be excused, or be of another cluster each. */
  #onDouble(address: string, holds: readonly Hold[]): void {
    const rightful = holds.filter(
      ({ node, why }) => why === undefined || this.#judge.isRightful(node, address),
    );
    const clusters = new Set(rightful.map(({ cluster }) => (this.#judge.mayBeApart() ? cluster : '')));
    if (clusters.size < rightful.length) {
      const listed = holds.map(({ node, id, why }) => `${node} ${id}${why === undefined ? '' : ` (${why})`}`);
      this.#judge.fault('double', `${address} is held by ${listed.join(' and by ')}`);
    } else this.doubles.set(address, holds.find(({ why }) => why !== undefined)?.why ?? 'two clusters');
  }

  #table(node: number): Table {
    const table = this.#tables.get(node) ?? newTable();
    this.#tables.set(node, table);
    return table;
  }
}

function newTable(): Table {
  return { held: new Map(), promised: new Map(), doubtful: new Map() };
}

/** The id, and what it holds by what is stored of it. */
function readHeld(key: string, value: Uint8Array | undefined): [id: string, addresses: string[]] {
  const allocation = value && readAllocation(key, value);
  return [key.slice(ALLOCATION_KEY.length), allocation?.addresses.map(({ ip }) => formatIp(ip)) ?? []];
}

/** What is not in `addresses` is the id's no more. */
function retain(sets: Map<string, Set<string>>, id: string, addresses: readonly string[]): void {
  const kept = [...(sets.get(id) ?? [])].filter((address) => addresses.includes(address));
  if (kept.length === 0) sets.delete(id);
  else sets.set(id, new Set(kept));
}
