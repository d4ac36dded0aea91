import type { PeerName } from '../../core/peer-name.ts';
import type { RoutesSnapshot } from '../../core/routes.ts';
import { SECOND } from '../../core/time.ts';
import type { Millis } from '../../core/time.ts';
import type { ToData } from '../node-messages.ts';
import type { CircuitMessage } from './circuit-message.ts';
import type { IndexAllocator } from './index-allocator.ts';

/** The sessions that the data plane holds: by its id, and by the name that both ends know. */
export interface SessionNames {
  nameOf(peer: PeerName, id: number): string | undefined;
  idOf(peer: PeerName, name: string): number | undefined;
}

/** What relays and ends of circuits share with their node. */
export interface CircuitContext {
  readonly self: PeerName;
  readonly indexes: IndexAllocator;
  routes(): RoutesSnapshot | undefined;
  readonly sessions: SessionNames;
  /** Sends to a neighbour on the control plane. */
  send(to: PeerName, message: CircuitMessage): void;
  toData(message: ToData): void;
}

const OPEN_TIMEOUT_PER_HOP: Millis = 2 * SECOND;

/**
 * How long the peer at `position` waits for `opened`: less than whoever is before it, so that the edge that does not
 * answer is blamed, and not the way to it.
 */
export function openTimeout(peers: number, position: number): Millis {
  return OPEN_TIMEOUT_PER_HOP * (peers - position);
}
