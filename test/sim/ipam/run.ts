import { fork } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { argv, exit, stdout } from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { drawScenario, type Scenario } from './actions.ts';
import { runScenario } from './ipam-run.ts';
import { shrink } from './shrink.ts';

/**
 * Address allocation against a reference model: `npm run sim:ipam -- --seeds 10000 --from 1 --processes 2`, or one
 * `--seed 7`, or `--replay FILE`. What fails is made smaller and goes to sim-finds/; once it is mended it belongs into
 * test/replays/ipam/, which a test feeds each time. Exits 1 if a seed failed.
 */
const { values } = parseArgs({
  args: argv.slice(2),
  options: {
    seeds: { type: 'string', default: '2000' },
    from: { type: 'string', default: '1' },
    seed: { type: 'string' },
    processes: { type: 'string', default: '1' },
    finds: { type: 'string', default: 'sim-finds' },
    replay: { type: 'string' },
  },
});

/** Failures after which a process gives up: they are probably one bug. */
const MAX_FAILURES = 5;

interface Tally {
  readonly seeds: number;
  readonly failed: number;
  readonly counts: readonly (readonly [string, number])[];
}

/** What a file of a replay holds. */
interface Find {
  readonly found: string;
  readonly scenario: Scenario;
}

function runSeeds(from: number, count: number): Tally {
  const counts = new Map<string, number>();
  let failed = 0;
  let seeds = 0;
  while (seeds < count && failed < MAX_FAILURES) {
    const scenario = drawScenario(from + seeds++);
    const result = runScenario(scenario);
    for (const [what, times] of result.counts) counts.set(what, (counts.get(what) ?? 0) + times);
    if (result.faults.length === 0) continue;
    failed++;
    tell(scenario);
  }
  return { seeds, failed, counts: [...counts] };
}

/** Prints what a scenario breaks, and keeps a smaller one that breaks it too. */
function tell(scenario: Scenario): void {
  const [first, ...others] = runScenario(scenario).faults;
  if (first === undefined) return;
  stdout.write(`seed ${scenario.seed} FAILED\n`);
  for (const { kind, text } of [first, ...others]) stdout.write(`  ${kind}: ${text}\n`);
  const smaller = shrink(scenario, (candidate) => {
    return runScenario(candidate).faults.some(({ kind }) => kind === first.kind);
  });
  const found = runScenario(smaller).faults.find(({ kind }) => kind === first.kind)!;
  const find: Find = { found: `${found.kind}: ${found.text}`, scenario: smaller };
  mkdirSync(values.finds, { recursive: true });
  const path = `${values.finds}/${scenario.seed}.json`;
  writeFileSync(path, `${JSON.stringify(find, undefined, 2)}\n`);
  stdout.write(`  ${smaller.actions.length} of ${scenario.actions.length} actions are in ${path}\n`);
}

/** As many processes, each with its share of the seeds. */
async function runAside(processes: number): Promise<Tally[]> {
  const share = Math.ceil(Number(values.seeds) / processes);
  const tallies = Array.from({ length: processes }, (_, i) => {
    const from = Number(values.from) + i * share;
    const args = ['--seeds', `${share}`, '--from', `${from}`, '--finds', values.finds];
    const child = fork(fileURLToPath(import.meta.url), args);
    return new Promise<Tally>((resolve, reject) => {
      child.once('message', (tally) => resolve(tally as Tally));
      child.once('exit', (code) =>
        reject(new Error(`seeds from ${from} on ended with ${code ?? 'a signal'}`)),
      );
    });
  });
  return Promise.all(tallies);
}

function summary(tallies: readonly Tally[], seconds: number): string {
  const counts = new Map<string, number>();
  for (const [what, times] of tallies.flatMap((tally) => tally.counts)) {
    counts.set(what, (counts.get(what) ?? 0) + times);
  }
  const seeds = tallies.reduce((sum, tally) => sum + tally.seeds, 0);
  const failed = tallies.reduce((sum, tally) => sum + tally.failed, 0);
  const list = [...counts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([what, times]) => `${what} ${times}`);
  return `${seeds} seeds, ${failed} failed, ${seconds.toFixed(0)} s: ${list.join(', ')}\n`;
}

const began = Date.now();
if (values.replay !== undefined) {
  const { scenario } = JSON.parse(readFileSync(values.replay, 'utf8')) as Find;
  const { faults } = runScenario(scenario);
  for (const { kind, text } of faults) stdout.write(`${kind}: ${text}\n`);
  stdout.write(`${faults.length} promises broken\n`);
  exit(faults.length === 0 ? 0 : 1);
}
const [from, seeds] = values.seed === undefined ? [values.from, values.seeds] : [values.seed, '1'];
const processes = Number(values.processes);
const tallies = processes > 1 ? await runAside(processes) : [runSeeds(Number(from), Number(seeds))];
if (process.send === undefined) stdout.write(summary(tallies, (Date.now() - began) / 1_000));
else process.send(tallies[0]);
process.exitCode = tallies.some(({ failed }) => failed > 0) ? 1 : 0;
