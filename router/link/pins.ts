import type { PeerName } from '../../core/peer-name.ts';
import { equalBytes } from '../../core/bytes.ts';
import { HOUR, type Millis } from '../../core/time.ts';
import { ByteReader, ByteWriter } from './byte-cursor.ts';

const STATIC_KEY_BYTES = 32;
const FORMAT = 2;
/** Without the hours. */
const FIRST_FORMAT = 1;
/** A member can announce any number of names; beyond this no new one is pinned, and so none gets a session. */
const MAX_PINS = 16_384;
/**
 * A pin whose peer was not seen for so long while this node ran gives way to a new one where there are too many. None does
 * earlier: who invents names could otherwise push out that of a host which is switched off, and then take its name.
 */
const FORGET_AFTER: Millis = 30 * 24 * HOUR;
/** A process that dies loses the hours since they were stored. */
const COUNT_EVERY: Millis = 24 * HOUR;
const MAX_HOURS = 0xffff;

/** What a key that a peer announces is to us. */
export type PinVerdict = 'pinned' | 'changed' | 'full';

/**
 * The static key of each peer as it was first seen. A later announcement of another key costs that peer its sessions
 * with us, nothing else: its entry is merged and passed on like any.
 *
 * Stored as: format u8 = 2 | count u32 LE | count x (name 6 | key 32 | hours u16 LE for which it was not seen).
 */
export class Pins {
  readonly #keys = new Map<PeerName, Uint8Array>();
  /** Those whose peers are not in the topology, and since when, in order of that. */
  readonly #absent = new Map<PeerName, Millis>();
  #dirty = false;
  /** When the hours were stored last. */
  #countedAt: Millis | undefined;

  /** Undefined if `bytes` are not what {@link Pins.encode} makes. */
  static decode(bytes: Uint8Array, now: Millis): Pins | undefined {
    const reader = new ByteReader(bytes);
    const format = reader.u8();
    const count = reader.u32();
    if ((format !== FORMAT && format !== FIRST_FORMAT) || count > MAX_PINS) return undefined;
    const pins = new Pins();
    const absent: [PeerName, Millis][] = [];
    for (let i = 0; i < count; i++) {
      const name = reader.name();
      pins.#keys.set(name, reader.bytes(STATIC_KEY_BYTES));
      absent.push([name, now - (format === FORMAT ? reader.u16() * HOUR : 0)]);
    }
    if (reader.failed || !reader.atEnd || pins.#keys.size !== count) return undefined;
    for (const [name, since] of absent.sort(([, a], [, b]) => a - b)) pins.#absent.set(name, since);
    return pins;
  }

  get size(): number {
    return this.#keys.size;
  }

  get(name: PeerName): Uint8Array | undefined {
    return this.#keys.get(name);
  }

  /** The peer is there, and announces `key`, which is pinned if the name has none yet. */
  check(name: PeerName, key: Uint8Array, now: Millis): PinVerdict {
    this.#absent.delete(name);
    const pinned = this.#keys.get(name);
    if (pinned !== undefined) return equalBytes(pinned, key) ? 'pinned' : 'changed';
    if (this.#keys.size >= MAX_PINS && !this.#evict(now)) return 'full';
    this.#keys.set(name, key.slice());
    this.#dirty = true;
    return 'pinned';
  }

  /** The peer is not there any more. */
  onGone(name: PeerName, now: Millis): void {
    if (!this.#keys.has(name)) return;
    this.#absent.delete(name);
    this.#absent.set(name, now);
  }

  /** Forgets this key of the peer, so that the next one that it announces is pinned. Another key stays. */
  drop(name: PeerName, key: Uint8Array): void {
    const pinned = this.#keys.get(name);
    if (pinned === undefined || !equalBytes(pinned, key)) return;
    this.#forget(name);
  }

  /** The process ends: for how long some were not seen is to be stored, too. */
  touchAbsent(): void {
    this.#dirty ||= this.#absent.size > 0;
  }

  /** Whether there is something to store since the last call, as there is once a day while a peer is not seen. */
  takeDirty(now: Millis): boolean {
    this.#countedAt ??= now;
    if (now - this.#countedAt >= COUNT_EVERY) this.touchAbsent();
    const dirty = this.#dirty;
    this.#dirty = false;
    if (dirty) this.#countedAt = now;
    return dirty;
  }

  encode(now: Millis): Uint8Array {
    const writer = new ByteWriter().u8(FORMAT).u32(this.#keys.size);
    for (const [name, key] of this.#keys) {
      const hours = Math.floor((now - (this.#absent.get(name) ?? now)) / HOUR);
      writer.name(name).bytes(key).u16(Math.min(hours, MAX_HOURS));
    }
    return writer.done();
  }

  /** Makes room by the pin whose peer was not seen for longest; false if that is not long enough. */
  #evict(now: Millis): boolean {
    for (const [name, since] of this.#absent) {
      if (now - since < FORGET_AFTER) return false;
      this.#forget(name);
      return true;
    }
    return false;
  }

  #forget(name: PeerName): void {
    this.#keys.delete(name);
    this.#absent.delete(name);
    this.#dirty = true;
  }
}
