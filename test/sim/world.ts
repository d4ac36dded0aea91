import type { DatagramCipher } from '../../router/engine/datagram-cipher.ts';
import type { SimWorld } from './sim-node.ts';
import type { PlayedPrimitives } from '../router/crypto/played-primitives.ts';

/** What makes one simulated world another than the next. */
export interface WorldOptions
  extends
    Pick<SimWorld, 'clock' | 'network' | 'primitives' | 'seed' | 'onFrame'>,
    Partial<Pick<SimWorld, 'init' | 'range' | 'discovery' | 'fullMeshLimit' | 'workersOf'>> {
  /** How many nodes it will have. */
  readonly nodes: number;
}

export function worldOf(options: WorldOptions): SimWorld {
  return {
    ...options,
    cipher: cipherOf(options.primitives),
    init: options.init ?? { type: 'consensus', voters: options.nodes },
    range: options.range ?? '10.32.0.0/22',
    discovery: options.discovery ?? true,
    fullMeshLimit: options.fullMeshLimit ?? 80,
    workersOf: options.workersOf ?? (() => 1),
  };
}

/** The datagrams' AEAD on the same primitives as everything else: nonce = 4 zero bytes | counter u64 LE. */
function cipherOf(primitives: PlayedPrimitives): DatagramCipher {
  const nonce = new Uint8Array(12);
  const view = new DataView(nonce.buffer);
  const nothing = new Uint8Array(0);
  const nonceOf = (counter: number) => {
    view.setUint32(4, counter >>> 0, true);
    view.setUint32(8, Math.floor(counter / 2 ** 32), true);
    return nonce;
  };
  return {
    seal: (key, counter, plaintext) => primitives.aeadSeal(key, nonceOf(counter), nothing, plaintext),
    open: (key, counter, sealed) => primitives.aeadOpen(key, nonceOf(counter), nothing, sealed),
  };
}
