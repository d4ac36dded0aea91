import { writeFileSync } from 'node:fs';
import { argv, cpuUsage, exit, stderr, stdout } from 'node:process';
import { parseArgs } from 'node:util';
import { fakePrimitives } from './fake-primitives.ts';
import { formatReport, type ScaleReport } from './scale/scale-report.ts';
import { ScaleRun } from './scale/scale-run.ts';
import { play, SCALE_SCENARIOS, type ScaleScenario } from './scale/scale-scenarios.ts';
import { HOUR } from '../../core/time.ts';
import { runScenario, type ScenarioOptions } from './scenario.ts';
import { SMALL_NODES, smallKind } from './small.ts';
import { playedSodium } from '../router/crypto/played-primitives.ts';

/**
 * Whole nodes in virtual time.
 *
 * `npm run sim -- --nodes 20 --seed 1 --count 1000` runs more seeds of what the tests run, with `--real` cryptography,
 * `--no-discovery` or `--full-mesh-limit 8` if wanted; `--scenario small` runs 12 nodes, sparse and full in turn.
 * `npm run sim -- --scenario boot --nodes 1000 --seed 1 --hours 0.1 --json FILE` runs a large mesh and reports what it
 * costs; `--known 16` others are given to each node. Scenarios by comma, and as many hours, happen to one mesh one after
 * the other. A seed always does the same. Exits 1 at the end if one failed, 2 for values that cannot be.
 */
const { values } = parseArgs({
  args: argv.slice(2),
  options: {
    scenario: { type: 'string', default: 'trouble' },
    nodes: { type: 'string' },
    seed: { type: 'string', default: '1' },
    count: { type: 'string' },
    real: { type: 'boolean', default: false },
    'no-discovery': { type: 'boolean', default: false },
    'full-mesh-limit': { type: 'string', default: '80' },
    known: { type: 'string', default: '16' },
    hours: { type: 'string', default: '0.1' },
    json: { type: 'string' },
  },
});

const first = whole('seed', values.seed);
const fullMeshLimit = whole('full-mesh-limit', values['full-mesh-limit']);

exit(run() ? 0 : 1);

function run(): boolean {
  if (values.scenario === 'trouble') {
    const discovery = !values['no-discovery'];
    return runSeeds('20', '100', () => ({ discovery, fullMeshLimit }));
  }
  if (values.scenario === 'small') return runSeeds(String(SMALL_NODES), '1000', smallKind);
  return runLarge(values.scenario.split(','));
}

function runSeeds(
  nodesUnlessGiven: string,
  countUnlessGiven: string,
  kindOf: (seed: number) => Pick<ScenarioOptions, 'discovery' | 'fullMeshLimit'>,
): boolean {
  const nodes = whole('nodes', values.nodes ?? nodesUnlessGiven);
  const count = whole('count', values.count ?? countUnlessGiven);
  const primitives = values.real ? playedSodium : fakePrimitives;
  let failed = 0;
  for (let seed = first; seed < first + count; seed++) {
    const began = cpuUsage().user;
    const { faults, convergedAfter } = runScenario({ seed, nodes, primitives, ...kindOf(seed) });
    const verdict = faults.length === 0 ? `whole after ${(convergedAfter! / 1_000).toFixed(1)} s` : 'FAILED';
    stdout.write(`seed ${seed}: ${verdict}, ${Math.round((cpuUsage().user - began) / 1_000)} ms of CPU\n`);
    for (const fault of faults.slice(0, 20)) stdout.write(`  ${fault}\n`);
    if (faults.length > 0) failed++;
  }
  stdout.write(`${failed} of ${count} seeds failed\n`);
  return failed === 0;
}

function runLarge(names: readonly string[]): boolean {
  const hours = values.hours.split(',').map((text) => positive('hours', text));
  if (hours.length !== 1 && hours.length !== names.length)
    refuse(`--hours ${values.hours}: one number is needed, or one for each scenario`);
  if (new Set(names).size < names.length) refuse(`--scenario ${values.scenario}: one is there twice`);
  const each = names.map((name, i) => ({
    scenario: scenarioOf(name),
    duration: (hours[i] ?? hours[0]!) * HOUR,
  }));
  const { terms } = scenarioOf(names[0]!);
  if (each.some(({ scenario }) => scenario.terms !== terms))
    refuse(`--scenario ${values.scenario}: these have different networks`);
  const scaleRun = new ScaleRun({
    scenarios: names,
    nodes: whole('nodes', values.nodes ?? '100'),
    seed: first,
    known: whole('known', values.known),
    hours: each.map(({ duration }) => duration / HOUR),
    terms,
    fullMeshLimit,
    onProgress: (line) => stderr.write(`${line}\n`),
  });
  let report: ScaleReport | undefined;
  play(scaleRun, each, () => {
    report = scaleRun.report();
    if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(report, undefined, 2)}\n`);
  });
  stdout.write(formatReport(report!));
  return report!.faults.length === 0;
}

function scenarioOf(name: string): ScaleScenario {
  const large = Object.keys(SCALE_SCENARIOS).join(', ');
  return (
    SCALE_SCENARIOS[name] ??
    refuse(`there is no scenario "${name}": take trouble or small, or some by comma of ${large}`)
  );
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (value > 0 && value < Infinity) return value;
  return refuse(`--${name} ${text}: a number above 0 is needed`);
}

function whole(name: string, text: string): number {
  const value = positive(name, text);
  return Number.isInteger(value) ? value : refuse(`--${name} ${text}: a whole number above 0 is needed`);
}

function refuse(sentence: string): never {
  stderr.write(`${sentence}\n`);
  exit(2);
}
