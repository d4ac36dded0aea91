import type { BenchLab } from './bench-lab.ts';
import type { Ends, Place } from './contender.ts';
import type { Figures } from './metrics.ts';

export const GROUPS = ['tcp', 'udp', 'rtt', 'cpu'] as const;
export type Group = (typeof GROUPS)[number];

/** How long and how often things are measured. */
export interface Effort {
  /** Seconds of TCP before the first measure of a turn; 0 = none. */
  readonly warmUpSeconds: number;
  readonly tcpSeconds: number;
  /** Seconds at the start of a stream that do not count. */
  readonly tcpOmit: number;
  readonly udpSeconds: number;
  readonly udpSteps: number;
  /** Of a round trip. */
  readonly probes: number;
  /** Series into which those of an idle tunnel are divided. */
  readonly idleSeries: number;
}

/** What a measure may use. */
export interface Context {
  readonly lab: BenchLab;
  readonly ends: Ends;
  readonly effort: Effort;
  /** Processes of the tunnel. */
  readonly pids: readonly number[];
  /** Path of the built UDP generator. */
  readonly udpLoad: string;
}

export interface Measure {
  readonly name: string;
  readonly groups: readonly Group[];
  /** Taken in that many of the first rounds: three quarters of an hour do not hold everything three times. */
  readonly rounds: Readonly<Record<Place, number>>;
  /** Part of `--quick`, at that place. */
  readonly quick: Readonly<Record<Place, boolean>>;
  run(context: Context): Promise<Figures>;
}
