import type { BenchLab } from './bench-lab.ts';
import type { Ends, Place } from './contender.ts';
import type { Figures } from './metrics.ts';
import { measureIdleRtt, measureLoadedRtt } from './rtt.ts';
import { measureEightStreams, measureOneStream } from './tcp.ts';
import { measureUdp, type UdpSize } from './udp.ts';

export const GROUPS = ['tcp', 'udp', 'rtt', 'cpu'] as const;
export type Group = (typeof GROUPS)[number];

/** How long and how often things are measured. */
export interface Effort {
  readonly tcpSeconds: number;
  /** Seconds at the start of a stream that do not count. */
  readonly tcpOmit: number;
  readonly udpSeconds: number;
  readonly udpSteps: number;
  readonly probes: number;
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
  /** Taken in that many of the first rounds: an hour does not hold everything three times. */
  readonly rounds: Readonly<Record<Place, number>>;
  /** Part of `--quick`, at that place. */
  readonly quick: Readonly<Record<Place, boolean>>;
  run(context: Context): Promise<Figures>;
}

const ALWAYS = { host: Infinity, pod: Infinity };

export const MEASURES: readonly Measure[] = [
  {
    name: 'TCP, one stream',
    groups: ['tcp', 'cpu'],
    rounds: ALWAYS,
    quick: { host: true, pod: true },
    run: measureOneStream,
  },
  {
    name: 'TCP, eight streams',
    groups: ['tcp'],
    rounds: ALWAYS,
    quick: { host: false, pod: false },
    run: measureEightStreams,
  },
  {
    name: 'RTT idle',
    groups: ['rtt'],
    rounds: ALWAYS,
    quick: { host: true, pod: true },
    run: measureIdleRtt,
  },
  {
    name: 'RTT under load',
    groups: ['rtt'],
    rounds: ALWAYS,
    quick: { host: false, pod: true },
    run: measureLoadedRtt,
  },
  udp(64, { host: 2, pod: Infinity }, true),
  udp(512, { host: 1, pod: 1 }, false),
  udp(1400, { host: 1, pod: 2 }, false),
];

function udp(size: UdpSize, rounds: Measure['rounds'], quick: boolean): Measure {
  return {
    name: `UDP ${size}`,
    groups: ['udp'],
    rounds,
    quick: { host: false, pod: quick },
    run: (context) => measureUdp(context, size),
  };
}
