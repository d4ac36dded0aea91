import type { Cidr, IpAddress } from '../core/address.ts';
import { compareIp, equalIp, ipFromBytes, ipToBytes, networkOf } from '../core/address.ts';
import { pack } from '../core/msgpack.ts';
import { compareNames } from '../core/peer-name.ts';
import type { StoreChange } from '../core/store.ts';
import type { Millis } from '../core/time.ts';
import { MINUTE } from '../core/time.ts';
import { asInteger, asList, decoded, SchemaViolation } from './closed-schema.ts';
import type { AddressRange, Span } from './range.ts';
import { spansHave } from './range.ts';

/** An address is not used again for this long unless nothing else is left: stale ARP entries die out meanwhile. */
const REST: Millis = 5 * MINUTE;

export const ALLOCATION_KEY = 'ipam/allocation/';

/** What has to be written, and which addresses of the range are handed out no longer. */
export interface Removed extends StoreChange {
  readonly released: readonly number[];
}

export interface Allocation {
  readonly id: string;
  /** Ascending; each address with the prefix of the subnet that it was asked for in. */
  readonly addresses: readonly Cidr[];
}

/**
 * Who holds which address on this node. Addresses outside the range are recorded too.
 * Changes return what has to be written for them; nothing here knows when that is durable.
 */
export class Allocations {
  readonly #range: AddressRange;
  readonly #byId = new Map<string, readonly Cidr[]>();
  readonly #holders = new Map<number, string>();
  /** In the order in which the rests end. */
  readonly #restUntil = new Map<number, Millis>();

  constructor(range: AddressRange, restored: readonly Allocation[]) {
    this.#range = range;
    for (const { id, addresses } of restored) for (const cidr of addresses) this.add(id, cidr);
  }

  /** Addresses of the range that are handed out. */
  get active(): number {
    return this.#holders.size;
  }

  /** Ascending by id. */
  list(): Allocation[] {
    return [...this.#byId]
      .map(([id, addresses]) => ({ id, addresses }))
      .sort((a, b) => compareNames(a.id, b.id));
  }

  addressesOf(id: string): readonly Cidr[] {
    return this.#byId.get(id) ?? [];
  }

  /** What `id` holds in exactly this subnet. */
  find(id: string, subnet: Cidr): Cidr | undefined {
    return this.addressesOf(id).find(
      (cidr) => cidr.prefix === subnet.prefix && equalIp(networkOf(cidr), networkOf(subnet)),
    );
  }

  holderOf(offset: number): string | undefined {
    return this.#holders.get(offset);
  }

  isResting(offset: number, now: Millis): boolean {
    const until = this.#restUntil.get(offset);
    return until !== undefined && now < until;
  }

  /** Those whose rest is over, once. */
  endRests(now: Millis): number[] {
    const over: number[] = [];
    for (const [offset, until] of this.#restUntil) {
      if (now < until) break;
      over.push(offset);
    }
    for (const offset of over) this.#restUntil.delete(offset);
    return over;
  }

  /** Offsets that were released and are not handed out again, in no particular order. */
  resting(): IterableIterator<number> {
    return this.#restUntil.keys();
  }

  /** How many offsets of `spans` (sorted and disjoint) are handed out. */
  countIn(spans: readonly Span[]): number {
    let count = 0;
    for (const offset of this.#holders.keys()) if (spansHave(spans, offset)) count++;
    return count;
  }

  /** Offsets that are handed out and in none of `spans` (sorted and disjoint), ascending. */
  outside(spans: readonly Span[]): number[] {
    const out: number[] = [];
    for (const offset of this.#holders.keys()) if (!spansHave(spans, offset)) out.push(offset);
    return out.sort((a, b) => a - b);
  }

  /** Offsets that are handed out, ascending. */
  handedOut(): number[] {
    return [...this.#holders.keys()].sort((a, b) => a - b);
  }

  /** Offsets that are handed out or, if `resting`, were a moment ago; ascending. */
  unavailable(resting: boolean, now: Millis): number[] {
    const offsets = new Set(this.#holders.keys());
    if (resting) {
      for (const [offset, until] of this.#restUntil) if (now < until) offsets.add(offset);
    }
    return [...offsets].sort((a, b) => a - b);
  }

  add(id: string, cidr: Cidr): StoreChange {
    const others = this.addressesOf(id).filter((held) => !equalIp(held.ip, cidr.ip));
    this.#byId.set(
      id,
      [...others, cidr].sort((a, b) => compareIp(a.ip, b.ip)),
    );
    const offset = this.#range.offsetOf(cidr.ip);
    if (offset !== undefined) {
      this.#holders.set(offset, id);
      this.#restUntil.delete(offset);
    }
    return this.#changeOf(id);
  }

  /** Takes one address from `id`, or all; undefined if it holds none such. */
  remove(id: string, ip: IpAddress | undefined, now: Millis): Removed | undefined {
    const held = this.addressesOf(id);
    const gone = ip === undefined ? held : held.filter((cidr) => equalIp(cidr.ip, ip));
    if (gone.length === 0) return undefined;
    const kept = held.filter((cidr) => !gone.includes(cidr));
    if (kept.length === 0) this.#byId.delete(id);
    else this.#byId.set(id, kept);
    const released: number[] = [];
    for (const cidr of gone) {
      const offset = this.#range.offsetOf(cidr.ip);
      if (offset === undefined) continue;
      this.#holders.delete(offset);
      this.#restUntil.set(offset, now + REST);
      released.push(offset);
    }
    return { ...this.#changeOf(id), released };
  }

  #changeOf(id: string): StoreChange {
    const addresses = this.#byId.get(id);
    const value = addresses?.map((cidr) => [ipToBytes(cidr.ip), cidr.prefix]);
    return { key: ALLOCATION_KEY + id, value: value && pack(value) };
  }
}

/** The inverse of what a change writes. Throws {@link SchemaViolation}. */
export function readAllocation(key: string, value: Uint8Array): Allocation {
  const addresses = asList(decoded(value), key).map((item) => {
    const [bytes, prefix] = asList(item, key);
    const ip = bytes instanceof Uint8Array ? ipFromBytes(bytes) : undefined;
    if (ip === undefined) throw new SchemaViolation(`${key} holds something that is no address`);
    return { ip, prefix: asInteger(prefix, 0, ip.family === 4 ? 32 : 128, key) };
  });
  return { id: key.slice(ALLOCATION_KEY.length), addresses };
}
