import { BucketDigest } from '../core/bucket-digest.ts';
import { toHex } from '../core/bytes.ts';
import { pack } from '../core/msgpack.ts';
import { PEER_NAME_BYTES, readPeerName, writePeerName, type PeerName } from '../core/peer-name.ts';
import { HOUR, MINUTE, SECOND, type Millis } from '../core/time.ts';
import type { Channel, ChannelDigest } from './channel.ts';
import { blob, decoded, list, tuple, uint } from './checked-fields.ts';

/** A record is kept and passed on for this long after it was written. */
const KEPT: Millis = 24 * HOUR;
/**
 * A record that is about to end is taken over from nobody: where messages were slow it ends later, and must not come
 * back from there to those where it has ended.
 */
const GRACE: Millis = 5 * MINUTE;
const MAX_REMOVALS = 4_096;
const REMOVED_KEY_BYTES = 32;

/** A peer that was removed, and the static key that it had. */
export interface Removal {
  readonly name: PeerName;
  readonly key: Uint8Array;
}

interface Kept extends Removal {
  readonly since: Millis;
}

/**
 * The channel of records "this name no longer has this key": whoever trusts it should trust the next one that the name
 * announces. A record carries its age when it leaves, so that it ends everywhere at about the same time and does not
 * come back. News are the ids of records.
 *
 *   delta = [[name 6, key 32, age in seconds, rounded up], ...]
 */
export class Removals implements Channel<readonly string[]> {
  readonly #onRemoved: (removal: Removal) => void;
  readonly #kept = new Map<string, Kept>();
  readonly #digest = new BucketDigest();
  #now: Millis;
  /** When the first of the records ends. */
  #endsAt: Millis = Infinity;

  /** `onRemoved` is told of every record once. */
  constructor(onRemoved: (removal: Removal) => void, now: Millis) {
    this.#onRemoved = onRemoved;
    this.#now = now;
  }

  /** Time goes on: every input of the node says so, as ages depend on it. */
  tick(now: Millis): void {
    this.#now = now;
    if (now < this.#endsAt) return;
    this.#endsAt = Infinity;
    for (const [id, { since }] of this.#kept) {
      if (now >= since + KEPT) this.#forget(id);
      else this.#endsAt = Math.min(this.#endsAt, since + KEPT);
    }
  }

  /** Writes a record, and returns the news of it for others; "known" if it is there already, "full" without a place. */
  add(removal: Removal): readonly string[] | 'known' | 'full' {
    const id = idOf(removal);
    if (this.#kept.has(id)) return 'known';
    return this.#keep(removal, this.#now) ? [id] : 'full';
  }

  merge(delta: Uint8Array, now: Millis): readonly string[] | undefined {
    const records = decodeRecords(delta);
    this.tick(now);
    const fresh = records.filter(
      ({ age, ...removal }) => age < KEPT - GRACE && this.#keep(removal, now - age),
    );
    return fresh.length === 0 ? undefined : fresh.map(idOf);
  }

  digest(): ChannelDigest {
    return this.#digest.digest();
  }

  entriesOf(buckets: number): readonly string[] | undefined {
    const ids = this.#digest.keysIn(buckets);
    return ids.length === 0 ? undefined : ids;
  }

  join(news: readonly (readonly string[])[]): readonly string[] {
    return [...new Set(news.flat())].sort();
  }

  /** Those that are still kept, with their ages now. */
  encode(ids: readonly string[]): Uint8Array | undefined {
    const kept = ids.map((id) => this.#kept.get(id)).filter((one) => one !== undefined);
    return kept.length === 0 ? undefined : pack(kept.map((one) => this.#encodeRecord(one)));
  }

  #keep({ name, key }: Removal, since: Millis): boolean {
    const removal = { name, key: key.slice() };
    const id = idOf(removal);
    if (this.#kept.has(id) || this.#kept.size >= MAX_REMOVALS) return false;
    this.#kept.set(id, { ...removal, since });
    this.#endsAt = Math.min(this.#endsAt, since + KEPT);
    this.#digest.set(id, '');
    this.#onRemoved(removal);
    return true;
  }

  #forget(id: string): void {
    this.#kept.delete(id);
    this.#digest.delete(id);
  }

  #encodeRecord({ name, key, since }: Kept): unknown {
    const bytes = new Uint8Array(PEER_NAME_BYTES);
    writePeerName(name, bytes, 0);
    return [bytes, key, Math.ceil((this.#now - since) / SECOND)];
  }
}

/** Throws {@link MalformedDelta}. */
function decodeRecords(bytes: Uint8Array): (Removal & { readonly age: Millis })[] {
  return list(decoded(bytes), MAX_REMOVALS, 'removals').map((row) => {
    const [name, key, age] = tuple(row, 3, 'removal');
    return {
      name: readPeerName(blob(name, PEER_NAME_BYTES, PEER_NAME_BYTES, 'removed name'), 0),
      key: blob(key, REMOVED_KEY_BYTES, REMOVED_KEY_BYTES, 'removed key'),
      age: uint(age, 2 ** 32, 'age of a removal') * SECOND,
    };
  });
}

function idOf({ name, key }: Removal): string {
  return `removed ${name} ${toHex(key)}`;
}
