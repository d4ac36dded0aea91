import { equalBytes, fromHex } from '../core/bytes.ts';
import { pack } from '../core/msgpack.ts';
import type { Outcome } from './entries.ts';
import { packOwner } from './owner-codec.ts';

/**
 * The outcomes that a delta's votes have accepted, each once: after an election all votes name the same one, and it names
 * every voter.
 */
export class OutcomeTable {
  readonly #packed: Uint8Array[] = [];

  get packed(): readonly Uint8Array[] {
    return this.#packed;
  }

  /** Where `outcome` is in the table; it is there from now on. */
  indexOf(outcome: Outcome): number {
    const bytes = packedOutcome(outcome);
    const index = this.#packed.findIndex((other) => other === bytes || equalBytes(other, bytes));
    return index >= 0 ? index : this.#packed.push(bytes) - 1;
  }
}

/** Outcomes are never changed, and passed on many times. */
const known = new WeakMap<Outcome, Uint8Array>();

function packedOutcome(outcome: Outcome): Uint8Array {
  let bytes = known.get(outcome);
  if (bytes === undefined) {
    bytes = pack([fromHex(outcome.clusterId), outcome.owners.map(packOwner)]);
    known.set(outcome, bytes);
  }
  return bytes;
}
