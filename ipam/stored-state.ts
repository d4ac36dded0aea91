import { pack } from '../core/msgpack.ts';
import type { PeerName } from '../core/peer-name.ts';
import type { StoreChange } from '../core/store.ts';
import type { Allocation } from './allocations.ts';
import { ALLOCATION_KEY, readAllocation } from './allocations.ts';
import { asInteger, asList, asText, decoded, SchemaViolation } from './closed-schema.ts';
import { decodeEntries } from './delta-codec.ts';
import type { RingEntry, VoterEntry } from './entries.ts';

/*
 * Keys of the store, all beginning with "ipam/":
 *   ipam/meta             [format, range text, peer name]
 *   ipam/ring             a delta with the ring of the home cluster
 *   ipam/voter            a delta with this peer's vote
 *   ipam/allocation/ID    [[address bytes, prefix], ...]
 */
export const PREFIX = 'ipam/';
const META_KEY = 'ipam/meta';
export const RING_KEY = 'ipam/ring';
export const VOTER_KEY = 'ipam/voter';

const FORMAT = 1;

interface StoreOwner {
  /** Of the range, as text. */
  readonly range: string;
  readonly name: PeerName;
}

export interface StoredState {
  readonly owner: { readonly range: string; readonly name: string } | undefined;
  readonly ring: RingEntry | undefined;
  readonly voter: VoterEntry | undefined;
  readonly allocations: readonly Allocation[];
}

/** A store that this peer cannot go on with. The message is a sentence for the operator. */
export class UnusableStore extends Error {
  override name = 'UnusableStore';
}

/** Reads the keys of the store that begin with "ipam/"; others are ignored. Throws {@link UnusableStore}. */
export function readStored(stored: ReadonlyMap<string, Uint8Array>): StoredState {
  const allocations = [...stored.keys()]
    .filter((key) => key.startsWith(ALLOCATION_KEY))
    .sort()
    .map((key) => guarded(key, () => readAllocation(key, stored.get(key)!)));
  return {
    owner: readKey(stored, META_KEY, readMeta),
    ring: readKey(stored, RING_KEY, (bytes) => readEntry(bytes, 'ring')),
    voter: readKey(stored, VOTER_KEY, (bytes) => readEntry(bytes, 'voter')),
    allocations,
  };
}

/**
 * A sentence if the store belongs to another peer or range and holds addresses that are handed out; then the daemon
 * must not start. A store of another peer or range that holds none is to be discarded: see {@link isForeign}.
 */
export function storeMismatch(stored: StoredState, owner: StoreOwner): string | undefined {
  if (!isForeign(stored, owner) || stored.allocations.length === 0) return undefined;
  const held = `${stored.allocations.length} allocations are recorded`;
  if (stored.owner!.range !== owner.range) {
    return (
      `the stored address range is ${stored.owner!.range}, this launch says ${owner.range}, and ${held}: ` +
      `launch with --ipalloc-range ${stored.owner!.range} or reset first`
    );
  }
  return (
    `the stored peer name is ${stored.owner!.name}, this launch says ${owner.name}, and ${held}: ` +
    `launch with --name ${stored.owner!.name} or reset first`
  );
}

export function isForeign(stored: StoredState, owner: StoreOwner): boolean {
  if (stored.owner === undefined) return false;
  return stored.owner.range !== owner.range || stored.owner.name !== owner.name;
}

export function metaChange(owner: StoreOwner): StoreChange {
  return { key: META_KEY, value: pack([FORMAT, owner.range, owner.name]) };
}

function readMeta(bytes: Uint8Array): { range: string; name: string } {
  const [format, range, name] = asList(decoded(bytes), 'the description');
  asInteger(format, FORMAT, FORMAT, 'the format');
  return { range: asText(range, 64, 'the range'), name: asText(name, 64, 'the name') };
}

function readEntry<Type extends 'ring' | 'voter'>(
  bytes: Uint8Array,
  type: Type,
): Extract<RingEntry | VoterEntry, { type: Type }> {
  const [entry] = decodeEntries(bytes);
  if (entry?.type !== type) throw new SchemaViolation(`no ${type}`);
  return entry as Extract<RingEntry | VoterEntry, { type: Type }>;
}

function readKey<T>(
  stored: ReadonlyMap<string, Uint8Array>,
  key: string,
  read: (bytes: Uint8Array) => T,
): T | undefined {
  const bytes = stored.get(key);
  return bytes === undefined ? undefined : guarded(key, () => read(bytes));
}

function guarded<T>(key: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof SchemaViolation)) throw error;
    throw new UnusableStore(`the store is damaged at "${key}": ${error.message}`);
  }
}
