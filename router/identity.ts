import { concatBytes } from '../core/bytes.ts';
import type { PeerName } from '../core/peer-name.ts';
import { readPeerName } from '../core/peer-name.ts';
import type { RandomSource } from '../core/random.ts';
import type { StoreChange } from '../core/store.ts';
import { MAX_INCARNATION } from '../gossip/topology-entry.ts';
import { KEY_BYTES } from './crypto/primitives.ts';
import type { KeyPair, Primitives } from './crypto/primitives.ts';
import { ByteReader, ByteWriter } from './link/byte-cursor.ts';

export const IDENTITY_KEY = 'identity';
const GENERATION_BYTES = 8;
const FORMAT = 1;

/** What a node is across its runs. */
export interface Identity {
  readonly name: PeerName;
  readonly staticKey: KeyPair;
  /** Higher than in any run before, as long as there are higher ones. */
  readonly incarnation: number;
  /** 64 random bits of this state directory. */
  readonly generation: Uint8Array;
}

export interface LoadedIdentity {
  readonly identity: Identity;
  /** To be durable before the network starts: an incarnation is used once. */
  readonly changes: readonly StoreChange[];
  /** The name that is stored, where the operator gave another one. */
  readonly renamedFrom: PeerName | undefined;
}

/**
 * The identity in `stored`, its incarnation raised, or a new one. Stored as: format u8 = 1 | name 6 | static secret 32
 * | incarnation u64 LE | generation 8. An error is a sentence for the operator; nothing is replaced then.
 */
export function loadIdentity(
  stored: ReadonlyMap<string, Uint8Array>,
  overrides: { readonly name: PeerName | undefined },
  primitives: Primitives,
  random: RandomSource,
): LoadedIdentity | { readonly error: string } {
  const bytes = stored.get(IDENTITY_KEY);
  const before = bytes === undefined ? newIdentity(primitives, random) : decodeIdentity(bytes, primitives);
  if (before === undefined) return { error: `the stored "${IDENTITY_KEY}" is damaged` };
  const identity: Identity = {
    ...before,
    name: overrides.name ?? before.name,
    // At the end, which only a forged entry of ours brings near, gossip finds a version that is past the last run's.
    incarnation: Math.min(before.incarnation + 1, MAX_INCARNATION),
  };
  const renamed = bytes !== undefined && identity.name !== before.name;
  return {
    identity,
    changes: [identityChange(identity)],
    renamedFrom: renamed ? before.name : undefined,
  };
}

export function identityChange(identity: Identity): StoreChange {
  const { name, staticKey, incarnation, generation } = identity;
  const value = new ByteWriter()
    .u8(FORMAT)
    .name(name)
    .bytes(staticKey.secret)
    .u64(incarnation)
    .bytes(generation)
    .done();
  return { key: IDENTITY_KEY, value };
}

/** The static key is in the store: these copies of it are of no more use. */
export function wipeIdentity(changes: readonly StoreChange[]): void {
  for (const { key, value } of changes) if (key === IDENTITY_KEY) value?.fill(0);
}

function decodeIdentity(bytes: Uint8Array, primitives: Primitives): Identity | undefined {
  const reader = new ByteReader(bytes);
  if (reader.u8() !== FORMAT) return undefined;
  const name = reader.name();
  const secret = reader.bytes(KEY_BYTES);
  const incarnation = reader.u64();
  const generation = reader.bytes(GENERATION_BYTES);
  if (reader.failed || !reader.atEnd) return undefined;
  return { name, staticKey: keyPairOf(secret, primitives), incarnation, generation };
}

/** Wipes `secret`, of which the pair has a copy. */
function keyPairOf(secret: Uint8Array, primitives: Primitives): KeyPair {
  const pair = primitives.keyPairFromSeed(secret);
  primitives.wipe(secret);
  return pair;
}

/** The incarnation is raised before it is used: the first run has 1. */
function newIdentity(primitives: Primitives, random: RandomSource): Identity {
  return {
    name: randomName(random),
    staticKey: keyPairOf(random.bytes(KEY_BYTES), primitives),
    incarnation: 0,
    generation: random.bytes(GENERATION_BYTES),
  };
}

/** Locally administered and unicast, as a MAC has to be; never from a machine's id, which clones share. */
function randomName(random: RandomSource): PeerName {
  const [first, ...rest] = random.bytes(6);
  return readPeerName(concatBytes(Uint8Array.of((first! & 0xfc) | 0x02), Uint8Array.from(rest)), 0);
}
