import { fromHex } from '../core/bytes.ts';
import type { PeerName } from '../core/peer-name.ts';
import { PEER_NAME_BYTES, writePeerName } from '../core/peer-name.ts';
import { asHex, asList, asPeerName, SchemaViolation } from './closed-schema.ts';
import type { Owner } from './entries.ts';

export const GENERATION_BYTES = 8;
export const MAX_OWNERS = 10_000;

/** [name 6, generation 8] */
export function packOwner(owner: Owner): unknown {
  return [nameBytes(owner.owner), fromHex(owner.generation)];
}

/** Throws {@link SchemaViolation}, as {@link readOwner} does. */
export function readOwners(value: unknown): Owner[] {
  const list = asList(value, 'owners');
  if (list.length > MAX_OWNERS) throw new SchemaViolation('too many owners');
  return list.map(readOwner);
}

export function readOwner(value: unknown): Owner {
  const [name, generation] = asList(value, 'an owner');
  return {
    owner: asPeerName(name, 'a name'),
    generation: asHex(generation, GENERATION_BYTES, 'a generation'),
  };
}

export function nameBytes(name: PeerName): Uint8Array {
  const out = new Uint8Array(PEER_NAME_BYTES);
  writePeerName(name, out, 0);
  return out;
}
