import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Lab, type LabHost } from '../lab.ts';
import { buildUdpLoad, load, type Load, type UdpSize } from './udp.ts';

/**
 * What gets through a mesh of two hosts, pod to pod, as ever more is offered, from little to all that the generator
 * can: `npm run bench:overload [-- --engine portable --seconds 3]`, as root. Exit code 1: a link went down, or goodput
 * fell below 60 % of its peak.
 */
const SIZES = [64, 1400] as const;
/** Of what the generator reaches when nothing holds it back. */
const SHARES = [0.05, 0.1, 0.2, 0.3, 0.45, 0.6, 0.8, 1];
const LEAST_OF_PEAK = 0.6;

const { values } = parseArgs({
  options: { engine: { type: 'string', default: 'native' }, seconds: { type: 'string', default: '2' } },
});

async function sweep(lab: Lab, engine: string, seconds: number): Promise<string[]> {
  const [first, second] = lab.hosts as [LabHost, LabHost];
  const env = { WEAVE_PASSWORD: 'documentation' };
  await first.launch(['--engine', engine], { env });
  await second.launch(['--engine', engine, first.address], { env });
  await lab.meshed();
  const [a, b] = [await first.container('a'), await second.container('b')];
  await a.reaches(b);
  const udpLoad = join(lab.dir, 'udp-load');
  await buildUdpLoad(udpLoad);
  const ends = { from: a.netns, to: b.netns, address: b.address };
  const faults: string[] = [];
  for (const size of SIZES) {
    const measure = (rate: number) => load({ ends, udpLoad, effort: { udpSeconds: seconds } }, size, rate);
    const most = (await measure(0)).offered;
    const steps: Load[] = [];
    for (const share of SHARES) steps.push(await measure(share === 1 ? 0 : most * share));
    faults.push(...report(size, steps), ...(await lab.problems()));
  }
  for (const host of lab.hosts) {
    const log = readFileSync(host.socket.replace(/\.sock$/, '.log'), 'utf8').split('\n');
    faults.push(...log.filter((line) => /disconnected|link down/i.test(line)));
    process.stdout.write(`${host.netns}: ${JSON.stringify((await host.status()).router.drops)}\n`);
  }
  return faults;
}

/** Prints a table; returns what is wrong with it. */
function report(size: UdpSize, steps: readonly Load[]): string[] {
  process.stdout.write(`UDP, ${size} bytes: offered -> received, thousands per second\n`);
  for (const { offered, received } of steps)
    process.stdout.write(`  ${(offered / 1e3).toFixed(1)} -> ${(received / 1e3).toFixed(1)}\n`);
  const rates = steps.map(({ received }) => received);
  const peak = Math.max(...rates);
  const share = Math.min(...rates.slice(rates.indexOf(peak))) / peak;
  process.stdout.write(`  least after the peak: ${(100 * share).toFixed(0)} % of it\n`);
  return share < LEAST_OF_PEAK ? [`goodput of ${size} bytes fell to ${(100 * share).toFixed(0)} %`] : [];
}

const prefix = `wtl${process.pid}`;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => void Lab.sweep(prefix).finally(() => process.exit(130)));
}
const lab = await Lab.create(prefix, 2);
try {
  const faults = await sweep(lab, values.engine, Number(values.seconds));
  for (const fault of faults) process.stdout.write(`FAULT: ${fault}\n`);
  process.exitCode = faults.length > 0 ? 1 : 0;
} finally {
  await lab.remove();
}
