import { parseArgs } from 'node:util';
import type { Contender } from './contender.ts';
import { CONTENDERS, QUICK, VARIANTS } from './contenders.ts';
import { GROUPS, type Effort, type Group } from './measure.ts';

/** What is to be run. */
export interface Plan {
  readonly contenders: readonly Contender[];
  readonly rounds: number;
  readonly groups: readonly Group[];
  readonly effort: Effort;
  /** Leave out what `--quick` leaves out. */
  readonly quick: boolean;
  readonly limitSeconds: number;
  /** Directory for the reports; undefined: only print. */
  readonly out: string | undefined;
}

export const USAGE = `usage: npm run bench -- [options]
  --quick            a subset, one short round, at most 90 s; writes no files unless --out is given
  --tune             the rivals' settings among which their best was chosen, instead of the contenders
  --only NAME,...    ${CONTENDERS.map(({ name }) => name).join(', ')}
  --rounds N         3 by default
  --measures M,...   ${GROUPS.join(', ')}
  --minutes N        what is not measured by then is left out, which the report says; 57 by default
  --out DIR          where results.json, results.md and results.svg go; docs/bench by default
`;

const FULL: Effort = {
  warmUpSeconds: 3,
  tcpSeconds: 4,
  tcpOmit: 1,
  udpSeconds: 3,
  udpSteps: 5,
  probes: 1_500,
  idleSeries: 5,
};
const SHORT: Effort = {
  warmUpSeconds: 0,
  tcpSeconds: 1,
  tcpOmit: 0,
  udpSeconds: 0.5,
  udpSteps: 1,
  probes: 200,
  idleSeries: 1,
};
/** Three rounds take some 45 minutes; what takes longer hangs. */
const FULL_MINUTES = '57';
/** It takes some 60 s; this only catches what hangs. */
const QUICK_MINUTES = '5';
/** Rounds, or minutes. */
const MOST = 100;

/** Throws an error that says what was wrong with the arguments. */
export function parsePlan(argv: readonly string[]): Plan {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      quick: { type: 'boolean', default: false },
      tune: { type: 'boolean', default: false },
      only: { type: 'string' },
      rounds: { type: 'string' },
      measures: { type: 'string' },
      minutes: { type: 'string' },
      out: { type: 'string' },
    },
  });
  const { quick, tune } = values;
  return {
    contenders: chosenContenders(quick, tune, values.only),
    rounds: count('rounds', values.rounds ?? (quick ? '1' : '3')),
    groups: values.measures === undefined ? GROUPS : values.measures.split(',').map(asGroup),
    effort: quick ? SHORT : FULL,
    quick,
    limitSeconds: 60 * count('minutes', values.minutes ?? (quick ? QUICK_MINUTES : FULL_MINUTES)),
    out: values.out ?? (quick || tune ? undefined : 'docs/bench'),
  };
}

function chosenContenders(quick: boolean, tune: boolean, only: string | undefined): readonly Contender[] {
  const known = tune ? VARIANTS : CONTENDERS;
  if (only === undefined) return quick && !tune ? QUICK : known;
  const names = only.split(',');
  for (const name of names) {
    if (!known.some((contender) => contender.name === name)) {
      throw new Error(`--only ${name}: known are ${known.map((contender) => contender.name).join(', ')}`);
    }
  }
  return known.filter(({ name }) => names.includes(name));
}

function count(option: string, text: string): number {
  const number = Number(text);
  if (Number.isInteger(number) && number >= 1 && number <= MOST) return number;
  throw new Error(`--${option} ${text}: a number from 1 to ${MOST}`);
}

function asGroup(text: string): Group {
  const group = GROUPS.find((name) => name === text);
  if (group !== undefined) return group;
  throw new Error(`--measures ${text}: known are ${GROUPS.join(', ')}`);
}
