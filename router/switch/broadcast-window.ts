import { SECOND, type Millis } from '../../core/time.ts';
import type { Mac } from '../wire/mac.ts';

/** Sequences behind the newest one that are still told apart. */
export const WINDOW_SEQUENCES = 1_024;
/**
 * An originator that is out of reach is remembered for so long: where views differ for a moment it comes back, and with it
 * broadcasts that have waited for links, 5 s a hop (HELD_FOR). Less than the 30 s after which topologies forget it
 * (COLLECT_AFTER): who comes back later may count its incarnations, and with them epochs, anew.
 */
const REMEMBERED_FOR: Millis = 20 * SECOND;
/** Of those out of reach, the last ones: as many as there may be peers. */
const MOST_REMEMBERED = 8_192;

export type BroadcastVerdict = 'new' | 'broadcast-duplicate' | 'broadcast-too-old' | 'broadcast-epoch-old';

/** The sequences seen of one (originator, epoch); sequences are u32 and wrap. */
class SequenceWindow {
  readonly epoch: number;
  readonly #words = new Uint32Array(WINDOW_SEQUENCES / 32);
  #newest: number;

  constructor(epoch: number, first: number) {
    this.epoch = epoch;
    this.#newest = first;
  }

  accept(sequence: number): BroadcastVerdict {
    const ahead = (sequence - this.#newest) | 0;
    if (ahead <= -WINDOW_SEQUENCES) return 'broadcast-too-old';
    if (ahead > 0) this.#advance(ahead);
    const position = sequence % WINDOW_SEQUENCES;
    const bit = 1 << (position & 31);
    if ((this.#words[position >>> 5]! & bit) !== 0) return 'broadcast-duplicate';
    this.#words[position >>> 5]! |= bit;
    return 'new';
  }

  /** Forgets what now lies behind the window. */
  #advance(by: number): void {
    if (by >= WINDOW_SEQUENCES) this.#words.fill(0);
    else {
      for (let i = 1; i <= by; i++) {
        const position = (this.#newest + i) % WINDOW_SEQUENCES;
        this.#words[position >>> 5]! &= ~(1 << (position & 31));
      }
    }
    this.#newest = (this.#newest + by) >>> 0;
  }
}

interface Epochs {
  newest: SequenceWindow;
  previous: SequenceWindow | undefined;
}

/** Lets each broadcast of an originator pass once, over its last two epochs. */
export class BroadcastWindows {
  readonly #byOriginator = new Map<Mac, Epochs>();
  /** Since when which of them are out of reach, in that order. */
  readonly #goneSince = new Map<Mac, Millis>();

  /** The caller asks for originators in reach only: they are what bounds this map, see {@link retain}. */
  accept(originator: Mac, epoch: number, sequence: number): BroadcastVerdict {
    const epochs = this.#byOriginator.get(originator);
    if (epochs === undefined) {
      const newest = new SequenceWindow(epoch, sequence);
      this.#byOriginator.set(originator, { newest, previous: undefined });
      return newest.accept(sequence);
    }
    if (epoch === epochs.newest.epoch) return epochs.newest.accept(sequence);
    if (epoch === epochs.previous?.epoch) return epochs.previous.accept(sequence);
    if (!isLaterEpoch(epoch, epochs.newest.epoch)) return 'broadcast-epoch-old';
    epochs.previous = epochs.newest;
    epochs.newest = new SequenceWindow(epoch, sequence);
    return epochs.newest.accept(sequence);
  }

  /** These are in reach now; others are forgotten in a while. */
  retain(originators: ReadonlyMap<Mac, unknown>, now: Millis): void {
    for (const [mac, since] of this.#goneSince) if (now >= since + REMEMBERED_FOR) this.#forget(mac);
    for (const mac of this.#byOriginator.keys()) {
      if (originators.has(mac)) this.#goneSince.delete(mac);
      else if (!this.#goneSince.has(mac)) this.#goneSince.set(mac, now);
    }
    for (const mac of this.#goneSince.keys()) {
      if (this.#goneSince.size <= MOST_REMEMBERED) break;
      this.#forget(mac);
    }
  }

  #forget(mac: Mac): void {
    this.#goneSince.delete(mac);
    this.#byOriginator.delete(mac);
  }
}

/** Epochs count modulo 256 (incarnations): the nearer way round says which is later. */
function isLaterEpoch(epoch: number, than: number): boolean {
  return ((epoch - than) & 0xff) < 0x80;
}
