import { inside } from './bench-lab.ts';
import type { Ends } from './contender.ts';
import type { Context } from './measure.ts';
import type { Figures } from './metrics.ts';
import { percentile } from './statistics.ts';
import { duringStream } from './tcp.ts';
import { run } from '../run.ts';

const INTERVAL_SECONDS = 0.002;

interface RoundTrips {
  readonly p50: number;
  readonly p99: number;
  readonly lostPercent: number;
}

export async function measureIdleRtt({ ends, effort }: Context): Promise<Figures> {
  const { p50, p99, lostPercent } = await roundTrips(ends, effort.probes);
  return { rttIdleP50: p50, rttIdleP99: p99, rttIdleLost: lostPercent };
}

/** The same during a TCP stream in the direction of the requests. */
export async function measureLoadedRtt({ ends, effort }: Context): Promise<Figures> {
  const measured = await duringStream(ends, () => roundTrips(ends, effort.probes));
  return { rttLoadP50: measured.p50, rttLoadP99: measured.p99, rttLoadLost: measured.lostPercent };
}

/** In microseconds. */
async function roundTrips(ends: Ends, probes: number): Promise<RoundTrips> {
  const ping = ['ping', '-n', '-i', String(INTERVAL_SECONDS), '-c', String(probes), '-W', '1', ends.address];
  const { stdout, stderr } = await run(inside(ends.from, ping), { limit: 50_000 });
  const times = readRoundTrips(stdout);
  if (times.length === 0) throw new Error(`no echo request was answered: ${stdout.slice(-300)}${stderr}`);
  return {
    p50: percentile(times, 50),
    p99: percentile(times, 99),
    lostPercent: 100 * (1 - times.length / probes),
  };
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
