import { PLACES, type Place } from './contender.ts';
import { METRICS, type MetricName } from './metrics.ts';
import { assess, describeGoal, GOALS } from './ratios.ts';
import { spreadOf, type Results } from './results.ts';
import type { Spread } from './statistics.ts';

interface Table {
  readonly title: string;
  readonly columns: readonly MetricName[];
}

const TABLES: readonly Table[] = [
  { title: 'TCP and CPU', columns: ['tcp1', 'tcp8', 'cpuSystem', 'cpuProcesses'] },
  {
    title: 'Round-trip time',
    columns: ['rttIdleP50', 'rttIdleP99', 'rttLoadP50', 'rttLoadP99', 'rttLoadLost'],
  },
  {
    title: 'UDP, highest lossless rate (under 0.1 % lost)',
    columns: ['udp64Lossless', 'udp512Lossless', 'udp1400Lossless'],
  },
  {
    title: 'UDP at flood',
    columns: ['udp64Flood', 'udp64Offered', 'udp512Flood', 'udp512Offered', 'udp1400Flood', 'udp1400Offered'],
  },
];

/** The whole report: machine, tables of medians with ranges, goals, set-ups, failures. */
export function markdownReport(results: Results): string {
  return [
    '# Benchmark results',
    '',
    ...machineLines(results),
    '',
    ...PLACES.flatMap((place) => placeLines(results, place)),
    ...goalLines(results),
    ...configurationLines(results),
    ...failureLines(results),
    '',
  ].join('\n');
}

/** The tables of medians alone, for the terminal. */
export function tableLines(results: Results): string[] {
  return PLACES.flatMap((place) => placeLines(results, place));
}

/** Of what was in the run. */
export function goalLines({ contenders, turns }: Results): string[] {
  const goals = GOALS.filter((goal) => contenders.some(({ name }) => name === goal.contender));
  if (goals.length === 0) return [];
  const lines = goals.map((goal) => `- ${describeGoal(assess(goal, turns))}`);
  return ['## Ratios: median (min-max over rounds)', '', ...lines, ''];
}

function machineLines({ machine, began, minutes, turns, cutShort }: Results): string[] {
  const rounds = Math.max(0, ...turns.map(({ round }) => round));
  const lines = [
    'Made by `npm run bench`; how is described in [README.md](README.md). Medians of interleaved rounds, with minimum and',
    'maximum in parentheses; no parentheses: taken once. Only ratios within one run mean anything.',
    '',
    `${began}, ${minutes} minutes, ${rounds} rounds. ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGigabytes} GB, kernel ${machine.kernel}, Node ${machine.node}; load before the run ${machine.loadBefore.toFixed(2)}.`,
  ];
  return cutShort === undefined ? lines : [...lines, '', `Cut short: ${cutShort}.`];
}

function placeLines(results: Results, place: Place): string[] {
  const tables = TABLES.map(({ title, columns }) => ({
    title,
    columns: columns.filter((metric) =>
      results.turns.some(({ figures }) => figures[place][metric] !== undefined),
    ),
  })).filter(({ columns }) => columns.length > 0);
  if (tables.length === 0) return [];
  const blocks = tables.flatMap(({ title, columns }) => [
    `### ${title}`,
    '',
    ...gridLines(results, place, columns),
    '',
  ]);
  return [`## ${place === 'host' ? 'Host to host' : 'Pod to pod'}`, '', ...blocks];
}

/** Columns padded to equal width, as Prettier would. */
function gridLines({ contenders, turns }: Results, place: Place, columns: readonly MetricName[]): string[] {
  const head = ['', ...columns.map((metric) => `${METRICS[metric].title}, ${METRICS[metric].unit}`)];
  const rows = contenders.map(({ name, title }) => [
    title,
    ...columns.map((metric) => cell(spreadOf(turns, name, place, metric), METRICS[metric].digits)),
  ]);
  const widths = head.map((_, i) => Math.max(3, ...[head, ...rows].map((row) => row[i]!.length)));
  const line = (row: readonly string[]) =>
    `| ${row.map((text, i) => (i === 0 ? text.padEnd(widths[i]!) : text.padStart(widths[i]!))).join(' | ')} |`;
  const rule = `| ${widths.map((width, i) => (i === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)).join(' | ')} |`;
  return [line(head), rule, ...rows.map(line)];
}

function cell(value: Spread | undefined, digits: number): string {
  if (value === undefined) return '-';
  const median = value.median.toFixed(digits);
  return value.count === 1 ? median : `${median} (${value.min.toFixed(digits)}-${value.max.toFixed(digits)})`;
}

function configurationLines({ contenders }: Results): string[] {
  const lines = contenders.map(
    ({ title, version, configuration }) => `- **${title}**${version && ` ${version}`}: ${configuration}`,
  );
  return ['## What was compared', '', ...lines];
}

function failureLines({ failures }: Results): string[] {
  if (failures.length === 0) return [];
  const lines = failures.map(({ contender, round, what, message }) => {
    return `- ${contender}, round ${round}, ${what}: ${message.replaceAll(/\s+/g, ' ').slice(0, 300)}`;
  });
  return ['', '## Failures', '', ...lines];
}
