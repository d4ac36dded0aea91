import { formatIp } from '../../../core/address.ts';
import type { StoreChange } from '../../../core/store.ts';
import { ALLOCATION_KEY, readAllocation } from '../../../ipam/allocations.ts';

/** The cases that no design can exclude: see {@link Reference.excuse}. */
export type Excuse = 'E1' | 'E2' | 'E3' | 'E4';

interface Table {
  /** Durable: id to addresses. */
  readonly held: Map<string, readonly string[]>;
  /** Answered: id to the addresses that whoever asked relies on. */
  readonly promised: Map<string, Set<string>>;
}

/**
 * The reference model: a plain set of who holds what. A node holds what its store says, whether the asker was told or
 * not, and owes what it has promised. Nodes are numbers; each id is used on one node only.
 */
export class Reference {
  readonly #fault: (kind: string, text: string) => void;
  readonly #tables = new Map<number, Table>();
  /** Address to "NODE ID" of all that hold it. */
  readonly #holders = new Map<string, Set<string>>();
  readonly #excuses = new Map<string, Set<Excuse>>();
  /** Addresses that had two holders, and why that could not be excluded. */
  readonly doubles = new Map<string, Excuse>();

  constructor(fault: (kind: string, text: string) => void) {
    this.#fault = fault;
  }

  /** Addresses with a holder. */
  get size(): number {
    return this.#holders.size;
  }

  /** Addresses that have two holders at this moment. */
  get contested(): string[] {
    return [...this.#holders].filter(([, holders]) => holders.size > 1).map(([address]) => address);
  }

  promisedTo(node: number, id: string): ReadonlySet<string> {
    return this.#table(node).promised.get(id) ?? new Set();
  }

  heldBy(node: number): string[] {
    return [...this.#table(node).held.values()].flat();
  }

  /** The ids of one node that hold `address`. */
  holdersOn(node: number, address: string): string[] {
    return [...this.#table(node).held].filter(([, held]) => held.includes(address)).map(([id]) => id);
  }

  /** From now on these addresses may have two holders. */
  excuse(why: Excuse, addresses: Iterable<string>): void {
    for (const address of addresses) {
      const whys = this.#excuses.get(address) ?? new Set();
      this.#excuses.set(address, whys.add(why));
    }
  }

  /** The node's durable state changed. */
  onStored(node: number, changes: readonly StoreChange[]): void {
    for (const { key, value } of changes) {
      if (!key.startsWith(ALLOCATION_KEY)) continue;
      const id = key.slice(ALLOCATION_KEY.length);
      const addresses =
        value === undefined ? [] : readAllocation(key, value).addresses.map(({ ip }) => formatIp(ip));
      this.#setHeld(node, id, addresses);
      for (const address of this.promisedTo(node, id)) {
        if (!addresses.includes(address))
          this.#fault('lost', `${address} was promised to ${id} and is not its own`);
      }
    }
  }

  /** An allocation or claim was answered. */
  onGranted(node: number, id: string, address: string, isClaim: boolean): void {
    const table = this.#table(node);
    const promised = table.promised.get(id) ?? new Set();
    if (!isClaim && promised.size > 0 && !promised.has(address)) {
      this.#fault('changed', `${id} held ${[...promised].join(' and ')} and was then given ${address}`);
    }
    if (table.held.get(id)?.includes(address) !== true) {
      this.#fault('not durable', `${id} was given ${address}, which its node has not stored`);
    }
    table.promised.set(id, promised.add(address));
  }

  /** A release is asked for: until it is answered, it may have happened or not. */
  onRelease(node: number, id: string): void {
    this.#table(node).promised.delete(id);
  }

  /** The node is told to give up everything. */
  onReset(node: number): void {
    this.#table(node).promised.clear();
  }

  onReleased(node: number, id: string): void {
    const held = this.#table(node).held.get(id);
    if (held !== undefined)
      this.#fault('not released', `${id} was released and still holds ${held.join(' and ')}`);
  }

  /** The node has other state than it had: none, or that of a while ago. Who relied on what is not in it is gone too. */
  onReplaced(node: number, store: ReadonlyMap<string, Uint8Array>): void {
    const { held, promised } = this.#table(node);
    for (const id of [...held.keys()]) this.#setHeld(node, id, []);
    for (const [key, value] of store) {
      if (key.startsWith(ALLOCATION_KEY)) this.onStored(node, [{ key, value }]);
    }
    for (const [id, addresses] of promised) {
      for (const address of addresses)
        if (held.get(id)?.includes(address) !== true) addresses.delete(address);
    }
  }

  #setHeld(node: number, id: string, addresses: readonly string[]): void {
    const { held } = this.#table(node);
    const holder = `${node} ${id}`;
    for (const address of held.get(id) ?? []) if (!addresses.includes(address)) this.#drop(address, holder);
    if (addresses.length === 0) held.delete(id);
    else held.set(id, addresses);
    for (const address of addresses) this.#add(address, holder);
  }

  #add(address: string, holder: string): void {
    const holders = this.#holders.get(address) ?? new Set();
    this.#holders.set(address, holders.add(holder));
    if (holders.size > 1) this.#onDouble(address, holders);
  }

  #drop(address: string, holder: string): void {
    const holders = this.#holders.get(address);
    holders?.delete(holder);
    if (holders?.size === 0) this.#holders.delete(address);
  }

  #onDouble(address: string, holders: ReadonlySet<string>): void {
    const [why] = this.#excuses.get(address) ?? [];
    if (why === undefined) this.#fault('double', `${address} is held by ${[...holders].join(' and by ')}`);
    else this.doubles.set(address, why);
  }

  #table(node: number): Table {
    const table = this.#tables.get(node) ?? { held: new Map(), promised: new Map() };
    this.#tables.set(node, table);
    return table;
  }
}
