import { setTimeout as delay } from 'node:timers/promises';
import { inside } from './bench-lab.ts';
import type { Ends } from './contender.ts';
import type { Context } from './measure.ts';
import type { Figures } from './metrics.ts';
import { median, percentile } from './statistics.ts';
import { duringStream, warmUp } from './tcp.ts';
import { run } from '../run.ts';

const INTERVAL_SECONDS = 0.002;

/**
 * Between two series of an idle tunnel. Which process runs on which core decides a good part of a round trip, and an idle
 * scheduler leaves that as it is for seconds: a stream has it choose anew, or one choice would stand for all.
 */
const STIR_SECONDS = 1;

/** Before each series: some 0.2 s after a stream the scheduler still moves the processes that carried it. */
const REST_MS = 500;

/** p50: the median of those of the series. */
export async function measureIdleRtt({ ends, effort }: Context): Promise<Figures> {
  const series: number[][] = [];
  const probes = Math.ceil(effort.probes / effort.idleSeries);
  for (let i = 0; i < effort.idleSeries; i++) {
    if (i > 0) await warmUp(ends, STIR_SECONDS);
    await delay(REST_MS);
    series.push(await roundTrips(ends, probes));
  }
  const all = series.flat();
  return {
    rttIdleP50: median(series.map((times) => percentile(times, 50))),
    rttIdleP99: percentile(all, 99),
    rttIdleLost: lostPercent(all, probes * effort.idleSeries),
  };
}

/** The same during a TCP stream in the direction of the requests. */
export async function measureLoadedRtt({ ends, effort }: Context): Promise<Figures> {
  const measured = await duringStream(ends, () => roundTrips(ends, effort.probes));
  return {
    rttLoadP50: percentile(measured, 50),
    rttLoadP99: percentile(measured, 99),
    rttLoadLost: lostPercent(measured, effort.probes),
  };
}

function lostPercent(times: readonly number[], probes: number): number {
  return 100 * (1 - times.length / probes);
}

/** In microseconds, at least one. */
async function roundTrips(ends: Ends, probes: number): Promise<number[]> {
  const ping = ['ping', '-n', '-i', String(INTERVAL_SECONDS), '-c', String(probes), '-W', '1', ends.address];
  const { stdout, stderr } = await run(inside(ends.from, ping), { limit: 50_000 });
  const times = readRoundTrips(stdout);
  if (times.length === 0) throw new Error(`no echo request was answered: ${stdout.slice(-300)}${stderr}`);
  return times;
}

/** Round-trip times of ping's lines, in microseconds; a duplicate answer is not one. */
export function readRoundTrips(output: string): number[] {
  return output
    .split('\n')
    .filter((line) => !line.includes('DUP!'))
    .flatMap((line) => {
      const time = / time=([\d.]+) ms/.exec(line)?.[1];
      return time === undefined ? [] : [Number(time) * 1_000];
    });
}
