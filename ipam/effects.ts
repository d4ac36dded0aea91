import type { Cidr, IpAddress } from '../core/address.ts';
import type { LogLevel } from '../core/log.ts';
import type { PeerName } from '../core/peer-name.ts';
import type { StoreChange } from '../core/store.ts';
import type { Allocation } from './allocations.ts';
import type { RingEntry, VoterEntry } from './entries.ts';

/** What programs and people ask of the allocator. An id is any text of 1 to 256 characters. */
export type IpamRequest =
  /** An address of `subnet` (its network address and prefix), or of the default subnet. */
  | { readonly type: 'allocate'; readonly id: string; readonly subnet?: Cidr | undefined }
  /** Exactly this address. */
  | { readonly type: 'claim'; readonly id: string; readonly cidr: Cidr }
  /** One address of `id`, or all of them. */
  | { readonly type: 'release'; readonly id: string; readonly address?: IpAddress | undefined }
  /** Answered when there is a ring. */
  | { readonly type: 'prime' }
  | { readonly type: 'lookup'; readonly id: string }
  | { readonly type: 'list' };

export type IpamResult =
  /** Of allocate and claim: one. Of lookup: all that the id holds, perhaps none. */
  | { readonly type: 'addresses'; readonly addresses: readonly Cidr[] }
  | { readonly type: 'allocations'; readonly allocations: readonly Allocation[] }
  | { readonly type: 'done' }
  /** A sentence for whoever asked. */
  | { readonly type: 'failed'; readonly error: string };

export type IpamEffect =
  /** One durable transaction; `onCommitted(token)` when it would survive a power cut. One at a time. */
  | { readonly type: 'commit'; readonly token: number; readonly changes: readonly StoreChange[] }
  | { readonly type: 'unicast'; readonly to: PeerName; readonly bytes: Uint8Array }
  | { readonly type: 'publish'; readonly delta: Uint8Array }
  | { readonly type: 'reply'; readonly request: number; readonly result: IpamResult }
  /** What this node's topology entry says of its address space. */
  | { readonly type: 'announce'; readonly info: IpamAnnouncement }
  | {
      readonly type: 'log';
      readonly level: LogLevel;
      readonly message: string;
      readonly fields: Readonly<Record<string, string | number>>;
    };

export interface IpamAnnouncement {
  readonly generation: string;
  /** Empty while there is no ring. */
  readonly clusterId: string;
  /** Voters expected by this peer; 0 = it does not vote, or no longer. */
  readonly voters: number;
}

/** What the allocator is told of the mesh. */
export interface IpamTopologyView {
  readonly self: PeerName;
  readonly peers: readonly IpamPeer[];
}

export interface IpamPeer {
  readonly name: PeerName;
  readonly nickname: string;
  /** 16 hexadecimal digits; empty for a peer without address allocation. */
  readonly generation: string;
  readonly reachable: boolean;
  readonly capabilities: readonly string[];
  /** Is there a connection to it? Where this is not said, every reachable peer counts as a neighbour. */
  readonly neighbour?: boolean | undefined;
}

/** What waits for a transaction: an effect, or something of our own that others may see from then on. */
export type Deferred =
  | { readonly type: 'effect'; readonly effect: IpamEffect }
  | { readonly type: 'show'; readonly entry: RingEntry | VoterEntry };
