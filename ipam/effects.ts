import type { Cidr, IpAddress } from '../core/address.ts';
import type { LogLevel } from '../core/log.ts';
import type { PeerName } from '../core/peer-name.ts';
import type { StoreChange } from '../core/store.ts';
import type { Millis } from '../core/time.ts';
import type { Allocation } from './allocations.ts';
import type { Entry, MemberEntry, RingEntry, VoterEntry } from './entries.ts';

/** What programs and people ask of the allocator. An id is any text of 1 to 256 characters. */
export type AddressRequest =
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

export type IpamRequest = AddressRequest | OperatorRequest;

/** What people do to the address space itself. */
export type OperatorRequest =
  /** Takes over what dead peers own; each is named by its name or nickname. */
  | {
      readonly type: 'remove-peers';
      readonly peers: readonly string[];
      /** Only acknowledgements are waited for, not the rest of 10 min. */
      readonly now: boolean;
      /** Every owner is waited for, however long it is out of reach. */
      readonly strict: boolean;
    }
  /** Releases everything and hands all ranges to another peer; with `force` without waiting for one. */
  | {
      readonly type: 'reset';
      readonly force: boolean;
      /** Only asks whether it can be begun. */
      readonly probe?: boolean | undefined;
    }
  /** Compares what all peers hold. */
  | { readonly type: 'check' };

export type IpamResult =
  /** Of allocate and claim: one. Of lookup: all that the id holds, perhaps none. */
  | { readonly type: 'addresses'; readonly addresses: readonly Cidr[] }
  | { readonly type: 'allocations'; readonly allocations: readonly Allocation[] }
  | { readonly type: 'done' }
  | { readonly type: 'removed'; readonly removed: readonly RemovedPeer[] }
  | { readonly type: 'reset'; readonly reset: ResetOutcome }
  | { readonly type: 'checked'; readonly check: CheckOutcome }
  /** A sentence for whoever asked. */
  | { readonly type: 'failed'; readonly error: string };

/** What became of one peer of a `remove-peers`. */
export interface RemovedPeer {
  readonly name: PeerName;
  readonly nickname: string;
  /** How many addresses were taken over; 0 if it owned none any more. */
  readonly addresses: number;
  /** Who has to acknowledge it; names. */
  readonly waitingFor: readonly PeerName[];
  /** How long the addresses rest in any case. */
  readonly restSeconds: number;
  /** Owners that are out of reach: they may still give out what the peer once donated. */
  readonly outOfReach: readonly PeerName[];
  /** A sentence about what else did not work. */
  readonly warning?: string;
}

export interface ResetOutcome {
  readonly addresses: number;
  /** Who has them now; empty if nobody. */
  readonly heir: PeerName | '';
  readonly nickname: string;
  /** How many addresses were handed out here until then. */
  readonly released: number;
}

export interface CheckOutcome {
  readonly nodes: readonly {
    readonly name: PeerName;
    readonly nickname: string;
    readonly answered: boolean;
  }[];
  readonly problems: readonly CheckProblem[];
  /** Sentences about what is no problem. */
  readonly notes: readonly string[];
}

export interface CheckProblem {
  /** What is wrong, and with what. */
  readonly problem: string;
  /** What to do. */
  readonly remedy: string;
}

export type IpamEffect =
  /** One durable transaction; `onCommitted(token)` when it would survive a power cut. One at a time. */
  | { readonly type: 'commit'; readonly token: number; readonly changes: readonly StoreChange[] }
  | { readonly type: 'unicast'; readonly to: PeerName; readonly bytes: Uint8Array }
  | { readonly type: 'publish'; readonly news: readonly Entry[] }
  | { readonly type: 'reply'; readonly request: number; readonly result: IpamResult }
  /** These peers were removed: whoever trusts their keys should no longer. */
  | { readonly type: 'removed'; readonly names: readonly PeerName[] }
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
}

/** What the allocator is told of the mesh. */
export interface IpamTopologyView {
  readonly self: PeerName;
  readonly peers: readonly IpamPeer[];
  /**
   * Who has a connection with us and is no neighbour yet: it has not accepted it, as it may first look whether our name is
   * another's, or its entry does not tell of it yet. Ascending.
   */
  readonly connecting?: readonly PeerName[] | undefined;
}

export interface IpamPeer {
  readonly name: PeerName;
  readonly nickname: string;
  /** 16 hexadecimal digits; empty for a peer without address allocation. */
  readonly generation: string;
  readonly reachable: boolean;
  readonly capabilities: readonly string[];
  /** Of the cluster that it belongs to; empty while it has no ring, undefined where that is not known. */
  readonly clusterId?: string | undefined;
  /** Is there a connection to it? Where this is not said, every reachable peer counts as a neighbour. */
  readonly neighbour?: boolean | undefined;
}

/** Does it belong to another cluster than `clusterId`? */
export function isElsewhere(peer: IpamPeer, clusterId: string | undefined): boolean {
  return peer.clusterId !== undefined && peer.clusterId !== '' && peer.clusterId !== clusterId;
}

/** What a reply answers. */
export interface Asked {
  readonly operation: AddressRequest;
  readonly since: Millis;
  /** What the asker is not to have if that is not recorded. */
  readonly granted?: Granted | undefined;
}

/** An address that an id was just given. */
export interface Granted {
  readonly id: string;
  readonly address: IpAddress;
}

/** What waits for a transaction: an effect, or something of our own that others may see from then on. */
export type Deferred =
  | {
      readonly type: 'effect';
      readonly effect: IpamEffect;
      /** Of a reply to an {@link AddressRequest}. */
      readonly asked?: Asked | undefined;
    }
  | { readonly type: 'show'; readonly entry: RingEntry | VoterEntry | MemberEntry };
