/**
 * Time as pure code sees it: milliseconds of a monotonic clock, handed in as an argument.
 * Its zero has no meaning; wall time is never used for protocol decisions.
 */
export type Millis = number;

export const SECOND: Millis = 1_000;
export const MINUTE: Millis = 60 * SECOND;
export const HOUR: Millis = 60 * MINUTE;

/**
 * What every state machine here offers to the one event loop that drives it.
 * Inputs are `on...` methods with `now` as their last argument; effects are fetched with `drain`.
 */
export interface Machine<Effect> {
  /** When {@link Machine.onTimeout} wants to be called next; undefined = not at all. May lie in the past. */
  nextTimeout(): Millis | undefined;
  onTimeout(now: Millis): void;
  /** Returns what is to be done, oldest first, and forgets it. */
  drain(): Effect[];
}

/**
 * The first beat after `from` of a clock that beats every `interval`. Where many things are each due an interval after they
 * were last done, this makes them fall together, none later than without it: one waking does them all.
 */
export function nextBeat(from: Millis, interval: Millis): Millis {
  return Math.floor((from + interval) / interval) * interval;
}

/** The earlier of two deadlines, either of which may be absent. */
export function earlier(a: Millis | undefined, b: Millis | undefined): Millis | undefined {
  if (a === undefined) return b;
  return b === undefined || a < b ? a : b;
}
