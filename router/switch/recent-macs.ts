import { readMac, type Mac } from '../wire/mac.ts';

/** A power of two. */
const SLOTS = 1_024;

/**
 * Reads MACs from frames. A MAC is too large for what V8 keeps outside its heap, so that each reading would allocate a
 * number there; the number that was made for the last MAC of a slot is handed out again instead.
 */
export class RecentMacs {
  /** The first two and the other four bytes of the MAC in each slot. */
  readonly #high = new Uint16Array(SLOTS);
  readonly #low = new Int32Array(SLOTS);
  /** Filled with what is no number, or V8 would store the bare doubles and make a number of each at every look. */
  readonly #macs: (Mac | undefined)[] = new Array<Mac | undefined>(SLOTS).fill(undefined);

  /** The MAC at `at`; the caller has checked the length. */
  read(bytes: Uint8Array, at: number): Mac {
    const high = (bytes[at]! << 8) | bytes[at + 1]!;
    const low = (bytes[at + 2]! << 24) | (bytes[at + 3]! << 16) | (bytes[at + 4]! << 8) | bytes[at + 5]!;
    const slot = (low ^ (low >>> 10) ^ high) & (SLOTS - 1);
    const known = this.#macs[slot];
    if (known !== undefined && this.#low[slot] === low && this.#high[slot] === high) return known;
    const mac = readMac(bytes, at);
    this.#high[slot] = high;
    this.#low[slot] = low;
    this.#macs[slot] = mac;
    return mac;
  }
}
