import type { IpAddress } from '../core/address.ts';
import { addressKey, sourceOf } from './source.ts';

const MAX_KNOWN = 4_096;

/** Addresses at which a password was proved to us, the latest ones. Only who knows a password can displace any. */
export class KnownAddresses {
  /** Latest last. */
  readonly #known = new Set<string>();

  get size(): number {
    return this.#known.size;
  }

  has(ip: IpAddress): boolean {
    return this.isKnown(addressKey(ip));
  }

  /**
   * Whom limits count against: a known address is itself, whatever strangers in its /64 do; any other is its source.
   * Who shares the very address cannot be told apart.
   */
  keyOf(ip: IpAddress): string {
    return this.has(ip) ? addressKey(ip) : sourceOf(ip);
  }

  /** Whether `key` is that of a known address. */
  isKnown(key: string): boolean {
    return this.#known.has(key);
  }

  add(ip: IpAddress): void {
    const key = addressKey(ip);
    this.#known.delete(key);
    this.#known.add(key);
    if (this.#known.size > MAX_KNOWN) this.#known.delete(this.#known.values().next().value!);
  }
}
