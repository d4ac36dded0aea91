import { fork } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { argv, exit, stdout } from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { fromHex, toHex } from '../../core/bytes.ts';
import { mergeTallies, type Found } from './fuzzer.ts';
import type { Job, Outcome } from './outcome.ts';
import { runWatched } from './watched.ts';

/**
 * Fuzzes the decoders for as long as one likes: `npm run fuzz -- --seconds 600 --seed 7 --target ipam`. What it finds
 * goes to a file that `--replay FILE` runs again; it belongs into test/replays/fuzz once it is mended.
 */
const { values } = parseArgs({
  args: argv.slice(2),
  options: {
    /** 60, or without end if `--inputs` is given. */
    seconds: { type: 'string' },
    inputs: { type: 'string', default: 'Infinity' },
    seed: { type: 'string', default: '1' },
    /** All targets whose names hold this. */
    target: { type: 'string', default: '' },
    /** Mutates further what reached new code. */
    guided: { type: 'boolean', default: false },
    /** Each has its own seed, and its share of the inputs. */
    processes: { type: 'string', default: '1' },
    /** MiB by which a process may grow once it is warm. */
    growth: { type: 'string', default: '64' },
    finds: { type: 'string', default: 'fuzz-finds' },
    replay: { type: 'string' },
  },
});
const seconds = Number(values.seconds ?? (values.inputs === 'Infinity' ? 60 : Infinity));

const job: Job = {
  targets: new URL('./all-targets.js', import.meta.url).href,
  only: values.target,
  seed: Number(values.seed),
  inputs: Number(values.inputs),
  seconds,
  guided: values.guided,
  replay: undefined,
};

/** As many processes, which tell their outcome when they end. */
async function fuzzAside(processes: number): Promise<Outcome[]> {
  const outcomes = Array.from({ length: processes }, (_, i) => {
    const seed = job.seed + i;
    const { target, finds } = values;
    const flags = { seconds, target, finds, inputs: Math.ceil(job.inputs / processes), seed };
    const args = Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, String(value)]);
    if (values.guided) args.push('--guided');
    const child = fork(fileURLToPath(import.meta.url), args, { serialization: 'advanced' });
    return new Promise<Outcome>((resolve, reject) => {
      child.once('message', (outcome) => resolve(outcome as Outcome));
      child.once('exit', (code) => reject(new Error(`seed ${seed} ended with ${code ?? 'a signal'}`)));
    });
  });
  return Promise.all(outcomes);
}

function report(outcomes: readonly Outcome[], took: number): void {
  const sum = { inputs: 0, mutated: 0, passedOutside: 0 };
  for (const [name, tally] of mergeTallies(outcomes.map(({ tallies }) => tallies))) {
    const { inputs, mutated, passedOutside, slowestMs, totalMs } = tally;
    const reasons = [...tally.reasons].sort(([, a], [, b]) => b - a);
    stdout.write(
      `${name}: ${inputs} inputs, ${share(mutated, inputs)} mutated from valid, ` +
        `${share(passedOutside, inputs)} past the outer check, ` +
        `${((1_000 * totalMs) / Math.max(1, inputs)).toFixed(1)} µs on average, ${slowestMs.toFixed(0)} ms at most\n`,
    );
    for (const [reason, count] of reasons.slice(0, 12)) stdout.write(`    ${count} ${reason}\n`);
    sum.inputs += inputs;
    sum.mutated += mutated;
    sum.passedOutside += passedOutside;
  }
  for (const { residentWarm, resident } of outcomes) {
    const verdict = growsTooMuch({ residentWarm, resident })
      ? `FAILED: more than ${values.growth} MiB of growth`
      : `at most ${values.growth} MiB of growth`;
    stdout.write(
      `memory: ${residentWarm.toFixed(0)} MiB resident once warm, ${resident.toFixed(0)} MiB at the end, ${verdict}\n`,
    );
  }
  const cpu = outcomes.reduce((total, { cpuSeconds }) => total + cpuSeconds, 0);
  stdout.write(
    `all: ${sum.inputs} inputs in ${took.toFixed(0)} s and ${cpu.toFixed(0)} s of CPU ` +
      `(${Math.round(sum.inputs / cpu)} per CPU second), ${share(sum.mutated, sum.inputs)} mutated from valid, ` +
      `${share(sum.passedOutside, sum.inputs)} past the outer check\n`,
  );
}

function share(part: number, whole: number): string {
  return `${((100 * part) / Math.max(1, whole)).toFixed(0)} %`;
}

function growsTooMuch({ residentWarm, resident }: Pick<Outcome, 'residentWarm' | 'resident'>): boolean {
  return resident - residentWarm > Number(values.growth);
}

function hasFailed(outcome: Outcome): boolean {
  return outcome.found !== undefined || growsTooMuch(outcome);
}

function keep({ target, inputs, error }: Found): void {
  mkdirSync(values.finds, { recursive: true });
  const path = `${values.finds}/${target.replaceAll('/', '_')}-${values.seed}.json`;
  writeFileSync(path, JSON.stringify({ target, found: error.split('\n')[0], inputs: inputs.map(toHex) }));
  stdout.write(`FOUND in ${target}: ${error}\nrun it again: npm run fuzz -- --replay ${path}\n`);
}

async function again(path: string): Promise<boolean> {
  const { target, inputs } = JSON.parse(readFileSync(path, 'utf8')) as { target: string; inputs: string[] };
  const replay = { target, inputs: inputs.map((digits) => fromHex(digits)!) };
  const { found } = await runWatched({ ...job, replay });
  stdout.write(found === undefined ? `${target} keeps its promises\n` : `${target}: ${found.error}\n`);
  return found !== undefined;
}

/** To the process that forked this one, if any. */
async function tell(outcome: Outcome): Promise<void> {
  if (outcome.found !== undefined) keep(outcome.found);
  if (process.send !== undefined) await new Promise((resolve) => process.send!(outcome, resolve));
}

async function main(): Promise<boolean> {
  if (values.replay !== undefined) return await again(values.replay);
  const began = performance.now();
  const processes = Number(values.processes);
  let outcomes: Outcome[];
  if (processes > 1) outcomes = await fuzzAside(processes);
  else {
    const outcome = await runWatched(job, { onHang: tell });
    if (outcome.found?.hung !== true) await tell(outcome);
    outcomes = [outcome];
  }
  if (process.send === undefined) report(outcomes, (performance.now() - began) / 1_000);
  return outcomes.some(hasFailed);
}

exit((await main()) ? 1 : 0);
