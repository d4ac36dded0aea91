import { argv, stdout } from 'node:process';
import { parseArgs } from 'node:util';
import { callApi } from '../router/api/client.ts';
import { Lab, type LabHost } from './lab.ts';
import { until } from './run.ts';

/**
 * How long allocations take, durable and through the API socket, each call on a connection of its own as the CLI and
 * the CNI plugin make it: `npm run bench:ipam`, as root. Two daemons, half of a /16 each.
 */
const { values } = parseArgs({ args: argv.slice(2), options: { rounds: { type: 'string', default: '5' } } });

const CALLS = 200;
const CLIENTS = 50;
const MANY = 1_000;
const NAMES = ['02:00:00:00:00:01', '02:00:00:00:00:02'] as const;
const RANGE = '10.32.0.0/16';

let next = 0;

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

function allocate({ socket }: LabHost): Promise<unknown> {
  return callApi(socket, 'POST', '/allocate', { id: `bench-${++next}` });
}

/** Exactly one address of the other host's half, which it has to give. */
function claim({ socket }: LabHost): Promise<unknown> {
  const n = ++next;
  const cidr = `10.32.${128 + (n >> 7)}.${1 + (n & 127)}/16`;
  return callApi(socket, 'POST', '/claim', { id: `bench-${n}`, cidr });
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

/** Median and range of one figure over the rounds. */
function spread(figures: readonly number[], digits: number): string {
  const sorted = figures.toSorted((a, b) => a - b);
  const [least, middle, most] = [sorted[0]!, sorted[Math.floor(sorted.length / 2)]!, sorted.at(-1)!];
  return `${middle.toFixed(digits)} (${least.toFixed(digits)} to ${most.toFixed(digits)})`;
}

function row(what: string, rounds: readonly (readonly number[])[]): string {
  const at = (share: number): string =>
    spread(
      rounds.map((times) => times[Math.floor(CALLS * share)]!),
      2,
    );
  return `${what}: p50 ${at(0.5)} ms, p95 ${at(0.95)} ms\n`;
}

const lab = await Lab.create(`wi${process.pid}`, 2);
try {
  const host = await launch(lab);
  const rounds = Number(values.rounds);
  await timed(() => allocate(host));
  const own: number[][] = [];
  const given: number[][] = [];
  const many: number[] = [];
  while (many.length < rounds) {
    own.push(await timed(() => allocate(host)));
    given.push(await timed(() => claim(host)));
    many.push(await manyAtOnce(host));
  }
  stdout.write(`${rounds} rounds of ${CALLS} calls; median of the rounds and their range\n`);
  stdout.write(row('own space', own) + row('from a donor', given));
  stdout.write(`${MANY} allocations from ${CLIENTS} clients: ${spread(many, 0)} ms\n`);
} finally {
  await lab.remove();
}
