import type { Millis } from '../../core/time.ts';

/** How long a decision is repeated: the next frame after that is for the switch. */
export const FLOW_LEASE: Millis = 100;
const MOST_FLOWS = 512;
/** Destination and source, as they begin a frame. */
const MACS_BYTES = 12;

/** Decisions that the engine repeats for frames between the same two MACs, each for {@link FLOW_LEASE}. */
export class MemoryFlows<Decision> {
  /** In the order in which they were made. */
  readonly #decisions = new Map<string, { readonly decision: Decision; readonly until: Millis }>();

  /** The decision for the frame at `offset` of `data`, if there is one that still holds. */
  find(data: Uint8Array, offset: number, now: Millis): Decision | undefined {
    if (this.#decisions.size === 0) return undefined;
    const entry = this.#decisions.get(macsAt(data, offset));
    return entry !== undefined && now < entry.until ? entry.decision : undefined;
  }

  /** Keeps a decision from `now` on; the oldest one gives way if there are too many. */
  remember(data: Uint8Array, offset: number, decision: Decision, now: Millis): void {
    const macs = macsAt(data, offset);
    this.#decisions.delete(macs);
    this.#decisions.set(macs, { decision, until: now + FLOW_LEASE });
    if (this.#decisions.size <= MOST_FLOWS) return;
    const [oldest] = this.#decisions.keys();
    if (oldest !== undefined) this.#decisions.delete(oldest);
  }

  forgetAll(): void {
    this.#decisions.clear();
  }
}

function macsAt(data: Uint8Array, offset: number): string {
  return String.fromCharCode(...data.subarray(offset, offset + MACS_BYTES));
}
