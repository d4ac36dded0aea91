import type { LogLevel } from '../core/log.ts';
import type { PeerName } from '../core/peer-name.ts';
import type { RoutesSnapshot } from '../core/routes.ts';
import type { Candidate } from './candidate.ts';
import type { CryptoJob } from './secure-channel.ts';
import type { TopologyEntry } from './topology-entry.ts';

/** What gossip asks its owner to do, oldest first. */
export type GossipEffect =
  /** Open a TCP connection; host names are resolved now. Answer with onConnected or onDialFailed. */
  | { readonly type: 'dial'; readonly conn: number; readonly host: string; readonly port: number }
  | { readonly type: 'write'; readonly conn: number; readonly bytes: Uint8Array }
  /**
   * End the stream once what was written is out (at most a second), or by a reset at once, so that nothing of it stays
   * here. No input for `conn` is expected any more.
   */
  | { readonly type: 'close'; readonly conn: number; readonly reset?: true }
  | { readonly type: 'task'; readonly task: number; readonly job: CryptoJob }
  | { readonly type: 'routes'; readonly snapshot: RoutesSnapshot }
  /** A unicast for this peer. `from` is what its sender said, `via` the neighbour that passed it on; undefined = ourselves. */
  | {
      readonly type: 'unicast';
      readonly from: PeerName;
      readonly via: PeerName | undefined;
      readonly kind: string;
      readonly bytes: Uint8Array;
    }
  /** A peer is new, restarted or changed its entry. */
  | { readonly type: 'peer-changed'; readonly entry: TopologyEntry }
  /** A peer was unreachable for 30 s and is forgotten. */
  | { readonly type: 'peer-gone'; readonly name: PeerName }
  | {
      readonly type: 'persist-targets';
      readonly targets: readonly string[];
      readonly candidates: readonly Candidate[];
    }
  | LogEffect;

export interface LogEffect {
  readonly type: 'log';
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: Readonly<Record<string, string | number>>;
}

export type ConnectionEffect = Extract<GossipEffect, { type: 'dial' | 'write' | 'close' | 'task' | 'log' }>;
