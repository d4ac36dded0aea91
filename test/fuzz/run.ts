import { fork } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { argv, cpuUsage, exit, memoryUsage, stdout } from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { fromHex, toHex } from '../../core/bytes.ts';
import { allTargets } from './all-targets.ts';
import { Coverage } from './coverage.ts';
import { Fuzzer, mergeTallies, replay, shortened, type Found, type Tallies } from './fuzzer.ts';
import type { Target } from './target.ts';

/**
 * Fuzzes the decoders for as long as one likes: `npm run fuzz -- --seconds 600 --seed 7 --target ipam`. What it finds
 * goes to a file that `--replay FILE` runs again; it belongs into test/replays once it is mended.
 */
const { values } = parseArgs({
  args: argv.slice(2),
  options: {
    seconds: { type: 'string', default: '60' },
    inputs: { type: 'string', default: 'Infinity' },
    seed: { type: 'string', default: '1' },
    /** All targets whose names hold this. */
    target: { type: 'string', default: '' },
    /** Mutates further what reached new code. */
    guided: { type: 'boolean', default: false },
    /** Each has its own seed, and its share of the inputs. */
    processes: { type: 'string', default: '1' },
    finds: { type: 'string', default: 'fuzz-finds' },
    replay: { type: 'string' },
  },
});
const BLOCK = 2_000;
const REPORT_EVERY_MS = 10_000;

/** What one process did. */
interface Outcome {
  readonly tallies: Tallies;
  readonly cpuSeconds: number;
  readonly failed: boolean;
}

async function fuzz(targets: readonly Target[]): Promise<Outcome> {
  const fuzzer = new Fuzzer(targets, Number(values.seed));
  const coverage = values.guided ? new Coverage() : undefined;
  const began = performance.now();
  // Refusals are most of the work, and what a stack costs is most of a refusal; finds are run again for theirs.
  Error.stackTraceLimit = 0;
  let done = 0;
  let reportAt = began;
  let found = await fuzzer.runSamples();
  while (found === undefined && done < Number(values.inputs)) {
    const elapsed = performance.now() - began;
    if (elapsed > 1_000 * Number(values.seconds)) break;
    if (began + elapsed >= reportAt) {
      reportAt += REPORT_EVERY_MS;
      const megabytes = Math.round(memoryUsage().rss / 2 ** 20);
      const seconds = Math.round(elapsed / 1_000);
      const reached = coverage === undefined ? '' : `, ${coverage.blocks} blocks reached`;
      stdout.write(`seed ${values.seed}: ${seconds} s, ${done} inputs, ${megabytes} MB resident${reached}\n`);
    }
    const count = Math.min(BLOCK, Number(values.inputs) - done);
    found = await (coverage === undefined ? fuzzer.run(count) : fuzzer.runGuided(count, coverage));
    done += count;
  }
  Error.stackTraceLimit = 20;
  if (found !== undefined) await keep(found, targets);
  const { user, system } = cpuUsage();
  return { tallies: fuzzer.tallies, cpuSeconds: (user + system) / 1e6, failed: found !== undefined };
}

/** As many processes, which tell their outcome when they end. */
async function fuzzAside(processes: number): Promise<Outcome[]> {
  const inputs = Number(values.inputs) / processes;
  const outcomes = Array.from({ length: processes }, (_, i) => {
    const seed = Number(values.seed) + i;
    const { seconds, target, finds } = values;
    const flags = { seconds, target, finds, inputs: Math.ceil(inputs), seed };
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

function report(outcomes: readonly Outcome[], seconds: number): void {
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
  const cpu = outcomes.reduce((total, { cpuSeconds }) => total + cpuSeconds, 0);
  stdout.write(
    `all: ${sum.inputs} inputs in ${seconds.toFixed(0)} s and ${cpu.toFixed(0)} s of CPU ` +
      `(${Math.round(sum.inputs / cpu)} per CPU second), ${share(sum.mutated, sum.inputs)} mutated from valid, ` +
      `${share(sum.passedOutside, sum.inputs)} past the outer check\n`,
  );
}

function share(part: number, whole: number): string {
  return `${((100 * part) / Math.max(1, whole)).toFixed(0)} %`;
}

async function keep(found: Found, targets: readonly Target[]): Promise<void> {
  const target = targets.find(({ name }) => name === found.target)!;
  const { inputs, error } = await shortened(found, target);
  mkdirSync(values.finds, { recursive: true });
  const path = `${values.finds}/${found.target.replaceAll('/', '_')}-${values.seed}.json`;
  writeFileSync(path, JSON.stringify({ target: found.target, inputs: inputs.map(toHex) }));
  stdout.write(`FOUND in ${found.target}: ${error}\nrun it again: npm run fuzz -- --replay ${path}\n`);
}

async function again(path: string, targets: readonly Target[]): Promise<boolean> {
  const text = readFileSync(path, 'utf8');
  const { target: name, inputs } = JSON.parse(text) as { target: string; inputs: string[] };
  const error = await replay(
    inputs.map((digits) => fromHex(digits)!),
    targets.find((target) => target.name === name)!,
  );
  stdout.write(error === undefined ? `${name} keeps its promises\n` : `${name}: ${error}\n`);
  return error !== undefined;
}

async function main(): Promise<boolean> {
  const began = performance.now();
  const processes = Number(values.processes);
  if (processes > 1) {
    const outcomes = await fuzzAside(processes);
    report(outcomes, (performance.now() - began) / 1_000);
    return outcomes.some(({ failed }) => failed);
  }
  const targets = allTargets();
  if (values.replay !== undefined) return await again(values.replay, targets);
  const outcome = await fuzz(targets.filter(({ name }) => name.includes(values.target)));
  for (const target of targets) await target.close?.();
  if (process.send === undefined) report([outcome], (performance.now() - began) / 1_000);
  else await new Promise((resolve) => process.send!(outcome, resolve));
  return outcome.failed;
}

exit((await main()) ? 1 : 0);
