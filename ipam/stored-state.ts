import { fromHex, toHex } from '../core/bytes.ts';
import { pack } from '../core/msgpack.ts';
import type { PeerName } from '../core/peer-name.ts';
import type { RandomSource } from '../core/random.ts';
import type { StoreChange } from '../core/store.ts';
import type { Allocation } from './allocations.ts';
import { ALLOCATION_KEY, readAllocation } from './allocations.ts';
import { asHex, asInteger, asList, asText, decoded, SchemaViolation } from './closed-schema.ts';
import { decodeEntries, encodeEntries } from './delta-codec.ts';
import type { MemberEntry, RingEntry, VoterEntry } from './entries.ts';
import { GENERATION_BYTES, packOwner, readOwner, readOwners } from './owner-codec.ts';
import type { TakeOver } from './quarantine.ts';
import { MAX_VERSION } from './ring.ts';

/*
 * Keys of the store, all beginning with "ipam/":
 *   ipam/meta             [format, range text, peer name, generation 8, number of starts]
 *   ipam/ring             a delta with the ring of the home cluster
 *   ipam/voter            a delta with this peer's vote
 *   ipam/member/NAME/GEN  a delta with what another member said of itself
 *   ipam/take-over/ID     [victim, delta with the part of the ring that it wrote, who is waited for, now, strict]
 *   ipam/allocation/ID    [[address bytes, prefix], ...]
 */
const PREFIX = 'ipam/';
export const META_KEY = 'ipam/meta';
export const RING_KEY = 'ipam/ring';
export const VOTER_KEY = 'ipam/voter';
const MEMBER_KEY = 'ipam/member/';
const TAKE_OVER_KEY = 'ipam/take-over/';

const FORMAT = 1;

interface StoreOwner {
  /** Of the range, as text. */
  readonly range: string;
  readonly name: PeerName;
}

export interface StoredState {
  readonly owner: StoredOwner | undefined;
  readonly ring: RingEntry | undefined;
  readonly voter: VoterEntry | undefined;
  readonly members: readonly MemberEntry[];
  readonly takeOvers: readonly TakeOver[];
  readonly allocations: readonly Allocation[];
}

interface StoredOwner {
  readonly range: string;
  readonly name: string;
  readonly generation: string;
  /** How often this state was started with. */
  readonly life: number;
}

/** A store that this peer cannot go on with. The message is a sentence for the operator. */
export class UnusableStore extends Error {
  override name = 'UnusableStore';
}

/** A store that holds what nobody wrote so; the message says where in it. */
export class DamagedState extends UnusableStore {}

/** Reads the keys of the store that begin with "ipam/"; others are ignored. Throws {@link UnusableStore}. */
export function readStored(stored: ReadonlyMap<string, Uint8Array>): StoredState {
  return {
    owner: readKey(stored, META_KEY, readMeta),
    ring: readKey(stored, RING_KEY, (bytes) => readEntry(bytes, 'ring')),
    voter: readKey(stored, VOTER_KEY, (bytes) => readEntry(bytes, 'voter')),
    members: readAll(stored, MEMBER_KEY, (_, bytes) => readEntry(bytes, 'member')),
    takeOvers: readAll(stored, TAKE_OVER_KEY, readTakeOver),
    allocations: readAll(stored, ALLOCATION_KEY, readAllocation),
  };
}

/**
 * A sentence if the store belongs to another peer or range and holds addresses that are handed out; then the daemon
 * must not start. A store of another peer or range that holds none is to be discarded: see {@link isForeign}.
 */
export function storeMismatch(stored: StoredState, owner: StoreOwner): string | undefined {
  if (!isForeign(stored, owner) || stored.allocations.length === 0) return undefined;
  const count = stored.allocations.length;
  const held = count === 1 ? 'one allocation is recorded' : `${count} allocations are recorded`;
  if (stored.owner!.range !== owner.range) {
    return (
      `the stored address range is ${stored.owner!.range}, this launch says ${owner.range}, and ${held}: ` +
      `launch with --ipalloc-range ${stored.owner!.range}, and reset before it is changed`
    );
  }
  return (
    `the stored peer name is ${stored.owner!.name}, this launch says ${owner.name}, and ${held}: ` +
    `launch with --name ${stored.owner!.name}, and reset before it is changed`
  );
}

export function isForeign(stored: StoredState, owner: StoreOwner): boolean {
  if (stored.owner === undefined) return false;
  return stored.owner.range !== owner.range || stored.owner.name !== owner.name;
}

/** What a start begins with. */
export interface OpenedState {
  readonly state: StoredState;
  readonly generation: string;
  /** The number of this start. */
  readonly life: number;
  /** Keys to delete. */
  readonly discarded: readonly string[];
}

/**
 * Reads the store for `owner`; one of another name or range is discarded, as nothing is handed out in it, and its
 * generation with it: it may have voted. `generation` = that of a state which has none of its own yet. Throws
 * {@link UnusableStore}.
 */
export function openStored(
  stored: ReadonlyMap<string, Uint8Array>,
  owner: StoreOwner,
  generation: string,
  random: RandomSource,
): OpenedState {
  const state = readStored(stored);
  const mismatch = storeMismatch(state, owner);
  if (mismatch !== undefined) throw new UnusableStore(mismatch);
  const before = state.owner;
  if (!isForeign(state, owner)) {
    const life = (before?.life ?? 0) + 1;
    return { state, generation: before?.generation ?? generation, life, discarded: [] };
  }
  const discarded = [...stored.keys()].filter((key) => key.startsWith(PREFIX));
  const fresh = toHex(random.bytes(GENERATION_BYTES));
  return { state: readStored(new Map()), generation: fresh, life: before!.life + 1, discarded };
}

export function metaChange(owner: StoreOwner, generation: string, life: number): StoreChange {
  return { key: META_KEY, value: pack([FORMAT, owner.range, owner.name, fromHex(generation), life]) };
}

/** Writes what a member said, or with `forget` deletes it. */
export function memberChange(entry: MemberEntry, forget: boolean): StoreChange {
  const key = `${MEMBER_KEY}${entry.name}/${entry.generation}`;
  return { key, value: forget ? undefined : encodeEntries([entry]) };
}

export function takeOverChange(id: string, takeOver: TakeOver | undefined): StoreChange {
  return { key: TAKE_OVER_KEY + id, value: takeOver && packTakeOver(takeOver) };
}

function packTakeOver({ victim, ring, waiting, now, strict }: TakeOver): Uint8Array {
  return pack([packOwner(victim), encodeEntries([ring]), waiting.map(packOwner), now, strict]);
}

function readTakeOver(key: string, bytes: Uint8Array): TakeOver {
  const [victim, ring, waiting, now, strict] = asList(decoded(bytes), key);
  if (!(ring instanceof Uint8Array)) throw new SchemaViolation('no ring');
  return {
    id: key.slice(TAKE_OVER_KEY.length),
    victim: readOwner(victim),
    ring: readEntry(ring, 'ring'),
    waiting: readOwners(waiting),
    now: now === true,
    strict: strict === true,
  };
}

function readMeta(bytes: Uint8Array): StoredOwner {
  const [format, range, name, generation, life] = asList(decoded(bytes), 'the description');
  asInteger(format, FORMAT, FORMAT, 'the format');
  return {
    range: asText(range, 64, 'the range'),
    name: asText(name, 64, 'the name'),
    generation: asHex(generation, GENERATION_BYTES, 'the generation'),
    life: asInteger(life, 1, MAX_VERSION, 'the number of starts'),
  };
}

function readEntry<Type extends 'ring' | 'voter' | 'member'>(
  bytes: Uint8Array,
  type: Type,
): Extract<RingEntry | VoterEntry | MemberEntry, { type: Type }> {
  const [entry] = decodeEntries(bytes);
  if (entry?.type !== type) throw new SchemaViolation(`no ${type}`);
  return entry as Extract<RingEntry | VoterEntry | MemberEntry, { type: Type }>;
}

/** What is stored under the keys that begin with `prefix`, ascending by key. */
function readAll<T>(
  stored: ReadonlyMap<string, Uint8Array>,
  prefix: string,
  read: (key: string, bytes: Uint8Array) => T,
): T[] {
  return [...stored.keys()]
    .filter((key) => key.startsWith(prefix))
    .sort()
    .map((key) => guarded(key, () => read(key, stored.get(key)!)));
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
    throw new DamagedState(`what is stored as "${key}" is not readable: ${error.message}`);
  }
}
