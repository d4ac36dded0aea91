import { compareBytes, equalBytes } from '../core/bytes.ts';
import type { PeerName } from '../core/peer-name.ts';
import type { Hello } from './messages.ts';

/** A connection on which hello has been said both ways. `replaces`: what its dialler announced, or empty. */
export interface Greeted {
  readonly hello: Hello;
  readonly sid: Uint8Array;
  readonly replaces: Uint8Array;
}

export interface AdmissionView {
  readonly self: { readonly name: PeerName; readonly uid: string };
  /** The connection that serves that peer now. */
  readonly existing: Greeted | undefined;
  /** The uid of a reachable peer of that name in the topology. */
  readonly knownUid: string | undefined;
  /** Whether another peer would exceed the connection limit. */
  readonly isFull: boolean;
}

/**
 * What becomes of a newly greeted connection. `replace`: it serves instead of the existing one; `duplicate`: the
 * existing one goes on serving; `contest`: first see whether the process with that uid is alive.
 */
export type Admission =
  | { readonly verdict: 'accept' | 'replace' | 'duplicate' | 'ourself' | 'our-name' | 'full' }
  | { readonly verdict: 'contest'; readonly incumbentUid: string };

export function admit(newcomer: Greeted, view: AdmissionView): Admission {
  const { hello } = newcomer;
  if (hello.name === view.self.name) {
    return { verdict: hello.uid === view.self.uid ? 'ourself' : 'our-name' };
  }
  if (view.existing?.hello.uid === hello.uid) {
    return { verdict: wins(newcomer, view.existing) ? 'replace' : 'duplicate' };
  }
  const incumbentUid = view.existing?.hello.uid ?? view.knownUid;
  if (incumbentUid !== undefined && incumbentUid !== hello.uid) return { verdict: 'contest', incumbentUid };
  return { verdict: view.isFull ? 'full' : 'accept' };
}

/** Both ends decide alike: one that was made to replace the other wins, else the lower sid. */
function wins(newcomer: Greeted, existing: Greeted): boolean {
  if (equalBytes(newcomer.replaces, existing.sid)) return true;
  if (equalBytes(existing.replaces, newcomer.sid)) return false;
  return compareBytes(newcomer.sid, existing.sid) < 0;
}
