import { argv, exit, stderr, stdout } from 'node:process';
import { parseArgs } from 'node:util';
import { callApi } from '../router/api/client.ts';
import { Lab, type LabHost } from './lab.ts';
import { until } from './run.ts';

/**
 * How long allocations take, durable and through the API socket, each call on a connection of its own as the CLI and
 * the CNI plugin make it: `npm run bench:ipam`, as root. Two daemons, half of a /16 each. Exit 1 if it is slower than
 * the limits, but with `--report`.
 */
const { values } = parseArgs({
  args: argv.slice(2),
  options: { rounds: { type: 'string', default: '5' }, report: { type: 'boolean', default: false } },
});

const CALLS = 200;
const CLIENTS = 50;
const MANY = 1_000;
const NAMES = ['02:00:00:00:00:01', '02:00:00:00:00:02'] as const;
const RANGE = '10.32.0.0/16';
/** Of these the other host's half has enough for so many rounds. */
const SUBNET_SIZE = 8;
const MAX_ROUNDS = 20;
/** Milliseconds: the median of the calls, and all of {@link MANY}; the medians of the rounds are held to them. */
const LIMITS = { own: 3, given: 15, many: 2_000 } as const;

let next = 0;
let subnets = 0;
let held: string[] = [];

async function launch(lab: Lab): Promise<LabHost> {
  const init = `seed=${NAMES.join(',')}`;
  for (const [i, host] of lab.hosts.entries()) {
    const peers = i === 0 ? [] : [lab.hosts[0]!.address];
    await host.launch(['--name', NAMES[i]!, '--ipalloc-range', RANGE, '--ipalloc-init', init, ...peers]);
  }
  await until('the hosts are connected', 30_000, async () => {
    return (await lab.hosts[0]!.status()).router.connections.some(({ state }) => state === 'established');
  });
  return lab.hosts[0]!;
}

function allocate({ socket }: LabHost, subnet?: string): Promise<unknown> {
  const id = `bench-${++next}`;
  held.push(id);
  return callApi(socket, 'POST', '/allocate', subnet === undefined ? { id } : { id, subnet });
}

/** In a subnet of which all belongs to the other host: this one has nothing left there and has to ask for some. */
function allocateGiven(host: LabHost): Promise<unknown> {
  const at = SUBNET_SIZE * subnets++;
  return allocate(host, `10.32.${128 + (at >> 8)}.${at & 255}/29`);
}

/** So that every round begins with the same space. */
async function releaseAll({ socket }: LabHost): Promise<void> {
  const ids = held;
  held = [];
  const client = async (): Promise<void> => {
    for (let id = ids.pop(); id !== undefined; id = ids.pop())
      await callApi(socket, 'POST', '/release', { id });
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
}

/** Milliseconds of each of {@link CALLS} calls, one after the other, ascending. */
async function timed(call: () => Promise<unknown>): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < CALLS; i++) {
    const began = performance.now();
    await call();
    times.push(performance.now() - began);
  }
  return times.sort((a, b) => a - b);
}

async function manyAtOnce(host: LabHost): Promise<number> {
  let left = MANY;
  const began = performance.now();
  const client = async (): Promise<void> => {
    while (left-- > 0) await allocate(host);
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
  return performance.now() - began;
}

function medianOf(figures: readonly number[]): number {
  return figures.toSorted((a, b) => a - b)[Math.floor(figures.length / 2)]!;
}

/** Median and range of one figure over the rounds. */
function spread(figures: readonly number[], digits: number): string {
  const [least, most] = [Math.min(...figures), Math.max(...figures)];
  return `${medianOf(figures).toFixed(digits)} (${least.toFixed(digits)} to ${most.toFixed(digits)})`;
}

/** Per round, the time within which this share of the calls ended. */
function within(share: number, rounds: readonly (readonly number[])[]): number[] {
  return rounds.map((times) => times[Math.floor(CALLS * share)]!);
}

function row(what: string, rounds: readonly (readonly number[])[]): string {
  const [half, most] = [spread(within(0.5, rounds), 2), spread(within(0.95, rounds), 2)];
  return `${what}: p50 ${half} ms, p95 ${most} ms\n`;
}

/** Sentences about what is slower than it may be. */
function tooSlow(figures: Record<keyof typeof LIMITS, number>): string[] {
  return (Object.keys(LIMITS) as (keyof typeof LIMITS)[])
    .filter((key) => figures[key] > LIMITS[key])
    .map((key) => `${key}: ${figures[key].toFixed(1)} ms, more than ${LIMITS[key]} ms\n`);
}

const rounds = Number(values.rounds);
if (!Number.isInteger(rounds) || rounds < 1 || rounds > MAX_ROUNDS) {
  stderr.write(`--rounds ${values.rounds} is not a number from 1 to ${MAX_ROUNDS}\n`);
  exit(2);
}

const prefix = `wi${process.pid}`;
Lab.sweepWhenInterrupted(prefix);
const lab = await Lab.create(prefix, 2);
try {
  const host = await launch(lab);
  await timed(() => allocate(host));
  await releaseAll(host);
  const own: number[][] = [];
  const given: number[][] = [];
  const many: number[] = [];
  while (many.length < rounds) {
    own.push(await timed(() => allocate(host)));
    given.push(await timed(() => allocateGiven(host)));
    many.push(await manyAtOnce(host));
    await releaseAll(host);
  }
  stdout.write(`${rounds} rounds of ${CALLS} calls; median of the rounds and their range\n`);
  stdout.write(row('own space', own) + row('from a donor', given));
  stdout.write(`${MANY} allocations from ${CLIENTS} clients: ${spread(many, 0)} ms\n`);
  const figures = {
    own: medianOf(within(0.5, own)),
    given: medianOf(within(0.5, given)),
    many: medianOf(many),
  };
  const slow = tooSlow(figures);
  stderr.write(slow.join(''));
  if (slow.length > 0 && !values.report) process.exitCode = 1;
} finally {
  await lab.remove();
}
