import { toHex, utf8 } from '../core/bytes.ts';
import type { PeerName } from '../core/peer-name.ts';
import { compareNames } from '../core/peer-name.ts';
import type { AddressRange } from './range.ts';
import type { Ring } from './ring.ts';
import { initialRing, NO_GENERATION } from './ring.ts';
import { sha512 } from '../core/sha512.ts';

/** Bytes of a cluster id: the outcome of one election, or the hash of one seed list. */
export const CLUSTER_ID_BYTES = 16;

/** The cluster and first ring that every peer given the same range and names computes for itself. */
export function seedRing(range: AddressRange, names: readonly PeerName[]): { clusterId: string; ring: Ring } {
  const sorted = [...names].sort(compareNames);
  const digest = sha512(utf8(`weave-ts seed\n${range.text}\n${sorted.join(',')}`));
  const owners = sorted.map((owner) => ({ owner, generation: NO_GENERATION }));
  return { clusterId: toHex(digest.subarray(0, CLUSTER_ID_BYTES)), ring: initialRing(range.size, owners) };
}
