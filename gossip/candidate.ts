import type { PeerName } from '../core/peer-name.ts';
import { HOUR, type Millis } from '../core/time.ts';

/** How long peers that left the topology are still tried. */
export const CANDIDATE_FOR: Millis = 24 * HOUR;

/** A peer that is or was connected, as it is persisted. */
export interface Candidate {
  readonly name: PeerName;
  readonly addresses: readonly string[];
  /** Time for which it is still to be tried. */
  readonly remaining: Millis;
}
