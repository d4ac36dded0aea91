import { SECOND, type Millis } from '../../core/time.ts';
import type { MacsPart } from '../wire/inner.ts';

const MAC_BYTES = 6;
/** 190 MACs and their header fit the smallest datagram that a path carries. */
const PART_BYTES = 190 * MAC_BYTES;
const RESEND_INTERVAL: Millis = 1 * SECOND;
/** 12,160 MACs: more ports than a host has. */
const MOST_PARTS = 64;

/** Tells the peer our local MACs, the whole list again and again until it acknowledges the version. */
export class MacsSender {
  #version = 0;
  #parts: MacsPart[] = [];
  #acked = true;
  #nextAt: Millis = 0;

  /** The list changed or the peer may have forgotten it; what exceeds the bound is left out. */
  restart(macs: Uint8Array, now: Millis): void {
    this.#version++;
    this.#parts = partsOf(macs, this.#version);
    this.#acked = false;
    this.#nextAt = now;
  }

  onAck(version: number): void {
    if (version === this.#version) this.#acked = true;
  }

  nextTimeout(): Millis | undefined {
    return this.#acked ? undefined : this.#nextAt;
  }

  /** The parts to send now. */
  onTimeout(now: Millis): readonly MacsPart[] {
    if (this.#acked || now < this.#nextAt) return [];
    this.#nextAt = now + RESEND_INTERVAL;
    return this.#parts;
  }
}

/** Puts the peer's list together from its parts. */
export class MacsReceiver {
  #version = -1;
  #parts: (Uint8Array | undefined)[] = [];
  #missing = 0;

  /** `complete`: the list to learn, once, when its last part came. `acknowledge`: the version to acknowledge. */
  onPart(part: MacsPart): { complete?: Uint8Array; acknowledge?: number } {
    if (!isSound(part)) return {};
    if (part.version < this.#version) return {};
    if (part.version > this.#version) this.#begin(part);
    if (part.parts !== this.#parts.length) return {};
    if (this.#missing === 0) return { acknowledge: part.version };
    if (this.#parts[part.part] !== undefined) return {};
    this.#parts[part.part] = part.macs.slice();
    this.#missing--;
    if (this.#missing > 0) return {};
    return { complete: this.#join(), acknowledge: part.version };
  }

  #begin({ version, parts }: MacsPart): void {
    this.#version = version;
    this.#parts = Array<undefined>(parts).fill(undefined);
    this.#missing = parts;
  }

  #join(): Uint8Array {
    const whole = new Uint8Array(this.#parts.reduce((sum, part) => sum + part!.length, 0));
    let at = 0;
    for (const part of this.#parts) {
      whole.set(part!, at);
      at += part!.length;
    }
    // The bytes are with the caller now; only that all parts came is still of use.
    this.#parts.fill(new Uint8Array(0));
    return whole;
  }
}

function isSound({ part, parts, macs }: MacsPart): boolean {
  return parts >= 1 && parts <= MOST_PARTS && part < parts && macs.length % MAC_BYTES === 0;
}

function partsOf(macs: Uint8Array, version: number): MacsPart[] {
  const kept = macs.subarray(0, Math.min(macs.length - (macs.length % MAC_BYTES), MOST_PARTS * PART_BYTES));
  const parts = Math.max(1, Math.ceil(kept.length / PART_BYTES));
  return Array.from({ length: parts }, (_, part) => ({
    kind: 'macs',
    version,
    part,
    parts,
    macs: kept.slice(part * PART_BYTES, (part + 1) * PART_BYTES),
  }));
}
