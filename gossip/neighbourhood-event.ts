import type { PeerName } from '../core/peer-name.ts';
import type { ConnectionEffect } from './gossip-effect.ts';
import type { NeighbourMessage } from './messages.ts';
import type { Neighbour } from './neighbour.ts';

/** What comes out of the connections, for gossip to act upon. */
export type NeighbourhoodEvent =
  | ConnectionEffect
  /** The peer has a connection, perhaps instead of an earlier one. `mutual`: it knows so since its hello. */
  | { readonly type: 'up'; readonly neighbour: Neighbour; readonly mutual: boolean }
  | { readonly type: 'established'; readonly neighbour: Neighbour }
  | { readonly type: 'down'; readonly neighbour: Neighbour; readonly reason: string }
  | { readonly type: 'message'; readonly neighbour: Neighbour; readonly message: NeighbourMessage }
  /** Please find out whether the process `uid` under `name` is alive; answer with onAlive. */
  | { readonly type: 'ping'; readonly name: PeerName; readonly uid: string };
