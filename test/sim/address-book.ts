import { formatIp } from '../../core/address.ts';
import type { SimNode } from './sim-node.ts';

/** What was asked of address allocation and what was promised: the model that the nodes are held against. */
export class AddressBook {
  readonly #faults: string[];
  /** Who asked and has no answer yet, by id. */
  readonly #open = new Map<string, SimNode>();
  /** Address to id, as answered. */
  readonly #promised = new Map<string, { readonly id: string; readonly node: SimNode }>();
  readonly #refusals: string[] = [];
  #last = 0;

  /** Broken promises are added to `faults`. */
  constructor(faults: string[]) {
    this.#faults = faults;
  }

  /** Ids without an answer whose node has not crashed since. */
  get open(): string[] {
    return [...this.#open.keys()];
  }

  get promised(): number {
    return this.#promised.size;
  }

  /** Why requests were refused: nodes that are cut off from all free space say so. */
  get refusals(): readonly string[] {
    return this.#refusals;
  }

  /** Asks `node` for an address. */
  allocate(node: SimNode): void {
    const id = `host${node.number}-${++this.#last}`;
    this.#open.set(id, node);
    node.ask({ type: 'allocate', id }, (result) => {
      this.#open.delete(id);
      if (result.type !== 'addresses') this.#refusals.push(`${id}: ${JSON.stringify(result)}`);
      else this.#promise(formatIp(result.addresses[0]!.ip), id, node);
    });
  }

  /** `node` crashed: what it was asked is answered to nobody, though the address may be taken. */
  forgetOpen(node: SimNode): void {
    for (const [id, asker] of this.#open) if (asker === node) this.#open.delete(id);
  }

  /**
   * Asks all `nodes` what they hold: every address at most once, and every promise kept. `wait` lets time pass until it is
   * true: a list is answered at once, or once the store has committed what it is about to.
   */
  audit(nodes: readonly SimNode[], wait: (until: () => boolean) => void): void {
    const held = new Map<string, string>();
    let lists = 0;
    for (const node of nodes) {
      node.ask({ type: 'list' }, (result) => {
        if (result.type === 'allocations') lists++;
        for (const { id, addresses } of result.type === 'allocations' ? result.allocations : []) {
          for (const { ip } of addresses) this.#hold(held, formatIp(ip), id);
        }
      });
    }
    wait(() => lists === nodes.length);
    if (lists < nodes.length) this.#faults.push(`${nodes.length - lists} nodes do not list what they hold`);
    for (const [address, { id, node }] of this.#promised) {
      if (nodes.includes(node) && held.get(address) !== id) {
        this.#faults.push(`${address} was promised to ${id} and is lost`);
      }
    }
  }

  #promise(address: string, id: string, node: SimNode): void {
    const holder = this.#promised.get(address);
    if (holder !== undefined) this.#faults.push(`${address} is held by ${holder.id} and by ${id}`);
    this.#promised.set(address, { id, node });
  }

  #hold(held: Map<string, string>, address: string, id: string): void {
    const other = held.get(address);
    if (other !== undefined) this.#faults.push(`${address} is in the stores of ${other} and of ${id}`);
    held.set(address, id);
  }
}
