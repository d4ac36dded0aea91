import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { StatusDocument } from '../router/status.ts';
import { Lab, type Container, type LabHost } from './lab.ts';
import { sleep, until } from './run.ts';

/**
 * How fast real daemons become a mesh, and what they cost then: `npm run bench:converge -- 30`, as root. All start at
 * once, each in its own network namespace, and know only the first. Options: `--full-mesh-limit 8` for a sparse backbone,
 * where every pair of attached namespaces has to reach each other as well; `--minutes 10` until memory and CPU are read, 0
 * to leave them out; `--json FILE`. Exits 1 if a limit is not kept.
 */
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    'full-mesh-limit': { type: 'string', default: '80' },
    minutes: { type: 'string', default: '10' },
    json: { type: 'string' },
  },
});

const MESH_WITHIN_SECONDS = 15;
const MOST_PSS_MB = 80;
const MOST_RSS_MB = 130;
/** Of one core, all daemons together. */
const MOST_CPU_PERCENT = 10;
/** The processor's time is read over so long. */
const CPU_WINDOW_SECONDS = 60;
const GIVE_UP_AFTER = 180_000;
/** Asking costs the daemons time that they need; what is asked is one of them at a time. */
const LOOK_EVERY = 250;

/** Kernel ticks per second in /proc/PID/stat: USER_HZ, 100 on every Linux. */
const TICKS = 100;

interface Memory {
  readonly pss: number;
  readonly rss: number;
}

const count = Number(positionals[0] ?? '30');
if (!Number.isInteger(count) || count < 2 || count > 250)
  throw new Error(`${positionals[0]} hosts: give 2 to 250`);
const limit = Number(values['full-mesh-limit']);
const isFull = count <= limit;

const faults: string[] = [];
const prefix = `wtcv${process.pid}`;
Lab.sweepWhenInterrupted(prefix);
const lab = await Lab.create(prefix, count);
try {
  const result = await measure(lab);
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(result, undefined, 2)}\n`);
} finally {
  await lab.remove();
}
for (const fault of faults) say(`FAULT: ${fault}`);
process.exitCode = faults.length === 0 ? 0 : 1;

async function measure({ hosts, dir }: Lab) {
  const passwordFile = join(dir, 'password');
  writeFileSync(passwordFile, `${randomBytes(12).toString('hex')}\n`, { mode: 0o600 });
  const began = performance.now();
  for (const host of hosts) {
    const peers = host.number === 1 ? [] : [hosts[0]!.address];
    const init = ['--ipalloc-init', `consensus=${count}`];
    const flags = ['--password-file', passwordFile, '--full-mesh-limit', String(limit), ...init];
    const daemon = host.startDaemon([...flags, '--log-level', 'warn', ...peers]);
    daemon.stdout?.resume();
    daemon.stderr?.on('data', (chunk) => say(`${host.netns}: ${String(chunk).trimEnd()}`));
  }
  for (const host of hosts) await isMeshed(host);
  const meshSeconds = (performance.now() - began) / 1_000;
  say(
    `${count} daemons, all started at once: ${isFull ? 'full mesh' : 'one view, backbone linked'} after ${meshSeconds.toFixed(1)} s`,
  );
  if (meshSeconds > MESH_WITHIN_SECONDS)
    faults.push(`mesh after ${meshSeconds.toFixed(1)} s, not ${MESH_WITHIN_SECONDS}`);
  const degrees = await Promise.all(hosts.map(async (host) => established(await host.status())));
  say(`connections of each: ${Math.min(...degrees)} to ${Math.max(...degrees)}`);
  const pairs = isFull ? undefined : await reachAllPairs(hosts);
  const minutes = Number(values.minutes);
  await sleep(minutes * 60_000);
  const cost = minutes > 0 ? await costOf(hosts) : {};
  return { hosts: count, fullMeshLimit: limit, meshSeconds, degrees, pairs, ...cost, faults };
}

/** Waits until a host sees all others and has a direct link to each of its neighbours: to all, in a full mesh. */
async function isMeshed(host: LabHost): Promise<void> {
  await until(
    `${host.netns} sees ${count} hosts and has its links`,
    GIVE_UP_AFTER,
    async () => {
      const status = await host.status().catch(() => undefined);
      if (status?.router.peers.length !== count) return false;
      const direct = status.router.links.filter(({ state, path }) => state === 'up' && path === 'direct');
      const names = new Set(direct.map(({ peer }) => peer));
      const own = status.router.peers.find(({ name }) => name === status.router.name)!;
      const wanted = isFull ? count - 1 : own.neighbours.length;
      return own.neighbours.length >= (isFull ? count - 1 : 1) && names.size >= wanted;
    },
    LOOK_EVERY,
  );
}

function established({ router }: StatusDocument): number {
  return router.connections.filter(({ state }) => state === 'established').length;
}

/** Attaches a namespace on each host; every one has to reach every other. */
async function reachAllPairs(hosts: readonly LabHost[]) {
  const containers: Container[] = [];
  for (const host of hosts) containers.push(await host.container(`c${host.number}`));
  const linksBefore = await linksOf(hosts);
  const began = performance.now();
  for (const from of containers) {
    for (const to of containers) {
      if (to !== from) await from.reaches(to).catch((error: unknown) => faults.push(String(error)));
    }
  }
  const seconds = (performance.now() - began) / 1_000;
  const linksAfter = await linksOf(hosts);
  const pairs = containers.length * (containers.length - 1);
  say(
    `${pairs} pairs of attached namespaces reach each other, one after the other in ${seconds.toFixed(0)} s`,
  );
  say(`links up: ${linksBefore} before, ${linksAfter} after`);
  return { pairs, seconds, linksBefore, linksAfter };
}

async function linksOf(hosts: readonly LabHost[]): Promise<number> {
  const all = await Promise.all(hosts.map((host) => host.status()));
  return all.reduce((sum, { router }) => sum + router.links.filter(({ state }) => state === 'up').length, 0);
}

async function costOf(hosts: readonly LabHost[]) {
  const pids = (await Promise.all(hosts.map((host) => host.pid()))).filter((pid) => pid !== undefined);
  if (pids.length < hosts.length) faults.push(`${hosts.length - pids.length} daemons are gone`);
  const before = pids.map(ticksOf);
  await sleep(CPU_WINDOW_SECONDS * 1_000);
  const ticks = pids.map((pid, i) => ticksOf(pid) - before[i]!).reduce((sum, each) => sum + each, 0);
  const cpuPercent = (100 * ticks) / TICKS / CPU_WINDOW_SECONDS;
  const memory = pids.map(memoryOf);
  const most = (what: keyof Memory) => Math.max(...memory.map((each) => each[what]));
  const mean = (what: keyof Memory) => memory.reduce((sum, each) => sum + each[what], 0) / memory.length;
  say(
    `after ${values.minutes} min: Pss ${mean('pss').toFixed(0)} MB on average, ${most('pss').toFixed(0)} at most`,
  );
  say(`resident ${mean('rss').toFixed(0)} MB on average, ${most('rss').toFixed(0)} at most`);
  say(`all daemons together use ${cpuPercent.toFixed(1)} % of a core`);
  if (most('pss') > MOST_PSS_MB) faults.push(`Pss ${most('pss').toFixed(0)} MB, not ${MOST_PSS_MB}`);
  if (most('rss') > MOST_RSS_MB) faults.push(`resident ${most('rss').toFixed(0)} MB, not ${MOST_RSS_MB}`);
  if (cpuPercent > MOST_CPU_PERCENT)
    faults.push(`${cpuPercent.toFixed(1)} % of a core, not ${MOST_CPU_PERCENT}`);
  return {
    cpuPercent,
    pssMb: { mean: mean('pss'), most: most('pss') },
    rssMb: { mean: mean('rss'), most: most('rss') },
  };
}

/** Processor time so far, user and system, with that of the programs that it has run. */
function ticksOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
}

function memoryOf(pid: number): Memory {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const megabytes = (field: string) =>
    Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(rollup)?.[1]) / 1_024;
  return { pss: megabytes('Pss'), rss: megabytes('Rss') };
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
