/** One attempt at a rate, and whether next to nothing was lost. */
export interface Step {
  readonly rate: number;
  readonly lossless: boolean;
}

const FIRST = 0.8;
const UP = 1.25;
const DOWN = 0.6;

/**
 * The rate to try next in the search for the highest lossless one: from a little below what was received at flood
 * upwards until something is lost, or downwards until nothing is, then between the two. In rates, not differences,
 * because tunnels collapse by factors when they are flooded.
 */
export function nextRate(receivedAtFlood: number, steps: readonly Step[]): number {
  const good = Math.max(0, ...steps.filter((step) => step.lossless).map((step) => step.rate));
  const bad = Math.min(Infinity, ...steps.filter((step) => !step.lossless).map((step) => step.rate));
  if (good > 0 && bad < Infinity) return Math.sqrt(good * bad);
  if (good > 0) return good * UP;
  if (bad < Infinity) return bad * DOWN;
  return receivedAtFlood * FIRST;
}
