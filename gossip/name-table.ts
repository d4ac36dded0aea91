import { PEER_NAME_BYTES } from '../core/peer-name.ts';

/** The names that lists of names hold, each once, in the order in which they come first. */
export interface NameTable {
  readonly size: number;
  /** Six bytes each. */
  readonly bytes: Uint8Array;
  /** Of the names of all lists, one list after the other. */
  readonly indexes: Uint16Array;
}

/**
 * Of names as numbers (48 bits), at most 65,536 in all. By sorting, as whoever chooses names could make any hash table slow
 * whose hash is known.
 */
export function nameTable(lists: readonly Float64Array[]): NameTable {
  const all = joined(lists);
  const ascending = distinct(Float64Array.from(all).sort());
  const indexes = new Uint16Array(all.length);
  const bytes = new Uint8Array(ascending.length * PEER_NAME_BYTES);
  /** Of each of `ascending`, plus one; 0 = it has not come yet. */
  const indexOf = new Uint32Array(ascending.length);
  let size = 0;
  all.forEach((name, i) => {
    const place = placeOf(name, ascending);
    if (indexOf[place] === 0) {
      writeName(name, bytes, size * PEER_NAME_BYTES);
      indexOf[place] = ++size;
    }
    indexes[i] = indexOf[place]! - 1;
  });
  return { size, bytes, indexes };
}

function joined(lists: readonly Float64Array[]): Float64Array {
  const all = new Float64Array(lists.reduce((sum, list) => sum + list.length, 0));
  let at = 0;
  for (const list of lists) {
    all.set(list, at);
    at += list.length;
  }
  return all;
}

/** In place. */
function distinct(ascending: Float64Array): Float64Array {
  let size = 0;
  for (const name of ascending) if (size === 0 || name !== ascending[size - 1]) ascending[size++] = name;
  return ascending.subarray(0, size);
}

/** `name` is one of them. */
function placeOf(name: number, ascending: Float64Array): number {
  let low = 0;
  let high = ascending.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ascending[middle]! < name) low = middle + 1;
    else high = middle;
  }
  return low;
}

function writeName(name: number, out: Uint8Array, at: number): void {
  let rest = name;
  for (let i = PEER_NAME_BYTES - 1; i >= 0; i--) {
    out[at + i] = rest % 256;
    rest = Math.floor(rest / 256);
  }
}
