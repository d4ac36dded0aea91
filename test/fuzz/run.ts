import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { argv, cpuUsage, exit, memoryUsage, stdout } from 'node:process';
import { parseArgs } from 'node:util';
import { fromHex, toHex } from '../../core/bytes.ts';
import { allTargets } from './all-targets.ts';
import { Fuzzer, replay, shortened, type Found } from './fuzzer.ts';
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
    finds: { type: 'string', default: 'fuzz-finds' },
    replay: { type: 'string' },
  },
});
const BLOCK = 2_000;
const REPORT_EVERY_MS = 10_000;

async function fuzz(targets: readonly Target[]): Promise<number> {
  const fuzzer = new Fuzzer(targets, Number(values.seed));
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
      stdout.write(`${Math.round(elapsed / 1_000)} s: ${done} inputs, ${megabytes} MB resident\n`);
    }
    const count = Math.min(BLOCK, Number(values.inputs) - done);
    found = await fuzzer.run(count);
    done += count;
  }
  Error.stackTraceLimit = 20;
  report(fuzzer, (performance.now() - began) / 1_000);
  return found === undefined ? 0 : await keep(found, targets);
}

function report(fuzzer: Fuzzer, seconds: number): void {
  const { user, system } = cpuUsage();
  const cpu = (user + system) / 1e6;
  const sum = { inputs: 0, mutated: 0, passedOutside: 0 };
  for (const [name, tally] of fuzzer.tallies) {
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
  stdout.write(
    `all: ${sum.inputs} inputs in ${seconds.toFixed(0)} s and ${cpu.toFixed(0)} s of CPU ` +
      `(${Math.round(sum.inputs / cpu)} per CPU second), ` +
      `${share(sum.mutated, sum.inputs)} mutated from valid, ` +
      `${share(sum.passedOutside, sum.inputs)} past the outer check, ` +
      `${Math.round(memoryUsage().rss / 2 ** 20)} MB resident\n`,
  );
}

function share(part: number, whole: number): string {
  return `${((100 * part) / Math.max(1, whole)).toFixed(0)} %`;
}

async function keep(found: Found, targets: readonly Target[]): Promise<number> {
  const target = targets.find(({ name }) => name === found.target)!;
  const { inputs, error } = await shortened(found, target);
  mkdirSync(values.finds, { recursive: true });
  const path = `${values.finds}/${found.target.replaceAll('/', '_')}-${values.seed}.json`;
  writeFileSync(path, JSON.stringify({ target: found.target, inputs: inputs.map(toHex) }));
  stdout.write(`FOUND in ${found.target}: ${error}\nrun it again: npm run fuzz -- --replay ${path}\n`);
  return 1;
}

async function again(path: string, targets: readonly Target[]): Promise<number> {
  const { target: name, inputs } = JSON.parse(readFileSync(path, 'utf8')) as {
    target: string;
    inputs: string[];
  };
  const error = await replay(
    inputs.map((text) => fromHex(text)!),
    targets.find((target) => target.name === name)!,
  );
  stdout.write(error === undefined ? `${name} keeps its promises\n` : `${name}: ${error}\n`);
  return error === undefined ? 0 : 1;
}

const all = allTargets();
const chosen = all.filter(({ name }) => name.includes(values.target));
const code = await (values.replay === undefined ? fuzz(chosen) : again(values.replay, all));
for (const target of all) await target.close?.();
exit(code);
