import type { Endpoint } from '../core/address.ts';
import type { PeerName } from '../core/peer-name.ts';
import type { Candidate } from './candidate.ts';
import { MAX_VERSION_TEXT, type Hello } from './messages.ts';
import { parseTarget, type DialAddress } from './target-address.ts';
import { MAX_ADDRESSES, MAX_NICKNAME, type TopologyEntry } from './topology-entry.ts';

export interface GossipConfig {
  readonly name: PeerName;
  readonly nickname: string;
  /** 64 random bits of this run, 16 hexadecimal digits. */
  readonly uid: string;
  readonly incarnation: number;
  /** Of the software, shown to others. */
  readonly version: string;
  /** Static X25519 public key, 32 bytes. */
  readonly staticKey: Uint8Array;
  /** Of the state directory, 16 hexadecimal digits. */
  readonly generation: string;
  /** The control port that this node listens on, and the default of targets. */
  readonly port: number;
  readonly acceptsInbound: boolean;
  /** Addresses to publish beside those that others see. */
  readonly addresses: readonly Endpoint[];
  /** False: connect to given targets only. */
  readonly discovery: boolean;
  /** Most neighbours; 0 = no limit. */
  readonly connLimit: number;
  /** With more peers than this the backbone is sparse. */
  readonly fullMeshLimit: number;
  /** Bytes. */
  readonly bridgeMtu: number;
  readonly capabilities: readonly string[];
  /** Peers known from an earlier run. */
  readonly candidates: readonly Candidate[];
}

/** The entry that a node starts with. */
export function ownEntry(config: GossipConfig): TopologyEntry {
  const { name, uid, incarnation, generation, acceptsInbound, bridgeMtu, capabilities } = config;
  const nickname = config.nickname.slice(0, MAX_NICKNAME);
  const key = Uint8Array.from(config.staticKey);
  const rest = {
    generation,
    acceptsInbound,
    bridgeMtu,
    capabilities,
    addresses: config.addresses.slice(0, MAX_ADDRESSES),
  };
  return { name, nickname, uid, incarnation, version: 1, key, ...rest, neighbours: [], info: {} };
}

/** Our hello but for what depends on the connection. */
export function ownHello(config: GossipConfig): Omit<Hello, 'type' | 'replaces' | 'seenAt'> {
  const { name, uid, incarnation, port, acceptsInbound } = config;
  const version = config.version.slice(0, MAX_VERSION_TEXT);
  const nickname = config.nickname.slice(0, MAX_NICKNAME);
  return { name, nickname, uid, incarnation, version, port, acceptsInbound };
}

/** Addresses of a persisted candidate; malformed ones are left out. */
export function candidateAddresses({ addresses }: Candidate, defaultPort: number): DialAddress[] {
  return addresses.map((text) => parseTarget(text, defaultPort)).filter((address) => address !== undefined);
}
