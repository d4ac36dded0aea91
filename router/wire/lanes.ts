/**
 * A session has lanes, numbered from 0: a key and a counter of its own each, and a receiver index. The index of a lane is
 * the session's direct index, whose low bits are zero, plus the lane's number. So whoever sees but a datagram's header
 * knows its lane, and with it the worker that holds its keys.
 */

/** Bits of a receiver index that say the lane. */
const LANE_BITS = 4;
export const MOST_LANES = 2 ** LANE_BITS;

/** The lanes of a session between ends with so many workers: each worker of either has one to send on. */
export function lanesBetween(workers: number, remoteWorkers: number): number {
  return Math.max(workers, remoteWorkers);
}

/** The worker, of `workers`, that a lane belongs to. */
export function workerOf(lane: number, workers: number): number {
  return lane % workers;
}

/** The receiver index without its lane, as an allocator gives it out. */
export function baseIndex(index: number): number {
  return (index - (index % MOST_LANES)) >>> 0;
}

/** The receiver index of a lane. */
export function laneIndex(base: number, lane: number): number {
  return (base + lane) >>> 0;
}

/**
 * The engine's number of a lane of a session. Lane 0 has the session's own, which is below this; so the numbers of all
 * lanes of all sessions differ, in whichever engine they are.
 */
const LANE_STRIDE = 2 ** 20;

export function laneSession(session: number, lane: number): number {
  return session + lane * LANE_STRIDE;
}

/** The number is of a lane above 0. */
export function isLane(number: number): boolean {
  return number >= LANE_STRIDE;
}

/** The lane that the number is of. */
export function laneOf(number: number): number {
  return Math.floor(number / LANE_STRIDE);
}

/** The session's own number, of whichever lane. */
export function sessionOfLane(number: number): number {
  return number & (LANE_STRIDE - 1);
}
