/** The document of `status --json`; interface for people and programs, so changes here are breaking changes. */
export interface StatusDocument {
  readonly version: string;
  readonly router: RouterStatus;
  readonly ipam: IpamStatus;
  /** What the operator should see to, such as a firewall that drops our packets; absent if there is nothing. */
  readonly warnings?: readonly string[];
  /** Packets of attached namespaces that rules in the kernel stopped, by the rule's counter. */
  readonly stopped: Readonly<Record<string, number>>;
}

export interface RouterStatus {
  readonly name: string;
  readonly nickname: string;
  readonly incarnation: number;
  readonly encryption: boolean;
  /** How many are held: 0, 1, or 2 while they are being rotated. */
  readonly passwords: number;
  readonly engine: 'native' | 'portable';
  readonly mtu: number;
  readonly uptimeSeconds: number;
  readonly targets: readonly TargetStatus[];
  readonly connections: readonly ConnectionStatus[];
  readonly links: readonly LinkStatus[];
  readonly peers: readonly PeerStatus[];
  /** By reason; those that begin with {@link CONNECTION_DROP} are control connections refused before they said hello. */
  readonly drops: Readonly<Record<string, number>>;
}

export const CONNECTION_DROP = 'connection-';

export interface TargetStatus {
  readonly address: string;
  readonly state: 'waiting' | 'connecting' | 'connected' | 'failed';
}

export interface ConnectionStatus {
  /** Empty while the other end's name is not known. */
  readonly peer: string;
  readonly nickname: string;
  readonly address: string;
  readonly outbound: boolean;
  readonly state: 'connecting' | 'established' | 'retrying' | 'failed';
  readonly error?: string;
  readonly retryInSeconds?: number;
}

export interface LinkStatus {
  readonly peer: string;
  readonly nickname: string;
  readonly state: 'idle' | 'offering' | 'probing' | 'up' | 'down';
  readonly path: 'direct' | 'relay';
  readonly via?: string;
  readonly address?: string;
  readonly encrypted: boolean;
  readonly mtu: number;
  readonly rttMs: number | null;
  readonly sentBytes: number;
  readonly receivedBytes: number;
  readonly lostFraction: number;
  /** How often new keys have come into use. */
  readonly rekeys: number;
  /** Why no session can be made, such as "key of NAME changed". */
  readonly error?: string;
}

export interface PeerStatus {
  readonly name: string;
  readonly nickname: string;
  /** Names. */
  readonly neighbours: readonly string[];
}

export interface IpamStatus {
  readonly status: 'idle' | 'awaiting-consensus' | 'ready' | 'waiting-for-grant' | 'exhausted' | 'disabled';
  /** A sentence where the state alone does not say it: "awaiting consensus (quorum 2, known 1)". */
  readonly detail?: string;
  readonly range: string;
  readonly defaultSubnet: string;
  readonly clusterId: string;
  readonly owned: readonly OwnedStatus[];
  /** Addresses handed out by this node. */
  readonly active: number;
  readonly conflicts: readonly ConflictStatus[];
  /** Addresses that this node took over and does not give out yet. */
  readonly quarantine: readonly QuarantineStatus[];
}

/** An address that one node has handed out and another owns. */
export interface ConflictStatus {
  readonly address: string;
  /** Who has handed it out. */
  readonly user: string;
  readonly userNickname: string;
  /** To whom, if it was this node. */
  readonly id: string;
  readonly owner: string;
  readonly ownerNickname: string;
}

export interface QuarantineStatus {
  /** Whose they were. */
  readonly from: string;
  readonly nickname: string;
  readonly addresses: number;
  /** Who has not acknowledged the take-over; names. */
  readonly waitingFor: readonly string[];
  /** What is left of the rest that they have in any case. */
  readonly restSeconds: number;
  /** Who was out of reach for 10 min and so waited for no longer: they may still give such addresses out; names. */
  readonly givenUp?: readonly string[];
}

export interface OwnedStatus {
  readonly name: string;
  readonly nickname: string;
  readonly addresses: number;
  readonly fraction: number;
  readonly reachable: boolean;
}
