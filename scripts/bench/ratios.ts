import type { Place } from './contender.ts';
import type { MetricName } from './metrics.ts';
import { METRICS } from './metrics.ts';
import { valuesByRound, type Turn } from './results.ts';
import { median, spread, type Spread } from './statistics.ts';

/** A ratio between contenders that the project set itself. */
export interface Goal {
  readonly title: string;
  readonly metric: MetricName;
  readonly place: Place;
  readonly contender: string;
  /** The best of these by median is what is compared with. */
  readonly rivals: readonly string[];
  readonly wanted: { readonly atLeast: number } | { readonly atMost: number };
  /** Whose figure of the same round is taken off both first: what the ends cost without a tunnel. */
  readonly lessThatOf?: string;
}

/** How a goal came out; `ratio` is undefined where one side was not measured. */
export interface GoalResult {
  readonly goal: Goal;
  readonly rival: string | undefined;
  readonly ratio: Spread | undefined;
  readonly met: boolean;
}

const USERSPACE = ['wireguard-go', 'nebula', 'tinc', 'fastd'];

export const GOALS: readonly Goal[] = [
  tunnelGoal('TCP, one stream', 'tcp1', 'pod', USERSPACE, { atLeast: 6 }),
  tunnelGoal('TCP, one stream', 'tcp1', 'pod', ['vxlan'], { atLeast: 0.4 }),
  tunnelGoal('UDP 64 bytes, lossless', 'udp64Lossless', 'pod', USERSPACE, { atLeast: 1.5 }),
  tunnelGoal('UDP 64 bytes, lossless', 'udp64Lossless', 'host', USERSPACE, { atLeast: 1.5 }),
  tunnelGoal('RTT p50 idle', 'rttIdleP50', 'host', ['fastd'], { atMost: 1.2 }),
  tunnelGoal('RTT p50 idle', 'rttIdleP50', 'pod', ['fastd'], { atMost: 1.2 }),
  tunnelGoal('RTT p99 under load', 'rttLoadP99', 'host', ['wireguard-go'], { atMost: 1 }),
  tunnelGoal('RTT p99 under load', 'rttLoadP99', 'pod', ['wireguard-go'], { atMost: 1 }),
  {
    ...tunnelGoal('CPU per gigabyte beyond the bare veth', 'cpuSystem', 'pod', ['wireguard-go'], {
      atMost: 0.2,
    }),
    lessThatOf: 'bare',
  },
  {
    ...tunnelGoal('portable engine: TCP, one stream', 'tcp1', 'pod', ['fastd'], { atLeast: 0.4 }),
    contender: 'weave-ts-portable',
  },
];

function tunnelGoal(
  title: string,
  metric: MetricName,
  place: Place,
  rivals: readonly string[],
  wanted: Goal['wanted'],
): Goal {
  return { title, metric, place, contender: 'weave-ts', rivals, wanted };
}

export function assess(goal: Goal, turns: readonly Turn[]): GoalResult {
  const own = netValues(goal, goal.contender, turns);
  const rivals = goal.rivals
    .map((name) => ({ name, values: netValues(goal, name, turns) }))
    .filter(({ values }) => values.size > 0);
  const sign = METRICS[goal.metric].better === 'higher' ? -1 : 1;
  const best = rivals.toSorted((a, b) => sign * (medianOf(a.values) - medianOf(b.values)))[0];
  const ratio = best && spread(quotients(own, best.values));
  return { goal, rival: best?.name, ratio, met: ratio !== undefined && meets(ratio.median, goal.wanted) };
}

/** Like `TCP, one stream, pod to pod, against fastd: 5.91 (5.50-6.20), wanted >= 6: missed`. */
export function describeGoal({ goal, rival, ratio, met }: GoalResult): string {
  const wanted = 'atLeast' in goal.wanted ? `>= ${goal.wanted.atLeast}` : `<= ${goal.wanted.atMost}`;
  const against = rival ?? goal.rivals.join(', ');
  const what = `${goal.title}, ${goal.place} to ${goal.place}, against ${against}`;
  if (ratio === undefined) return `${what}: not measured, wanted ${wanted}`;
  const range = `${ratio.median.toFixed(2)} (${ratio.min.toFixed(2)}-${ratio.max.toFixed(2)})`;
  return `${what}: ${range}, wanted ${wanted}: ${met ? 'met' : 'missed'}`;
}

function meets(ratio: number, wanted: Goal['wanted']): boolean {
  return 'atLeast' in wanted ? ratio >= wanted.atLeast : ratio <= wanted.atMost;
}

function medianOf(values: ReadonlyMap<number, number>): number {
  return median([...values.values()]);
}

/** Of the rounds in which both were measured; a rival's zero gives no ratio. */
function quotients(own: ReadonlyMap<number, number>, rival: ReadonlyMap<number, number>): number[] {
  return [...own].flatMap(([round, value]) => {
    const other = rival.get(round);
    return other === undefined || other <= 0 ? [] : [value / other];
  });
}

function netValues(goal: Goal, contender: string, turns: readonly Turn[]): Map<number, number> {
  const values = valuesByRound(turns, contender, goal.place, goal.metric);
  if (goal.lessThatOf === undefined) return values;
  const base = valuesByRound(turns, goal.lessThatOf, goal.place, goal.metric);
  return new Map(
    [...values].flatMap(([round, value]) => {
      const off = base.get(round);
      return off === undefined ? [] : [[round, value - off] as const];
    }),
  );
}
