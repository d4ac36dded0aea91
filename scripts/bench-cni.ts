import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Lab } from './lab.ts';
import { must, run } from './run.ts';

/**
 * What an ADD and a DEL take, in turns with the stock bridge and host-local plugins on the same host; and the CPU time
 * of our daemon for them. `npm run bench:cni`, as root; `-- 1000`: on a host that has so many pods of ours already.
 */

const ROUNDS = 40;
/** The first calls load what later ones find. */
const WARM_UP = 5;
/** Pods that are made at once before the measurement. */
const AT_ONCE = 8;
const SHIM = fileURLToPath(new URL('../../native/build/weave-ts-cni', import.meta.url));
const STOCK = '/usr/lib/cni';
/** Of /proc/PID/stat: sysconf(_SC_CLK_TCK). */
const TICKS_PER_SECOND = 100;

interface Contender {
  readonly name: string;
  readonly program: string;
  readonly config: object;
  readonly add: number[];
  readonly del: number[];
}

const pods = Number(process.argv[2] ?? 0);
const prefix = `wtbench${process.pid}`;
Lab.sweepWhenInterrupted(prefix);
const lab = await Lab.create(prefix, 1);
const state = mkdtempSync(join(tmpdir(), `${prefix}-`));
try {
  const host = lab.hosts[0]!;
  await host.launch([]);
  const base = { cniVersion: '1.0.0', name: 'bench' };
  const ipam = { type: 'host-local', dataDir: state, ranges: [[{ subnet: '10.250.0.0/16' }]] };
  const contenders: Contender[] = [
    contender('bridge + host-local', join(STOCK, 'bridge'), {
      ...base,
      type: 'bridge',
      bridge: 'stock0',
      isGateway: true,
      ipam: { ...ipam, routes: [{ dst: '0.0.0.0/0' }] },
    }),
    contender('weave-ts', SHIM, { ...base, type: 'weave-ts', socket: host.socket }),
  ];
  await populate(contenders[1]!, pods);
  const netns = await lab.namespace('pod');
  const pid = (await host.pid())!;
  let began = 0;
  for (let i = 0; i < ROUNDS + WARM_UP; i++) {
    if (i === WARM_UP) began = cpuSeconds(pid);
    for (const one of contenders) await round(one, `pod${i}`, netns, i >= WARM_UP);
  }
  const cpu = ((cpuSeconds(pid) - began) * 1_000) / ROUNDS;
  for (const { name, add, del } of contenders) {
    process.stdout.write(`beside ${pods} pods, ${name}: ADD ${summary(add)}, DEL ${summary(del)}\n`);
  }
  process.stdout.write(`CPU of the daemon for one ADD and one DEL: ${cpu.toFixed(1)} ms\n`);
} finally {
  await lab.remove();
  rmSync(state, { recursive: true, force: true });
}

async function populate(own: Contender, count: number): Promise<void> {
  const names = Array.from({ length: count }, (_, i) => `${lab.prefix}-p${i}`);
  await must(['ip', '-batch', '-'], { input: names.map((name) => `netns add ${name}\n`).join('') });
  const queue = [...names];
  const work = async (): Promise<void> => {
    for (let name = queue.pop(); name !== undefined; name = queue.pop()) await timed(own, 'ADD', name, name);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

function contender(name: string, program: string, config: object): Contender {
  return { name, program, config, add: [], del: [] };
}

async function round(one: Contender, id: string, netns: string, counts: boolean): Promise<void> {
  const add = await timed(one, 'ADD', id, netns);
  const del = await timed(one, 'DEL', id, netns);
  if (!counts) return;
  one.add.push(add);
  one.del.push(del);
}

/** Milliseconds. Both are started in the namespace of the host, as a runtime does it. */
async function timed(
  { program, config }: Contender,
  command: string,
  id: string,
  netns: string,
): Promise<number> {
  const began = performance.now();
  const outcome = await run(['nsenter', `--net=/run/netns/${lab.hosts[0]!.netns}`, '--', program], {
    input: JSON.stringify(config),
    env: {
      CNI_COMMAND: command,
      CNI_CONTAINERID: id,
      CNI_NETNS: `/run/netns/${netns}`,
      CNI_IFNAME: 'eth0',
      CNI_PATH: STOCK,
    },
  });
  if (outcome.code !== 0) throw new Error(`${program} ${command}: ${outcome.stdout}${outcome.stderr}`);
  return performance.now() - began;
}

function summary(times: readonly number[]): string {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (share: number): string => sorted[Math.floor(share * (sorted.length - 1))]!.toFixed(1);
  return `median ${at(0.5)} ms (${at(0.1)} to ${at(0.9)})`;
}

/** User and system time of all threads of a process. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}
