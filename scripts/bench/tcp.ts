import type { ChildProcess } from 'node:child_process';
import { inside } from './bench-lab.ts';
import type { Ends } from './contender.ts';
import { cpuSince, cpuTimes } from './cpu.ts';
import type { Context } from './measure.ts';
import type { Figures } from './metrics.ts';
import { end, run, start, until } from '../run.ts';

const PORT = 5201;
const LOAD_SECONDS = 60;

interface Throughput {
  readonly gigabitsPerSecond: number;
  /** All that was sent, warm-up included. */
  readonly bytes: number;
}

/** What iperf3 prints with -J, as far as it is read. */
interface IperfReport {
  readonly error?: string;
  readonly intervals: readonly { readonly sum: { readonly bytes: number } }[];
  readonly end: { readonly sum_received?: { readonly bits_per_second: number } };
}

/**
 * One stream, and what it cost the machine and the tunnel's processes. Rejects if the hosts made IP fragments: the
 * tunnel's MTU is too large for the underlay then.
 */
export async function measureOneStream({ lab, ends, effort, pids }: Context): Promise<Figures> {
  const fragments = await lab.fragmentsMade();
  const before = cpuTimes(pids);
  const { gigabitsPerSecond, bytes } = await transfer(ends, 1, effort.tcpSeconds, effort.tcpOmit);
  const used = cpuSince(before, pids);
  const made = (await lab.fragmentsMade()) - fragments;
  if (made !== 0) throw new Error(`the hosts made ${made} IP fragments`);
  const gigabytes = bytes / 1e9;
  return {
    tcp1: gigabitsPerSecond,
    cpuSystem: used.systemSeconds / gigabytes,
    ...(pids.length > 0 && { cpuProcesses: used.processSeconds / gigabytes }),
  };
}

/**
 * A stream that is not counted: programs that compile themselves while they run, and caches, are measured as they are
 * after a while, not as just started.
 */
export async function warmUp(ends: Ends, seconds: number): Promise<void> {
  if (seconds > 0) await transfer(ends, 1, seconds, 0);
}

export async function measureEightStreams({ ends, effort }: Context): Promise<Figures> {
  return { tcp8: (await transfer(ends, 8, effort.tcpSeconds, effort.tcpOmit)).gigabitsPerSecond };
}

async function transfer(ends: Ends, streams: number, seconds: number, omit: number): Promise<Throughput> {
  const server = await startServer(ends);
  try {
    const argv = ['iperf3', '-c', ends.address, '-p', String(PORT), '-J', '--connect-timeout', '3000'];
    const timing = ['-P', String(streams), '-t', String(seconds), '-O', String(omit)];
    const limit = (seconds + omit + 15) * 1_000;
    const { stdout, stderr } = await run(inside(ends.from, [...argv, ...timing]), { limit });
    return readThroughput(stdout, stderr);
  } finally {
    await end(server);
  }
}

function readThroughput(stdout: string, stderr: string): Throughput {
  let report: IperfReport;
  try {
    report = JSON.parse(stdout) as IperfReport;
  } catch {
    throw new Error(`iperf3 printed no report: ${stdout}${stderr}`);
  }
  const rate = report.end.sum_received?.bits_per_second;
  if (report.error !== undefined) throw new Error(`iperf3: ${report.error}`);
  if (rate === undefined || !(rate > 0)) throw new Error('iperf3: nothing arrived');
  const bytes = report.intervals.reduce((total, { sum }) => total + sum.bytes, 0);
  return { gigabitsPerSecond: rate / 1e9, bytes };
}

/** Runs `work`, which must be done within a minute, during one stream that began a second before it. */
export async function duringStream<T>(ends: Ends, work: () => Promise<T>): Promise<T> {
  const server = await startServer(ends);
  const argv = ['iperf3', '-c', ends.address, '-p', String(PORT), '-t', String(LOAD_SECONDS)];
  const client = start(inside(ends.from, argv));
  client.stdout?.resume();
  try {
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    const result = await work();
    if (client.exitCode !== null) throw new Error('the stream ended before what was measured during it');
    return result;
  } finally {
    await end(client);
    await end(server);
  }
}

async function startServer(ends: Ends): Promise<ChildProcess> {
  const server = start(inside(ends.to, ['iperf3', '-s', '-1', '-p', String(PORT), '--forceflush']));
  let said = '';
  for (const stream of [server.stdout, server.stderr]) stream?.on('data', (chunk) => (said += String(chunk)));
  try {
    await until('iperf3 listens', 5_000, () => Promise.resolve(said.includes('listening')), 10);
  } catch (error) {
    await end(server);
    throw new Error(`${String(error)}: ${said}`, { cause: error });
  }
  return server;
}
