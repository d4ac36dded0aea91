import type { PeerName } from '../../core/peer-name.ts';
import type { Millis } from '../../core/time.ts';
import { MAC_BYTES, readMac, type Mac } from '../wire/mac.ts';
import { EVENT_LIMIT, LOOP_INTERVAL, MAC_LIMIT, MAC_TTL } from './tuning.ts';

/** Behind this host's bridge, or behind a peer's. */
export type MacLocation = PeerName | 'local';

/** What an operator may want to read. */
export type MacEvent =
  | {
      readonly type: 'mac-moved';
      readonly mac: Mac;
      readonly from: MacLocation;
      readonly to: MacLocation;
    }
  /** Captured here within a second of being heard from `peer`: two bridges are joined behind our back. */
  | { readonly type: 'mac-loop'; readonly mac: Mac; readonly peer: PeerName };

/** What one worker learned and the others are told. */
export interface SharedMac {
  readonly mac: Mac;
  readonly where: MacLocation;
}

/** False = not now: the next frame from the MAC brings it up again. */
export type ShareMac = (shared: SharedMac, now: Millis) => boolean;

export type LearnVerdict = 'new' | 'known' | 'moved' | 'loop' | 'attached-here';

interface MacEntry {
  where: MacLocation;
  seen: Millis;
  /** When it was put at the young end of the table. */
  filed: Millis;
  /** When other workers were told of it, or told us. */
  shared: Millis;
}

/** The order of the table need not be finer than this, and refiling costs more than a look. */
const FILING_INTERVAL: Millis = 1_000;
/** Other workers are told so often of a MAC that is heard all the time: well within {@link MAC_TTL}. */
const SHARING_INTERVAL: Millis = 60_000;

/**
 * Where MACs are: learned from the frames that they send, forgotten after {@link MAC_TTL}, bounded by dropping the
 * one that was silent longest. MACs of attached ports are local whatever is heard.
 */
export class MacTable {
  readonly #limit: number;
  /** Oldest first, to within {@link FILING_INTERVAL}. */
  readonly #entries = new Map<Mac, MacEntry>();
  #attached: ReadonlySet<Mac> = new Set();
  #events: MacEvent[] = [];
  #moves = 0;
  readonly #share: ShareMac | undefined;

  /** `share` is called with what other workers should know. */
  constructor(limit = MAC_LIMIT, share?: ShareMac) {
    this.#limit = limit;
    this.#share = share;
  }

  /** Times that a MAC turned up elsewhere. */
  get moves(): number {
    return this.#moves;
  }

  lookup(mac: Mac, now: Millis): MacLocation | undefined {
    if (this.#attached.has(mac)) return 'local';
    const entry = this.#entries.get(mac);
    return entry === undefined || now - entry.seen >= MAC_TTL ? undefined : entry.where;
  }

  /** A frame from `mac` was captured here. On 'loop' nothing is learned and the frame is to be dropped. */
  learnLocal(mac: Mac, now: Millis): LearnVerdict {
    if (this.#attached.has(mac)) return 'known';
    const entry = this.#entries.get(mac);
    if (entry !== undefined && entry.where !== 'local' && now - entry.seen < LOOP_INTERVAL) {
      this.#report({ type: 'mac-loop', mac, peer: entry.where });
      return 'loop';
    }
    return this.#learnHere(mac, entry, 'local', now);
  }

  /** `peer` sent a frame from `mac`, or told us that it has it. */
  learnRemote(mac: Mac, peer: PeerName, now: Millis): LearnVerdict {
    if (this.#attached.has(mac)) return 'attached-here';
    return this.#learnHere(mac, this.#entries.get(mac), peer, now);
  }

  /** Another worker learned it. */
  learnShared({ mac, where }: SharedMac, now: Millis): void {
    if (this.#attached.has(mac)) return;
    this.#learn(mac, this.#entries.get(mac), where, now);
    this.#entries.get(mac)!.shared = now;
  }

  /** All MACs (6 bytes each) of attached local ports; those from the last call that are missing are learned again. */
  setAttached(macs: Uint8Array): void {
    const attached = new Set<Mac>();
    for (let at = 0; at + MAC_BYTES <= macs.length; at += MAC_BYTES) attached.add(readMac(macs, at));
    this.#attached = attached;
    for (const mac of attached) this.#entries.delete(mac);
  }

  /** What was learned of a peer that is gone. */
  forgetPeer(peer: PeerName): void {
    for (const [mac, entry] of this.#entries) if (entry.where === peer) this.#entries.delete(mac);
  }

  /** MACs known at `now`, attached ones included. */
  size(now: Millis): number {
    for (const [mac, entry] of this.#entries) if (now - entry.seen >= MAC_TTL) this.#entries.delete(mac);
    return this.#entries.size + this.#attached.size;
  }

  /** Moves and loops since the last call, the first {@link EVENT_LIMIT} of them. */
  drainEvents(): readonly MacEvent[] {
    const events = this.#events;
    if (events.length > 0) this.#events = [];
    return events;
  }

  #learnHere(mac: Mac, entry: MacEntry | undefined, where: MacLocation, now: Millis): LearnVerdict {
    const verdict = this.#learn(mac, entry, where, now);
    if (this.#share === undefined) return verdict;
    if (verdict === 'known' && now - entry!.shared < SHARING_INTERVAL) return verdict;
    this.#entries.get(mac)!.shared = this.#share({ mac, where }, now) ? now : Number.NEGATIVE_INFINITY;
    return verdict;
  }

  #learn(mac: Mac, entry: MacEntry | undefined, where: MacLocation, now: Millis): LearnVerdict {
    if (entry === undefined || now - entry.seen >= MAC_TTL) {
      this.#file(mac, { where, seen: now, filed: now, shared: now });
      return 'new';
    }
    const from = entry.where;
    entry.where = where;
    entry.seen = now;
    if (now - entry.filed >= FILING_INTERVAL) this.#file(mac, entry);
    if (from === where) return 'known';
    this.#moves++;
    this.#report({ type: 'mac-moved', mac, from, to: where });
    return 'moved';
  }

  /** Puts the entry at the young end; what is too much goes at the old end. */
  #file(mac: Mac, entry: MacEntry): void {
    entry.filed = entry.seen;
    this.#entries.delete(mac);
    this.#entries.set(mac, entry);
    if (this.#entries.size <= this.#limit) return;
    for (const oldest of this.#entries.keys()) {
      this.#entries.delete(oldest);
      return;
    }
  }

  #report(event: MacEvent): void {
    if (this.#events.length < EVENT_LIMIT) this.#events.push(event);
  }
}
