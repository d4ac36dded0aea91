import type { Cidr, Endpoint } from '../../core/address.ts';
import type { PeerName } from '../../core/peer-name.ts';
import type { RandomSource } from '../../core/random.ts';
import type { EngineChange } from '../engine/port.ts';
import type { ToControl } from '../node-messages.ts';
import type { LinkMessage } from '../wire/inner.ts';
import type { KeyChange, SessionLanes } from './lane-mirror.ts';
import type { Numbers } from './numbers.ts';

/** What a link wants done, in this order. */
export type LinkEffect =
  | { readonly type: 'configure'; readonly change: EngineChange }
  /** The engine has forgotten what had this number, by the changes before: any link may take it now. */
  | { readonly type: 'released'; readonly of: 'paths' | 'sessions'; readonly number: number }
  /** A session with these lanes is about to be configured. */
  | { readonly type: 'lanes'; readonly lanes: SessionLanes }
  /** Keys of a lane above 0; `session` in it is that of lane 0. */
  | { readonly type: 'lane-key'; readonly lane: number; readonly change: KeyChange }
  /** The peer has the keys of this phase: lanes above 0 may use them. */
  | { readonly type: 'lane-phase'; readonly session: number; readonly phase: number }
  | {
      readonly type: 'send';
      readonly session: number;
      readonly path: number;
      readonly plain: boolean;
      readonly message: LinkMessage;
      /** UDP payload bytes to pad to; undefined = unpadded. */
      readonly size: number | undefined;
    }
  | { readonly type: 'control'; readonly message: ToControl }
  /** There is a path now: what waits can go. */
  | { readonly type: 'sendable' }
  /** The direct path in use is another one, or none; see `Link.directPath`. */
  | { readonly type: 'direct-path' }
  /** All MACs behind the peer, 6 bytes each. */
  | { readonly type: 'peer-macs'; readonly macs: Uint8Array };

/** What all links of a node share. */
export interface LinkEnvironment {
  readonly self: PeerName;
  readonly bridgeMtu: number;
  readonly trustedSubnets: readonly Cidr[];
  readonly random: RandomSource;
  readonly paths: Numbers;
  readonly sessions: Numbers;
  /** Where to send for a circuit that begins at `peer`: its current direct address. */
  directEndpoint(peer: PeerName): Endpoint | undefined;
}

/** What the parts of one link share, and how they report what is to be done. */
export interface LinkContext extends LinkEnvironment {
  readonly peer: PeerName;
  emit(effect: LinkEffect): void;
}
