import { fromHex, toHex } from '../core/bytes.ts';
import { pack } from '../core/msgpack.ts';
import type { Outcome } from './entries.ts';
import { packOwner } from './owner-codec.ts';

/**
 * The outcomes that a delta's votes have accepted, each once: after an election all votes name the same one, and it names
 * every voter.
 */
export class OutcomeTable {
  readonly #packed: Uint8Array[] = [];
  readonly #indexes = new Map<string, number>();

  get packed(): readonly Uint8Array[] {
    return this.#packed;
  }

  /** Where `outcome` is in the table; it is there from now on. */
  indexOf(outcome: Outcome): number {
    const { bytes, text } = packedOutcome(outcome);
    let index = this.#indexes.get(text);
    if (index === undefined) {
      index = this.#packed.push(bytes) - 1;
      this.#indexes.set(text, index);
    }
    return index;
  }
}

/** As bytes, and those as text. */
interface Packed {
  readonly bytes: Uint8Array;
  readonly text: string;
}

/** Outcomes are never changed, and passed on many times. */
const known = new WeakMap<Outcome, Packed>();

function packedOutcome(outcome: Outcome): Packed {
  let packed = known.get(outcome);
  if (packed === undefined) {
    const bytes = pack([fromHex(outcome.clusterId), outcome.owners.map(packOwner)]);
    packed = { bytes, text: toHex(bytes) };
    known.set(outcome, packed);
  }
  return packed;
}
