import { PEER_NAME_BYTES } from '../core/peer-name.ts';

/** Names as bytes, each once, in the order in which they were first added: a hash table that makes no objects. */
export class NameTable {
  #size = 0;
  readonly #names: Uint8Array;
  /** Index of a name plus one; 0 = free. At least half of them are. */
  readonly #slots: Uint32Array;
  readonly #mask: number;

  /** For at most `most` names. */
  constructor(most: number) {
    const slots = 2 ** Math.ceil(Math.log2(Math.max(2, 2 * most)));
    this.#names = new Uint8Array(most * PEER_NAME_BYTES);
    this.#slots = new Uint32Array(slots);
    this.#mask = slots - 1;
  }

  get size(): number {
    return this.#size;
  }

  /** All names, six bytes each. */
  get bytes(): Uint8Array {
    return this.#names.subarray(0, this.#size * PEER_NAME_BYTES);
  }

  /** Adds `names` and writes their indexes to `indexes` from `at` on; returns where they end. */
  addAll(names: Uint8Array, indexes: Uint16Array, at: number): number {
    let to = at;
    for (let from = 0; from < names.length; from += PEER_NAME_BYTES) indexes[to++] = this.#add(names, from);
    return to;
  }

  #add(names: Uint8Array, from: number): number {
    for (let slot = hashAt(names, from) & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const taken = this.#slots[slot]!;
      if (taken === 0) return this.#take(slot, names, from);
      if (this.#holds(taken - 1, names, from)) return taken - 1;
    }
  }

  #take(slot: number, names: Uint8Array, from: number): number {
    const at = this.#size * PEER_NAME_BYTES;
    for (let i = 0; i < PEER_NAME_BYTES; i++) this.#names[at + i] = names[from + i]!;
    this.#slots[slot] = ++this.#size;
    return this.#size - 1;
  }

  #holds(index: number, names: Uint8Array, from: number): boolean {
    const at = index * PEER_NAME_BYTES;
    for (let i = 0; i < PEER_NAME_BYTES; i++) if (this.#names[at + i] !== names[from + i]) return false;
    return true;
  }
}

/** FNV-1a, its high bits folded in. */
function hashAt(bytes: Uint8Array, from: number): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < PEER_NAME_BYTES; i++) hash = Math.imul(hash ^ bytes[from + i]!, 0x01000193);
  return hash ^ (hash >>> 15);
}
