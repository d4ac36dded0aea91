import { compareNames } from '../../core/peer-name.ts';
import type { PeerName } from '../../core/peer-name.ts';
import { equalBytes } from '../../core/bytes.ts';
import { ByteReader, ByteWriter } from './byte-cursor.ts';

const STATIC_KEY_BYTES = 32;
const FORMAT = 1;
/** A member can announce any number of names; beyond this no new one is pinned, and so none gets a session. */
const MAX_PINS = 16_384;

/** What a key that a peer announces is to us. */
export type PinVerdict = 'pinned' | 'changed' | 'full';

/**
 * The static key of each peer as it was first seen. A later announcement of another key costs that peer its sessions
 * with us, nothing else: its entry is merged and passed on like any.
 *
 * Stored as: format u8 = 1 | count u32 LE | count x (name 6 | key 32), ascending by name.
 */
export class Pins {
  readonly #keys: Map<PeerName, Uint8Array>;
  #dirty = false;

  constructor(keys: ReadonlyMap<PeerName, Uint8Array> = new Map()) {
    this.#keys = new Map(keys);
  }

  /** Undefined if `bytes` are not what {@link Pins.encode} makes. */
  static decode(bytes: Uint8Array): Pins | undefined {
    const reader = new ByteReader(bytes);
    if (reader.u8() !== FORMAT) return undefined;
    const count = reader.u32();
    if (count > MAX_PINS) return undefined;
    const keys = new Map<PeerName, Uint8Array>();
    for (let i = 0; i < count; i++) keys.set(reader.name(), reader.bytes(STATIC_KEY_BYTES));
    return reader.failed || !reader.atEnd || keys.size !== count ? undefined : new Pins(keys);
  }

  get size(): number {
    return this.#keys.size;
  }

  get(name: PeerName): Uint8Array | undefined {
    return this.#keys.get(name);
  }

  /** Pins `key` if the name has none yet. */
  check(name: PeerName, key: Uint8Array): PinVerdict {
    const pinned = this.#keys.get(name);
    if (pinned !== undefined) return equalBytes(pinned, key) ? 'pinned' : 'changed';
    if (this.#keys.size >= MAX_PINS) return 'full';
    this.#keys.set(name, key.slice());
    this.#dirty = true;
    return 'pinned';
  }

  /** Forgets this key of the peer, so that the next one that it announces is pinned. Another key stays. */
  drop(name: PeerName, key: Uint8Array): void {
    const pinned = this.#keys.get(name);
    if (pinned === undefined || !equalBytes(pinned, key)) return;
    this.#keys.delete(name);
    this.#dirty = true;
  }

  /** Whether there is something to store since the last call. */
  takeDirty(): boolean {
    const dirty = this.#dirty;
    this.#dirty = false;
    return dirty;
  }

  encode(): Uint8Array {
    const writer = new ByteWriter().u8(FORMAT).u32(this.#keys.size);
    const names = [...this.#keys.keys()].sort(compareNames);
    for (const name of names) writer.name(name).bytes(this.#keys.get(name)!);
    return writer.done();
  }
}
