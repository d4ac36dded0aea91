import type { Found, Tallies } from './fuzzer.ts';

/** What a thread is to do. */
export interface Job {
  /** URL of a module that exports `allTargets`. */
  readonly targets: string;
  /** Part of the names of those that are meant. */
  readonly only: string;
  readonly seed: number;
  /** Whichever comes first ends it. */
  readonly inputs: number;
  readonly seconds: number;
  readonly guided: boolean;
  /** To be fed to the one target of that name, and nothing else. */
  readonly replay: Pick<Found, 'target' | 'inputs'> | undefined;
}

/** What one thread did. */
export interface Outcome {
  readonly tallies: Tallies;
  readonly cpuSeconds: number;
  readonly found: Found | undefined;
  /** MiB once a fifth of the work was done, and at its end. */
  readonly residentWarm: number;
  readonly resident: number;
}
