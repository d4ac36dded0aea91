/** What becomes of one datagram with a valid tag, in the engines' words. */
export type CounterVerdict = 'new' | 'counter-replayed' | 'counter-too-old' | 'counter-exhausted';

export interface ReplayCase {
  readonly what: string;
  /** Counters of one key in order of arrival. */
  readonly steps: readonly (readonly [counter: bigint, verdict: CounterVerdict])[];
}

/** Counters in the window. */
export const W = 65_536n;
/** One past the largest counter that anybody may use. */
export const LIMIT = 2n ** 53n - 1n;

/** The edges of the replay window, and what every implementation of it must say there. */
export const REPLAY_CASES: readonly ReplayCase[] = [
  {
    what: 'the first counter is 0, and is taken once',
    steps: [
      [0n, 'new'],
      [0n, 'counter-replayed'],
      [1n, 'new'],
      [0n, 'counter-replayed'],
    ],
  },
  {
    what: 'a stream may begin anywhere',
    steps: [
      [12_345n, 'new'],
      [12_344n, 'new'],
      [0n, 'new'],
      [12_345n, 'counter-replayed'],
    ],
  },
  {
    what: 'window - 1 leaves 0 inside',
    steps: [
      [W - 1n, 'new'],
      [0n, 'new'],
      [0n, 'counter-replayed'],
    ],
  },
  {
    what: 'window puts 0 outside and leaves 1 inside',
    steps: [
      [W, 'new'],
      [0n, 'counter-too-old'],
      [1n, 'new'],
      [1n, 'counter-replayed'],
    ],
  },
  {
    what: 'window + 1 puts 1 outside and leaves 2 inside',
    steps: [
      [W + 1n, 'new'],
      [1n, 'counter-too-old'],
      [2n, 'new'],
    ],
  },
  {
    what: 'a counter that was taken is too old once it is outside, and refused either way',
    steps: [
      [5n, 'new'],
      [W + 4n, 'new'],
      [5n, 'counter-replayed'],
      [W + 5n, 'new'],
      [5n, 'counter-too-old'],
    ],
  },
  {
    what: 'moving on by whole words forgets nothing that is still inside',
    steps: [
      [63n, 'new'],
      [64n, 'new'],
      [W + 62n, 'new'],
      [63n, 'counter-replayed'],
      [64n, 'counter-replayed'],
      [W + 63n, 'new'],
      [63n, 'counter-too-old'],
      [64n, 'counter-replayed'],
      [65n, 'new'],
    ],
  },
  {
    what: 'a slot of the ring that is used again is empty',
    steps: [
      [7n, 'new'],
      [W + 64n + 7n, 'new'],
      [2n * (W + 64n) + 7n, 'new'],
      [W + 64n + 8n, 'counter-too-old'],
      [W + 128n + 8n, 'new'],
    ],
  },
  {
    what: 'a jump far ahead empties the window, and what lay between is taken once',
    steps: [
      [3n, 'new'],
      [2n ** 40n, 'new'],
      [3n, 'counter-too-old'],
      [2n ** 40n - W, 'counter-too-old'],
      [2n ** 40n - W + 1n, 'new'],
      [2n ** 40n - 1n, 'new'],
      [2n ** 40n - 1n, 'counter-replayed'],
      [2n ** 40n, 'counter-replayed'],
    ],
  },
  {
    what: 'counters on both sides of 2^32 are told apart',
    steps: [
      [2n ** 32n - 1n, 'new'],
      [2n ** 32n, 'new'],
      [2n ** 32n + 1n, 'new'],
      [2n ** 32n - 1n, 'counter-replayed'],
      [2n ** 32n, 'counter-replayed'],
      [0n, 'counter-too-old'],
      [1n, 'counter-too-old'],
    ],
  },
  {
    what: 'a window that lies across 2^32 reaches back below it',
    steps: [
      [2n ** 32n + 10n, 'new'],
      [2n ** 32n + 11n - W, 'new'],
      [2n ** 32n + 10n - W, 'counter-too-old'],
    ],
  },
  {
    what: 'the last counter below the limit is taken, the limit itself is not, and moves nothing',
    steps: [
      [LIMIT - 2n, 'new'],
      [LIMIT, 'counter-exhausted'],
      [LIMIT - 1n, 'new'],
      [LIMIT - 1n, 'counter-replayed'],
      [LIMIT - W, 'new'],
      [LIMIT - W - 1n, 'counter-too-old'],
    ],
  },
  {
    what: 'from 2^53 to the end of 64 bits nothing is taken, and nothing moves',
    steps: [
      [1n, 'new'],
      [2n ** 53n, 'counter-exhausted'],
      [2n ** 53n + 1n, 'counter-exhausted'],
      [2n ** 63n - 1n, 'counter-exhausted'],
      [2n ** 63n, 'counter-exhausted'],
      [2n ** 63n + 1n, 'counter-exhausted'],
      [2n ** 64n - 2n, 'counter-exhausted'],
      [2n ** 64n - 1n, 'counter-exhausted'],
      [1n, 'counter-replayed'],
      [2n, 'new'],
    ],
  },
  {
    what: 'a counter does not wrap to 0 behind the largest',
    steps: [
      [LIMIT - 1n, 'new'],
      [2n ** 64n - 1n, 'counter-exhausted'],
      [0n, 'counter-too-old'],
      [1n, 'counter-too-old'],
    ],
  },
];
