import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chart } from './chart.ts';
import { removeAbandoned, removeAll, scratchPrefix, stopSignal } from './clean-up.ts';
import { shortcomings } from './completeness.ts';
import { describeContender, describeMachine } from './machine.ts';
import { parsePlan, USAGE, type Plan } from './options.ts';
import { goalLines, markdownReport, tableLines } from './report-markdown.ts';
import type { Results } from './results.ts';
import { runRounds, type Gathered, type Surroundings } from './runner.ts';
import { buildUdpLoad } from './udp.ts';

/** Runs the benchmark. Exit code 0: everything was measured; 1: something was not; 2: usage; 130: interrupted. */
async function bench(plan: Plan): Promise<number> {
  const prefix = `wtb${process.pid}`;
  const stop = stopSignal(prefix, plan.limitSeconds);
  try {
    await removeAbandoned('wtb');
    const udpLoad = join(mkdtempSync(join(tmpdir(), `${scratchPrefix(prefix)}-`)), 'udp-load');
    await buildUdpLoad(udpLoad);
    return await measureAndReport(plan, { prefix, udpLoad, signal: stop.signal, say });
  } finally {
    stop.release();
    await removeAll(prefix);
  }
}

async function measureAndReport(plan: Plan, surroundings: Surroundings): Promise<number> {
  const began = new Date().toISOString();
  const start = performance.now();
  const machine = describeMachine();
  const gathered: Gathered = { turns: [], failures: [] };
  await runRounds(plan, surroundings, gathered);
  const { signal } = surroundings;
  if (signal.aborted && signal.reason === 'interrupted') return 130;
  const results: Results = {
    began,
    minutes: Math.round((performance.now() - start) / 6_000) / 10,
    machine,
    groups: plan.groups,
    effort: plan.effort,
    contenders: await Promise.all(plan.contenders.map(describeContender)),
    ...gathered,
    ...(signal.aborted && { cutShort: String(signal.reason) }),
  };
  say(['', ...tableLines(results), ...goalLines(results)].join('\n'));
  if (plan.out !== undefined) writeReports(plan.out, results);
  const missing = shortcomings(plan.contenders, results.turns, results.failures);
  for (const line of missing) say(`NOT MEASURED: ${line}`);
  say(
    `${missing.length === 0 ? 'everything was measured' : 'the run is incomplete'}, ${results.minutes} minutes`,
  );
  return missing.length === 0 ? 0 : 1;
}

function writeReports(directory: string, results: Results): void {
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'results.json'), JSON.stringify(results, undefined, 2) + '\n');
  writeFileSync(join(directory, 'results.md'), markdownReport(results));
  writeFileSync(join(directory, 'results.svg'), chart(results));
  say(`written: ${directory}/results.json, results.md, results.svg`);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function planOrUsage(): Plan | undefined {
  try {
    return parsePlan(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`);
    return undefined;
  }
}

const plan = planOrUsage();
try {
  process.exitCode = plan === undefined ? 2 : await bench(plan);
} catch (error) {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
