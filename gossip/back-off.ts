import { MINUTE, SECOND, type Millis } from '../core/time.ts';

const FIRST: Millis = SECOND;
const GROWTH = 1.5;
const LONGEST: Millis = 2 * MINUTE;
/** A connection that lived this long makes the next failure the first one again. */
export const PROVEN_AFTER: Millis = MINUTE;

/**
 * Wait before the next attempt after `failures` failed ones in a row (at least 1): 1 s, times 1.5 each, to 2 min,
 * with +-50 % jitter taken from `fraction` in [0, 1).
 */
export function backOff(failures: number, fraction: number): Millis {
  const wait = Math.min(LONGEST, FIRST * GROWTH ** (failures - 1));
  return wait * (0.5 + fraction);
}
