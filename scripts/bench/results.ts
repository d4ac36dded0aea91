import type { Place } from './contender.ts';
import type { Effort, Group } from './measure.ts';
import type { Figures, MetricName } from './metrics.ts';
import { spread, type Spread } from './statistics.ts';

/** The document results.json. */
export interface Results {
  /** ISO 8601, when the run began. */
  readonly began: string;
  readonly minutes: number;
  readonly machine: Machine;
  readonly groups: readonly Group[];
  readonly effort: Effort;
  readonly contenders: readonly Described[];
  readonly turns: readonly Turn[];
  readonly failures: readonly Failure[];
  /** Why the run ended before all rounds were done; absent if they were. */
  readonly cutShort?: string;
}

export interface Described {
  readonly name: string;
  readonly title: string;
  readonly configuration: string;
  /** Version of the program; empty for what is part of the kernel. */
  readonly version: string;
}

export interface Machine {
  readonly kernel: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGigabytes: number;
  readonly node: string;
  /** One-minute load average before the run: figures of a busy machine mean little. */
  readonly loadBefore: number;
}

/** What one contender gave in one round; rounds count from 1. */
export interface Turn {
  readonly contender: string;
  readonly round: number;
  readonly figures: Readonly<Record<Place, Figures>>;
}

export interface Failure {
  readonly contender: string;
  readonly round: number;
  /** Place and measure, or "start". */
  readonly what: string;
  readonly message: string;
}

/** A metric's values of all rounds in which it was taken, by round. */
export function valuesByRound(
  turns: readonly Turn[],
  contender: string,
  place: Place,
  metric: MetricName,
): Map<number, number> {
  const values = new Map<number, number>();
  for (const turn of turns.filter((one) => one.contender === contender)) {
    const value = turn.figures[place][metric];
    if (value !== undefined) values.set(turn.round, value);
  }
  return values;
}

export function spreadOf(
  turns: readonly Turn[],
  contender: string,
  place: Place,
  metric: MetricName,
): Spread | undefined {
  return spread([...valuesByRound(turns, contender, place, metric).values()]);
}
