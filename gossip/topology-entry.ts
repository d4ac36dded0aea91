import type { Endpoint } from '../core/address.ts';
import type { PeerName } from '../core/peer-name.ts';

/** What one peer says of itself. Only that peer writes it; everyone else merges and passes it on. */
export interface TopologyEntry {
  readonly name: PeerName;
  readonly nickname: string;
  /** Raised at every start of the peer. */
  readonly incarnation: number;
  /** Raised at every change within an incarnation. */
  readonly version: number;
  /** 64 random bits per run, 16 hexadecimal digits. */
  readonly uid: string;
  /** Static X25519 public key, 32 bytes. */
  readonly key: Uint8Array;
  /** Of its state directory, 64 bits as 16 hexadecimal digits. */
  readonly generation: string;
  /** Where it can be reached, as it and others see it; best first, at most {@link MAX_ADDRESSES}. */
  readonly addresses: readonly Endpoint[];
  readonly acceptsInbound: boolean;
  /** Ascending by name. */
  readonly neighbours: readonly Neighbour[];
  readonly capabilities: readonly string[];
  /** MTU of its bridge, bytes. */
  readonly bridgeMtu: number;
  /** What parts above gossip announce; small: see {@link MAX_INFO}. */
  readonly info: Readonly<Record<string, string>>;
}

/** The far end of one control connection, as the entry's owner sees it. */
export interface Neighbour {
  readonly name: PeerName;
  /** Both ends accepted the control connection. */
  readonly established: boolean;
  /** The UDP link is up on a direct path. */
  readonly direct: boolean;
}

export const MAX_INCARNATION = 2 ** 40;
export const MAX_VERSION = 2 ** 40;
export const MAX_ADDRESSES = 8;
export const MAX_NEIGHBOURS = 4_096;
export const MAX_NICKNAME = 64;
export const MAX_CAPABILITIES = 16;
export const MAX_CAPABILITY = 64;
export const MAX_INFO = 16;
export const MAX_INFO_KEY = 32;
export const MAX_INFO_VALUE = 256;

/** What decides between two entries of one name. */
export type EntryStamp = Pick<TopologyEntry, 'incarnation' | 'version' | 'uid'>;

/** Total order: (incarnation, version); the uid only separates two processes that run under one name. */
export function compareStamps(a: EntryStamp, b: EntryStamp): number {
  if (a.incarnation !== b.incarnation) return a.incarnation - b.incarnation;
  if (a.version !== b.version) return a.version - b.version;
  return a.uid < b.uid ? -1 : a.uid > b.uid ? 1 : 0;
}
