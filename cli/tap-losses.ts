import { readFileSync } from 'node:fs';

/** The kernel had a frame for the TAP whose queue was full: it came faster than the daemon read. */
export type TapLoss = 'tap-overrun';

/** Of the numbers of a line in /proc/net/dev: the dropped ones among those that were to be sent. */
const SEND_DROPS = 11;

/** Frames that the kernel dropped since this was made because the TAP's queue was full. It is read when asked. */
export class TapLosses {
  readonly #tap: string;
  /** The TAP outlives daemons, and its counters with it. */
  readonly #before: number;

  constructor(tap: string) {
    this.#tap = tap;
    this.#before = this.#read();
  }

  /** By reason; empty if there were none. */
  drops(): Readonly<Partial<Record<TapLoss, number>>> {
    const count = this.#read() - this.#before;
    return count > 0 ? { 'tap-overrun': count } : {};
  }

  #read(): number {
    // Unlike /sys, it shows the devices of the process's own network namespace, wherever that was mounted.
    return sendDrops(readFileSync('/proc/net/dev', 'utf8'), this.#tap) ?? 0;
  }
}

/** What /proc/net/dev says in `text` of frames to `device` that were dropped; undefined if it is not there. */
export function sendDrops(text: string, device: string): number | undefined {
  const line = text.split('\n').find((each) => each.trimStart().startsWith(`${device}:`));
  const numbers = line
    ?.slice(line.indexOf(':') + 1)
    .trim()
    .split(/\s+/);
  const drops = Number(numbers?.[SEND_DROPS]);
  return Number.isSafeInteger(drops) ? drops : undefined;
}
