import { PLACES, type Contender } from './contender.ts';
import type { MetricName } from './metrics.ts';
import type { Failure, Turn } from './results.ts';

/** Nothing lossless may be found on a busy machine, and nothing lost is as it should be. */
const MAY_BE_ZERO = /(Lossless|Lost)$/;

/** What is wrong with a run: failures, contenders without a turn, figures that are zero or no number. */
export function shortcomings(
  contenders: readonly Pick<Contender, 'name'>[],
  turns: readonly Turn[],
  failures: readonly Failure[],
): string[] {
  const absent = contenders
    .filter(({ name }) => !turns.some((turn) => turn.contender === name))
    .map(({ name }) => `${name}: not measured`);
  return [
    ...failures.map(({ contender, round, what }) => `${contender}: round ${round}: ${what} failed`),
    ...absent,
    ...turns.flatMap(emptyFigures),
  ];
}

function emptyFigures({ contender, round, figures }: Turn): string[] {
  return PLACES.flatMap((place) =>
    Object.entries(figures[place])
      .filter(([name, value]) => !(value > 0) && !(MAY_BE_ZERO.test(name) && value === 0))
      .map(([name, value]) => `${contender}: round ${round}: ${place}: ${name as MetricName} is ${value}`),
  );
}
