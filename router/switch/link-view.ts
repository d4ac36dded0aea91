import type { PeerName } from '../../core/peer-name.ts';
import type { MessageBatch } from '../engine/port.ts';

/** How to send to a peer now. The switch reads it at once, so the same object may be handed out again and again. */
export interface LinkRoute {
  readonly session: number;
  readonly path: number;
  readonly plain: boolean;
  /** Largest IP packet, in bytes, that goes in one datagram. */
  readonly innerMtu: number;
}

/** Whether what was decided by the one is right by the other. */
export function sameRoute(a: LinkRoute | undefined, b: LinkRoute | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.session === b.session && a.path === b.path && a.plain === b.plain && a.innerMtu === b.innerMtu;
}

/** The links of the node, as the switch sees them. */
export interface LinkView {
  /** Undefined = no usable session yet. */
  route(peer: PeerName): LinkRoute | undefined;
  /**
   * Something is to go to a peer without a route: a session is wanted. `message`, a whole inner message that the
   * callee owns, waits for it and comes back by Switch.planHeld; undefined = nothing can wait.
   */
  hold(peer: PeerName, message: Uint8Array | undefined): void;
  /** Whose entry `i` is; undefined = not to be taken: no such session, or plain where that is not welcome. */
  sender(batch: MessageBatch, i: number): PeerName | undefined;
}
