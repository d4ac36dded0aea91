import { MINUTE, SECOND, earlier, type Millis } from '../../core/time.ts';

/** UDP payload that any path worth using carries: the least MTU of IPv6 less its and UDP's header. */
export const BASE_SIZE = 1_232;
const LARGEST_UDP_PAYLOAD = 65_507;
/** Datagram 32, inner 2, broadcast 12, Ethernet 14, VLAN 4. */
const FRAME_OVERHEAD = 64;

/** How long the answer to the full-size probe may come after that to the small one. */
const GRACE: Millis = 0.5 * SECOND;
const TRY_TIMEOUT: Millis = 1 * SECOND;
const TRIES = 3;
/** The search stops when it knows the size to so many bytes. */
const PRECISION = 8;
const SEARCH_AGAIN: Millis = 10 * MINUTE;

/** The largest datagram (UDP payload bytes) that frames of these bridges can make. */
export function fullSize(bridgeMtu: number, remoteBridgeMtu: number): number {
  return Math.min(bridgeMtu + FRAME_OVERHEAD, remoteBridgeMtu + FRAME_OVERHEAD, LARGEST_UDP_PAYLOAD);
}

/** What an Ethernet frame may carry (bytes of IP packet) in a datagram of `size` bytes. */
export function innerMtu(size: number): number {
  return size - FRAME_OVERHEAD;
}

interface Search {
  target: number;
  tries: number;
  sentAt: Millis | undefined;
}

/**
 * Path MTU discovery of one path (in the manner of RFC 8899): the largest confirmed UDP payload, found by padded
 * probes. Unknown until a first probe is answered; then never below {@link BASE_SIZE}.
 */
export class PathMtu {
  readonly full: number;
  readonly base: number;
  #size: number | undefined;
  /** What it was when the path was lost. */
  #before: number | undefined;
  #graceUntil: Millis | undefined;
  /** No size above this is worth a probe. */
  #limit: number;
  #search: Search | undefined;
  #searchAt: Millis | undefined;

  constructor(full: number) {
    this.full = full;
    this.base = Math.min(BASE_SIZE, full);
    this.#limit = full;
  }

  /** Largest confirmed UDP payload in bytes; undefined until the path is confirmed. */
  get size(): number | undefined {
    return this.#size;
  }

  /**
   * What frames are measured by: {@link size}, or while the path is lost what it was. Hosts keep a smaller answer for ten
   * minutes, and the path most likely comes back as it was.
   */
  get presumed(): number {
    return this.#size ?? this.#before ?? this.base;
  }

  /** Sizes of the probes that test a path of unknown size. */
  firstProbes(): number[] {
    return this.full > this.base ? [this.full, this.base] : [this.base];
  }

  /** The path was lost: what was known about it is to be found anew. */
  reset(): void {
    this.#before = this.#size ?? this.#before;
    this.#size = undefined;
    this.#graceUntil = undefined;
    this.#limit = this.full;
    this.#search = undefined;
    this.#searchAt = undefined;
  }

  /** A probe or heartbeat of `size` bytes was answered. */
  onDelivered(size: number, now: Millis): void {
    if (this.#size === undefined) {
      if (size >= this.full) this.#size = size;
      else if (size >= this.base) this.#graceUntil ??= now + GRACE;
      return;
    }
    if (size <= this.#size) return;
    this.#size = size;
    if (this.#search && size >= this.#search.target) this.#nextTarget(this.#search, now);
  }

  /** Datagrams of the confirmed size vanish. False if there is no smaller size to fall back to. */
  onBlackHole(now: Millis): boolean {
    return this.#size === undefined || this.#fallBack(this.#size - 1, now);
  }

  /** The host says that `size` bytes do not leave. False if that makes the path unusable. */
  onTooBig(size: number, now: Millis): boolean {
    if (size <= this.base) return false;
    if (this.#size !== undefined && size <= this.#size) return this.#fallBack(size - 1, now);
    this.#limit = Math.min(this.#limit, size - 1);
    if (this.#search && this.#search.target > this.#limit) this.#nextTarget(this.#search, now);
    return true;
  }

  nextTimeout(): Millis | undefined {
    const search = this.#search;
    const probeAt = search && (search.sentAt === undefined ? -Infinity : search.sentAt + TRY_TIMEOUT);
    return earlier(earlier(this.#graceUntil, this.#searchAt), probeAt);
  }

  /** Returns the size of a probe to send now, if any. */
  onTimeout(now: Millis): number | undefined {
    if (this.#graceUntil !== undefined && this.#graceUntil <= now) this.#settleForBase();
    if (this.#searchAt !== undefined && this.#searchAt <= now) this.#startSearch(this.full);
    const search = this.#search;
    if (search === undefined) return undefined;
    if (search.sentAt !== undefined && now < search.sentAt + TRY_TIMEOUT) return undefined;
    if (search.tries === TRIES) {
      this.#limit = search.target - 1;
      this.#nextTarget(search, now);
      if (this.#search === undefined) return undefined;
    }
    search.tries++;
    search.sentAt = now;
    return search.target;
  }

  #settleForBase(): void {
    this.#graceUntil = undefined;
    if (this.#size !== undefined) return;
    this.#size = this.base;
    this.#startSearch(this.#limit);
  }

  #fallBack(limit: number, now: Millis): boolean {
    if (this.#size === this.base) return false;
    this.#size = this.base;
    this.#startSearch(limit);
    if (limit - this.base < PRECISION) this.#endSearch(now);
    return true;
  }

  #startSearch(limit: number): void {
    this.#searchAt = undefined;
    this.#limit = limit;
    this.#search = { target: limit, tries: 0, sentAt: undefined };
  }

  #nextTarget(search: Search, now: Millis): void {
    const low = this.#size ?? this.base;
    if (this.#limit - low < PRECISION) {
      this.#endSearch(now);
      return;
    }
    search.target = Math.ceil((low + this.#limit) / 2);
    search.tries = 0;
    search.sentAt = undefined;
  }

  #endSearch(now: Millis): void {
    this.#search = undefined;
    this.#searchAt = this.#size === this.full ? undefined : now + SEARCH_AGAIN;
  }
}
