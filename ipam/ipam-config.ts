import type { Cidr } from '../core/address.ts';
import type { PeerName } from '../core/peer-name.ts';
import type { RandomSource } from '../core/random.ts';
import type { Millis } from '../core/time.ts';
import type { InitMode } from './init-mode.ts';
import type { AddressRange } from './range.ts';

export interface IpamConfig {
  readonly name: PeerName;
  readonly nickname: string;
  /** 16 hexadecimal digits, not all zero. */
  readonly generation: string;
  readonly range: AddressRange;
  /** Lies within the range: see settings.ts. */
  readonly defaultSubnet: Cidr;
  readonly init: InitMode;
  /** How long a request may wait; 60 s unless given. */
  readonly requestTimeout?: Millis | undefined;
}

export interface IpamDependencies {
  readonly random: RandomSource;
  /** The store's keys and values at the start; those that do not begin with "ipam/" are ignored. */
  readonly stored: ReadonlyMap<string, Uint8Array>;
}

/** Why a message of another allocator was dropped. */
export type IpamDrop = 'ipam-malformed';
