import { BenchLab } from './bench-lab.ts';
import { PLACES, type Contender, type Place, type Tunnel } from './contender.ts';
import type { Measure } from './measure.ts';
import { MEASURES } from './measures.ts';
import { METRICS, type Figures, type MetricName } from './metrics.ts';
import type { Plan } from './options.ts';
import type { Failure, Turn } from './results.ts';
import { warmUp } from './tcp.ts';

/** What a run gathers; filled while it goes on, so that nothing is lost when it is cut short. */
export interface Gathered {
  readonly turns: Turn[];
  readonly failures: Failure[];
}

export interface Surroundings {
  /** Begins the names of the lab's namespaces. */
  readonly prefix: string;
  readonly udpLoad: string;
  /** When it is aborted the run ends as soon as its current command has. */
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}

type Failed = (what: string, error: unknown) => void;

/**
 * Every contender in turn, round after round, each in a fresh lab. A failure is recorded and the run goes on. Each
 * round begins with another contender, so that none always follows the same one.
 */
export async function runRounds(plan: Plan, surroundings: Surroundings, gathered: Gathered): Promise<void> {
  for (let round = 1; round <= plan.rounds; round++) {
    for (let i = 0; i < plan.contenders.length; i++) {
      if (surroundings.signal.aborted) return;
      const contender = plan.contenders[(i + round - 1) % plan.contenders.length]!;
      const place = `${i + 1} of ${plan.contenders.length}`;
      surroundings.say(`round ${round} of ${plan.rounds}, ${place}: ${contender.name}`);
      const began = performance.now();
      await takeTurn(contender, round, plan, surroundings, gathered);
      surroundings.say(`  ${((performance.now() - began) / 1_000).toFixed(1)} s`);
    }
  }
}

async function takeTurn(
  contender: Contender,
  round: number,
  plan: Plan,
  surroundings: Surroundings,
  gathered: Gathered,
): Promise<void> {
  const { signal, say, prefix } = surroundings;
  const figures: Record<Place, Figures> = { host: {}, pod: {} };
  const failed: Failed = (what, error) => {
    // What fails because the run is being ended says nothing about the contender.
    if (signal.aborted) return;
    const message = error instanceof Error ? error.message : String(error);
    gathered.failures.push({ contender: contender.name, round, what, message });
    say(`  FAILED: ${what}: ${message}`);
  };
  let lab: BenchLab | undefined;
  try {
    lab = await BenchLab.create(prefix, signal);
    const tunnel = await contender.start(lab);
    for (const place of PLACES) {
      figures[place] = await measurePlace(lab, tunnel, place, round, plan, surroundings, failed);
    }
  } catch (error) {
    failed('start', `${String(error)}; daemons: ${lab?.lastWords()}`);
  } finally {
    await lab?.remove();
  }
  // A turn that was broken off would be compared with whole ones.
  if (!signal.aborted) gathered.turns.push({ contender: contender.name, round, figures });
}

async function measurePlace(
  lab: BenchLab,
  tunnel: Tunnel,
  place: Place,
  round: number,
  plan: Plan,
  { signal, say, udpLoad }: Surroundings,
  failed: Failed,
): Promise<Figures> {
  let figures: Figures = {};
  const measures = MEASURES.filter((measure) => isDue(measure, place, round, plan));
  if (measures.length === 0) return figures;
  try {
    const ends = await tunnel.place(place);
    if (place === PLACES[0]) await warmUp(ends, plan.effort.warmUpSeconds);
    for (const measure of measures) {
      if (signal.aborted) return figures;
      try {
        const taken = await measure.run({ lab, ends, effort: plan.effort, pids: tunnel.pids, udpLoad });
        say(`  ${place} to ${place}: ${describe(taken)}`);
        figures = { ...figures, ...taken };
      } catch (error) {
        failed(`${place}: ${measure.name}`, error);
      }
    }
  } catch (error) {
    failed(`${place}: set-up`, error);
  }
  return figures;
}

function isDue(measure: Measure, place: Place, round: number, plan: Plan): boolean {
  if (!measure.groups.some((group) => plan.groups.includes(group))) return false;
  if (plan.quick && !measure.quick[place]) return false;
  return round <= measure.rounds[place];
}

function describe(figures: Figures): string {
  return Object.entries(figures)
    .map(([name, value]) => {
      const { title, unit, digits } = METRICS[name as MetricName];
      return `${title} ${value.toFixed(digits)} ${unit}`;
    })
    .join('; ');
}
