import type { PeerName } from '../../core/peer-name.ts';
import type { RoutesSnapshot } from '../../core/routes.ts';
import type { Millis } from '../../core/time.ts';
import type { BroadcastHeader } from '../wire/inner.ts';
import { macOfName, type Mac } from '../wire/mac.ts';
import { BroadcastTrees } from './broadcast-tree.ts';
import { BroadcastWindows, type BroadcastVerdict } from './broadcast-window.ts';
import { TokenBucket } from '../../core/token-bucket.ts';
import { FLOOD_BURST, FLOOD_RATE, FLOOD_RESERVE } from './tuning.ts';

const FIRST_TTL = 64;

/** The header of the flood at hand; one object serves flood after flood. */
type MutableHeader = { -readonly [Field in keyof BroadcastHeader]: BroadcastHeader[Field] };

/** What may be flooded, and to whom: trees, sequences, duplicates and limits. */
export class Flood {
  readonly #header: MutableHeader = { originator: 0, sequence: 0, ttl: 0, epoch: 0 };
  readonly #windows = new BroadcastWindows();
  readonly #buckets = new Map<Mac, TokenBucket>();
  #routes: RoutesSnapshot | undefined;
  #trees: BroadcastTrees | undefined;
  /** Positions in the snapshot. */
  #positions = new Map<Mac, number>();
  #sequence = 0;

  onRoutes(routes: RoutesSnapshot, now: Millis): void {
    this.#routes = routes;
    this.#trees = new BroadcastTrees(routes);
    this.#positions = new Map(routes.names.map((name, position) => [macOfName(name), position]));
    this.#windows.retain(this.#positions, now);
    for (const mac of this.#buckets.keys()) if (!this.#positions.has(mac)) this.#buckets.delete(mac);
  }

  /**
   * Header for a flood of this node's own; valid until the next call of any method here. `isGroup`: of a frame that is for
   * many, and not for a MAC that is not known.
   */
  start(isGroup: boolean, now: Millis): BroadcastHeader | 'routes-unknown' | 'flood-limited' {
    const routes = this.#routes;
    const name = routes?.names[routes.self];
    if (routes === undefined || name === undefined) return 'routes-unknown';
    const originator = macOfName(name);
    if (!this.#bucket(originator).take(now, isGroup ? 0 : FLOOD_RESERVE)) return 'flood-limited';
    this.#header.originator = originator;
    this.#header.sequence = this.#sequence;
    this.#header.ttl = FIRST_TTL;
    this.#header.epoch = routes.epoch[routes.self]!;
    this.#sequence = (this.#sequence + 1) >>> 0;
    return this.#header;
  }

  /** Whether a broadcast of `originator` is to be taken. */
  admit(originator: Mac, epoch: number, sequence: number, now: Millis): FloodVerdict {
    const position = this.#positions.get(originator);
    if (position === undefined) return 'broadcast-originator-unknown';
    if (position === this.#routes?.self) return 'broadcast-own';
    const verdict = this.#windows.accept(originator, epoch, sequence);
    if (verdict !== 'new') return verdict;
    return this.#bucket(originator).take(now) ? 'new' : 'flood-limited';
  }

  /** Header to pass an admitted broadcast on with; valid until the next call of any method here. */
  passOn(originator: Mac, epoch: number, sequence: number, ttl: number): BroadcastHeader {
    this.#header.originator = originator;
    this.#header.sequence = sequence;
    this.#header.ttl = ttl - 1;
    this.#header.epoch = epoch;
    return this.#header;
  }

  /** Name of an admitted originator. */
  nameOf(originator: Mac): PeerName | undefined {
    const position = this.#positions.get(originator);
    return position === undefined ? undefined : this.#routes?.names[position];
  }

  /** Positions of those whom this node passes the originator's broadcasts on to; see {@link nameAt}. */
  childrenOf(originator: Mac): Int32Array {
    const position = this.#positions.get(originator);
    return position === undefined || this.#trees === undefined ? NOBODY : this.#trees.childrenFor(position);
  }

  nameAt(position: number): PeerName {
    return this.#routes!.names[position]!;
  }

  #bucket(originator: Mac): TokenBucket {
    let bucket = this.#buckets.get(originator);
    if (bucket === undefined) {
      bucket = new TokenBucket(FLOOD_RATE, FLOOD_BURST);
      this.#buckets.set(originator, bucket);
    }
    return bucket;
  }
}

const NOBODY = new Int32Array(0);

export type FloodVerdict =
  BroadcastVerdict | 'broadcast-originator-unknown' | 'broadcast-own' | 'flood-limited';
