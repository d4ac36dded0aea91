import type { PeerName } from '../core/peer-name.ts';
import type { Millis } from '../core/time.ts';
import { DEAD_AFTER } from './connection.ts';

/** By then the other end has missed us, too; doubled, as its silence may have begun later. */
const FORGOTTEN_AFTER: Millis = 2 * DEAD_AFTER;
const NONE = new Uint8Array(0);

/**
 * Connections that ended here and of whose end the other side may not know, as it is silent for it only. A new one to
 * that peer says which one it replaces; else the other side might keep the dead one and refuse the new one as a second.
 */
export class LostConnections {
  /** By peer, the one that ended last at the end. */
  readonly #lost = new Map<PeerName, { readonly sid: Uint8Array; readonly at: Millis }>();

  add(peer: PeerName, sid: Uint8Array, now: Millis): void {
    for (const [name, { at }] of this.#lost) {
      if (at + FORGOTTEN_AFTER > now) break;
      this.#lost.delete(name);
    }
    this.#lost.delete(peer);
    this.#lost.set(peer, { sid, at: now });
  }

  /** The sid of the last one to `peer`; empty if there was none. */
  sidOf(peer: PeerName | undefined): Uint8Array {
    return (peer && this.#lost.get(peer)?.sid) ?? NONE;
  }
}
