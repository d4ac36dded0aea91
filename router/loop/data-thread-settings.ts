import type { Cidr, IpAddress } from '../../core/address.ts';
import type { PeerName } from '../../core/peer-name.ts';
import type { EngineChoice } from '../engine/choose.ts';

/** What the data-plane thread is started with. */
export interface DataThreadSettings {
  readonly name: PeerName;
  readonly engine: EngineChoice;
  readonly tap: string;
  readonly address: IpAddress | undefined;
  readonly port: number;
  readonly bridgeMtu: number;
  readonly trustedSubnets: readonly Cidr[];
  readonly workers: number;
}
