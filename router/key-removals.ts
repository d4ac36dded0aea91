import type { PeerName } from '../core/peer-name.ts';
import type { Removals } from '../gossip/removals.ts';
import type { IpamResult } from '../ipam/effects.ts';

/** What follows from `rmpeer` for the keys of the peers that were removed, and what its answer has to say of that. */
export class KeyRemovals {
  readonly #removals: Removals;
  /** Peers whose key others still trust, and why. */
  readonly #unrecorded = new Map<PeerName, string>();

  constructor(removals: Removals) {
    this.#removals = removals;
  }

  /** Records that `name` no longer has `key`, if that is known. Returns what is to be gossiped. */
  remove(name: PeerName, key: Uint8Array | undefined): readonly string[] | undefined {
    this.#unrecorded.delete(name);
    const outcome = key === undefined ? 'unknown' : this.#removals.add({ name, key });
    if (typeof outcome === 'object') return outcome;
    if (outcome !== 'known') this.#unrecorded.set(name, UNRECORDED[outcome]);
    return undefined;
  }

  /** The answer to `rmpeer`, with a warning for each peer whose key could not be recorded. */
  warned(result: IpamResult): IpamResult {
    if (result.type !== 'removed' || this.#unrecorded.size === 0) return result;
    const removed = result.removed.map((one) => {
      const warning = this.#unrecorded.get(one.name);
      this.#unrecorded.delete(one.name);
      return warning === undefined ? one : { ...one, warning };
    });
    return { type: 'removed', removed };
  }
}

const UNRECORDED = {
  unknown:
    'its key is not known here, so others still trust it: run rmpeer on a host that had a link with it, too',
  full: 'too many peers were removed within 24 h, so others still trust its key: run rmpeer again tomorrow',
} as const;
