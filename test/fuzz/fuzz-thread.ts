import { setFlagsFromString } from 'node:v8';
import { cpuUsage, memoryUsage, stdout } from 'node:process';
import { runInNewContext } from 'node:vm';
import { parentPort, workerData } from 'node:worker_threads';
import { Coverage } from './coverage.ts';
import { FlightRecorder } from './flight-recorder.ts';
import { Fuzzer, replay, shortened, type Found } from './fuzzer.ts';
import type { Job, Outcome } from './outcome.ts';
import type { Target } from './target.ts';

const BLOCK = 2_000;
const REPORT_EVERY_MS = 10_000;
/** Share of the work after which code is compiled, caches are full and targets have their state. */
const WARM = 0.2;

/** The thread that feeds targets; whoever started it ends it where it no longer gets on. See `watched.ts`. */
const job = workerData as Job & { readonly shared: SharedArrayBuffer };
const recorder = new FlightRecorder(job.shared);

function resident(): number {
  collectGarbage();
  return memoryUsage().rss / 2 ** 20;
}

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

async function fuzz(targets: readonly Target[]): Promise<Outcome> {
  const fuzzer = new Fuzzer(targets, job.seed, { recorder });
  const coverage = job.guided ? new Coverage() : undefined;
  const began = performance.now();
  // Refusals are most of the work, and what a stack costs is most of a refusal; finds are run again for theirs.
  Error.stackTraceLimit = 0;
  let [done, reportAt] = [0, began];
  let warm: number | undefined;
  let found = await fuzzer.runSamples();
  while (found === undefined && done < job.inputs) {
    const seconds = (performance.now() - began) / 1_000;
    if (seconds > job.seconds) break;
    if (done >= WARM * job.inputs || seconds >= WARM * job.seconds) warm ??= resident();
    if (began + 1_000 * seconds >= reportAt) {
      reportAt += REPORT_EVERY_MS;
      progress(seconds, done, coverage);
    }
    const count = Math.min(BLOCK, job.inputs - done);
    found = await (coverage === undefined ? fuzzer.run(count) : fuzzer.runGuided(count, coverage));
    done += count;
  }
  Error.stackTraceLimit = 20;
  const atEnd = resident();
  if (found !== undefined) found = await shortened(found, named(targets, found.target));
  return outcome(fuzzer, found, { residentWarm: warm ?? atEnd, resident: atEnd });
}

function progress(seconds: number, done: number, coverage: Coverage | undefined): void {
  const megabytes = Math.round(memoryUsage().rss / 2 ** 20);
  const reached = coverage === undefined ? '' : `, ${coverage.blocks} blocks reached`;
  stdout.write(
    `seed ${job.seed}: ${Math.round(seconds)} s, ${done} inputs, ${megabytes} MiB resident${reached}\n`,
  );
}

function outcome(
  { tallies }: Pick<Fuzzer, 'tallies'>,
  found: Found | undefined,
  memory: Pick<Outcome, 'residentWarm' | 'resident'>,
): Outcome {
  const { user, system } = cpuUsage();
  return { tallies, cpuSeconds: (user + system) / 1e6, found, ...memory };
}

async function again({ target, inputs }: NonNullable<Job['replay']>, targets: Target[]): Promise<Outcome> {
  const only = named(targets, target);
  const position = targets.indexOf(only);
  for (const input of inputs) recorder.add(position, input);
  recorder.begin(position);
  const error = await replay(inputs, only);
  const found = error === undefined ? undefined : { target, inputs, error };
  return outcome({ tallies: new Map() }, found, { residentWarm: 0, resident: 0 });
}

function named(targets: readonly Target[], name: string): Target {
  const found = targets.find((target) => target.name === name);
  if (found === undefined) throw new Error(`no target is called ${name}`);
  return found;
}

const { allTargets } = (await import(job.targets)) as { allTargets: () => Target[] };
const all = allTargets();
const targets = all.filter(({ name }) => name.includes(job.only));
parentPort!.postMessage(targets.map(({ name }) => name));
const result = await (job.replay === undefined ? fuzz(targets) : again(job.replay, targets));
for (const target of all) await target.close?.();
parentPort!.postMessage(result);
