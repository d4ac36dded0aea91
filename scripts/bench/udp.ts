import type { ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { inside } from './bench-lab.ts';
import { nextRate, type Step } from './bisection.ts';
import type { Context, Effort } from './measure.ts';
import type { Figures } from './metrics.ts';
import { end, must, start, until } from '../run.ts';

export type UdpSize = 64 | 512 | 1400;

/** Lossless is less than one in a thousand lost. */
const LOSS_LIMIT = 0.001;
const PORT = '5300';

/** Source of the generator, relative to dist/scripts/bench. */
const SOURCE = fileURLToPath(new URL('../../../scripts/bench/udp-load.c', import.meta.url));

/** In datagrams per second. */
export interface Load {
  readonly offered: number;
  readonly received: number;
  readonly lossless: boolean;
}

let runs = 0;

/** Compiles the generator to `path`. */
export async function buildUdpLoad(path: string): Promise<void> {
  await must(['cc', '-O2', '-Wall', '-Wextra', '-Werror', '-o', path, SOURCE]);
}

/** Rates of datagrams with `size` bytes of payload: at flood, and the highest found at which nothing is lost. */
export async function measureUdp(context: Context, size: UdpSize): Promise<Figures> {
  const flood = await load(context, size, 0);
  const steps: Step[] = [];
  let best = 0;
  for (let i = 0; i < context.effort.udpSteps; i++) {
    const rate = nextRate(flood.received, steps);
    const got = await load(context, size, rate);
    // What the generator did not reach was not tried.
    steps.push({ rate: Math.min(rate, got.offered), lossless: got.lossless });
    if (got.lossless) best = Math.max(best, got.received);
  }
  return {
    [`udp${size}Flood`]: flood.received / 1e3,
    [`udp${size}Offered`]: flood.offered / 1e3,
    ...(steps.length > 0 && { [`udp${size}Lossless`]: best / 1e3 }),
  };
}

/** Sends at `rate` datagrams per second (0: as fast as it goes) and counts what arrives. */
export async function load(
  { ends, effort, udpLoad }: Pick<Context, 'ends' | 'udpLoad'> & { effort: Pick<Effort, 'udpSeconds'> },
  size: UdpSize,
  rate: number,
): Promise<Load> {
  const id = String(++runs);
  const receiver = await startReceiver(inside(ends.to, [udpLoad, 'receive', id, PORT]));
  const seconds = String(effort.udpSeconds);
  const send = [udpLoad, 'send', id, ends.address, PORT, String(size), String(Math.round(rate)), seconds];
  try {
    const [sent, nanoseconds] = numbers(await must(inside(ends.from, send)));
    const [distinct] = numbers(await receiver.finish());
    if (!(distinct! > 0)) throw new Error(`none of ${sent} datagrams of ${size} bytes arrived`);
    const elapsed = nanoseconds! / 1e9;
    const lossless = sent! - distinct! < sent! * LOSS_LIMIT;
    return { offered: sent! / elapsed, received: distinct! / elapsed, lossless };
  } finally {
    await end(receiver.child);
  }
}

interface Receiver {
  readonly child: ChildProcess;
  /** Lets it drain its queue and returns what it printed then. */
  finish(): Promise<string>;
}

async function startReceiver(argv: readonly string[]): Promise<Receiver> {
  const child = start(argv);
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (said += String(chunk)));
  const closed = new Promise((resolve) => child.once('close', resolve));
  try {
    await until('the UDP receiver is ready', 5_000, () => Promise.resolve(said.includes('ready\n')), 10);
  } catch (error) {
    await end(child);
    throw new Error(`${String(error)}: ${said}`, { cause: error });
  }
  const finish = async () => {
    child.stdin?.end();
    await closed;
    return said.replace('ready\n', '');
  };
  return { child, finish };
}

function numbers(text: string): number[] {
  return text.trim().split(' ').map(Number);
}
