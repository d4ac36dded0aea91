import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { BenchLab, HOSTS, inside, type HostNumber } from './bench/bench-lab.ts';
import type { Ends } from './bench/contender.ts';
import { weaveNative, weavePortable } from './bench/contenders/weave-ts.ts';
import type { GcRecord } from './gc-recorder.ts';
import { end, must, run, sleep, start } from './run.ts';

/**
 * What the garbage collector does in the data thread of two hosts while TCP and small UDP pass from pod to pod:
 * `npm run bench:gc`, with `-- --seconds N` (60) or `--engine portable`. Needs root and iperf3. As long a time without
 * load comes first. Exit code 1: under load there were more major collections than without, by more than one.
 */
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    engine: { type: 'string', default: 'native' },
  },
});
const seconds = Number(values.seconds);
if (!Number.isInteger(seconds) || seconds < 1) throw new Error(`--seconds ${values.seconds}: give 1 or more`);
const contenders = { native: weaveNative, portable: weavePortable };
const contender = Object.entries(contenders).find(([engine]) => engine === values.engine)?.[1];
if (contender === undefined) throw new Error(`--engine ${values.engine}: give native or portable`);

/** Compilation and the first sizes of the heap are over after that. */
const WARM_UP_SECONDS = 10;
const UDP_BYTES = 64;
const UDP_PER_SECOND = 10_000;
/** A time without load and one with it seldom begin at the same distance from the next collection. */
const MORE_MAJOR = 1;

interface Snapshot {
  readonly gc: GcRecord;
  /** Frames and super-frames that crossed the TAP, and the bytes in them, both ways. */
  readonly frames: number;
  readonly bytes: number;
}

interface LinkStatistics {
  readonly stats64: Record<'rx' | 'tx', { readonly packets: number; readonly bytes: number }>;
}

const directory = mkdtempSync(join(tmpdir(), 'weave-gc-'));
process.env['WEAVE_GC_DIR'] = directory;
process.env['NODE_OPTIONS'] = `--import ${new URL('gc-recorder.js', import.meta.url).href}`;
const lab = await BenchLab.create(`wtg${process.pid}`, new AbortController().signal);
try {
  const tunnel = await contender.start(lab);
  // The lab's makers ask for the hosts first.
  await tunnel.place('host');
  const ends = await tunnel.place('pod');
  await load(ends, WARM_UP_SECONDS);
  const idle = await snapshots(tunnel.pids);
  await sleep(seconds * 1_000);
  const before = await snapshots(tunnel.pids);
  say(`${values.engine} engine, ${seconds} s without load`);
  for (const n of HOSTS) say(describe(n, idle[n - 1]!, before[n - 1]!));
  const carried = await load(ends, seconds);
  const after = await snapshots(tunnel.pids);
  say(`${values.engine} engine, ${seconds} s: ${carried}`);
  for (const n of HOSTS) say(describe(n, before[n - 1]!, after[n - 1]!));
  for (const n of HOSTS) {
    const [first, second, third] = [idle, before, after].map((all) => all[n - 1]!.gc.major);
    if (third! - second! <= second! - first! + MORE_MAJOR) continue;
    say(`FAULT: host ${n}: more major collections under load than without`);
    process.exitCode = 1;
  }
} finally {
  await lab.remove();
  rmSync(directory, { recursive: true, force: true });
}

/** One stream of TCP and one of UDP at once. Returns what iperf3 says of both. */
async function load({ from, to, address }: Ends, duration: number): Promise<string> {
  const streams = [
    { port: 5201, more: [] },
    { port: 5202, more: ['-u', '-l', String(UDP_BYTES), '-b', String(UDP_PER_SECOND * UDP_BYTES * 8)] },
  ];
  const servers = streams.map(({ port }) => start(inside(to, ['iperf3', '-s', '-1', '-p', String(port)])));
  await sleep(1_000);
  try {
    const reports = streams.map(async ({ port, more }) => {
      const argv = ['iperf3', '-c', address, '-p', String(port), '-t', String(duration), '-J', ...more];
      const { stdout } = await run(inside(from, argv), { limit: (duration + 30) * 1_000 });
      return JSON.parse(stdout) as {
        end: { sum_received?: { bits_per_second: number }; sum?: { packets: number; lost_packets: number } };
      };
    });
    const [tcp, udp] = await Promise.all(reports);
    const rate = ((tcp?.end.sum_received?.bits_per_second ?? 0) / 1e9).toFixed(2);
    const { packets = 0, lost_packets: lost = 0 } = udp?.end.sum ?? {};
    return `TCP ${rate} Gbit/s, UDP of ${UDP_BYTES} bytes ${Math.round(packets / duration)}/s (${lost} lost)`;
  } finally {
    for (const server of servers) await end(server);
  }
}

async function snapshots(pids: readonly number[]): Promise<Snapshot[]> {
  // The recorder writes once a second.
  await sleep(1_500);
  return Promise.all(
    HOSTS.map(async (n) => {
      const gc = JSON.parse(readFileSync(join(directory, `${pids[n - 1]}.json`), 'utf8')) as GcRecord;
      const shown = await must(['ip', '-n', lab.host(n), '-s', '-j', 'link', 'show', 'weave-tap']);
      const [{ stats64 }] = JSON.parse(shown) as [LinkStatistics];
      const sum = (what: 'packets' | 'bytes') => stats64.rx[what] + stats64.tx[what];
      return { gc, frames: sum('packets'), bytes: sum('bytes') };
    }),
  );
}

function describe(host: HostNumber, before: Snapshot, after: Snapshot): string {
  const frames = after.frames - before.frames;
  const allocated = after.gc.allocated - before.gc.allocated;
  const minor = after.gc.minor - before.gc.minor;
  const pause = after.gc.pauseMs - before.gc.pauseMs;
  return [
    `host ${host}: ${after.gc.major - before.gc.major} major and ${minor} minor collections`,
    `${after.gc.marking - before.gc.marking} steps of incremental marking`,
    `${pause.toFixed(1)} ms in all, ${after.gc.longestMs.toFixed(1)} ms the longest since the start`,
    `${(allocated / 1e6).toFixed(1)} MB allocated for ${frames} frames and super-frames of ${((after.bytes - before.bytes) / 1e6).toFixed(0)} MB`,
    frames === 0 ? 'none crossed' : `${(allocated / frames).toFixed(1)} bytes each`,
  ].join('; ');
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
