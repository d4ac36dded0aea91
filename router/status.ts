import type { ConnectionStatus, PeerStatus, TargetStatus } from '../gossip/status.ts';
import type { IpamStatus } from '../ipam/status.ts';

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
