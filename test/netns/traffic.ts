import type { ExecutionContext } from 'ava';
import { readRoundTrips } from '../../scripts/bench/rtt.ts';
import type { Container } from '../../scripts/lab.ts';
import { end, sleep, start, until } from '../../scripts/run.ts';

/** ms after which an answer counts as lost; while the machine has other work, some take more than one second. */
const LOST_AFTER = 10_000;

/** Echo requests at an even pace, from now on. */
export class Pings {
  readonly #child;
  readonly #interval: number;
  readonly #began = performance.now();
  #answers = '';
  #progress = '';

  constructor(t: ExecutionContext, from: Container, to: Container, seconds: number) {
    this.#interval = seconds;
    this.#child = start(from.inside(['ping', '-i', String(seconds), '-n', to.address]));
    this.#child.stdout?.on('data', (chunk) => (this.#answers += String(chunk)));
    this.#child.stderr?.on('data', (chunk) => (this.#progress += String(chunk)));
    t.teardown(() => end(this.#child));
  }

  /**
   * Ends them: how many requests there were up to now, the least there must be, what was lost or doubled, and the
   * round-trip times in microseconds.
   */
  async result() {
    const least = (performance.now() - this.#began) / 1_000 / this.#interval / 2;
    const count = await this.#sent();
    for (let waited = 0; this.#lostOf(count).length > 0 && waited < LOST_AFTER; waited += 50) await sleep(50);
    const gone = new Promise((resolve) => this.#child.once('close', resolve));
    this.#child.kill('SIGINT');
    await gone;
    const numbers = this.#answered();
    const doubled = numbers.length - new Set(numbers).size;
    const lost = this.#lostOf(count).map((number) => `${number} lost`);
    const faults = doubled > 0 ? [...lost, `${doubled} doubled`] : lost;
    return { count, least, faults, times: readRoundTrips(this.#answers) };
  }

  /** Asks ping itself: at SIGQUIT it says ANSWERED/SENT, and goes on. */
  async #sent(): Promise<number> {
    this.#child.kill('SIGQUIT');
    const said = () => /\d+\/(\d+) packets/.exec(this.#progress);
    await until('ping to say what it has sent', 10_000, () => Promise.resolve(said() !== null));
    return Number(said()![1]);
  }

  #answered(): number[] {
    return [...this.#answers.matchAll(/icmp_seq=(\d+) ttl/g)].map(([, number]) => Number(number));
  }

  #lostOf(count: number): number[] {
    const seen = new Set(this.#answered());
    return Array.from({ length: count }, (_, i) => i + 1).filter((number) => !seen.has(number));
  }
}

/** Nothing was lost or doubled among as many requests as the time was long. */
export async function assertUnharmed(t: ExecutionContext, pings: readonly Pings[]): Promise<void> {
  for (const each of pings) {
    const { count, least, faults } = await each.result();
    t.deepEqual(faults, []);
    t.true(count >= least, `${count} requests, not ${least}`);
    t.log(`${count} echo requests, none lost`);
  }
}

/** A TCP stream for some seconds; resolves with the bytes of each second, rejects if it breaks. */
export function tcpStream(
  t: ExecutionContext,
  from: Container,
  to: Container,
  seconds: number,
  rate: string,
) {
  const server = start(to.inside(['iperf3', '-s', '-1']));
  t.teardown(() => end(server));
  return sleep(500).then(async () => {
    const argv = ['iperf3', '-c', to.address, '-t', String(seconds), '-b', rate, '-J'];
    const text = await from.must(argv, { limit: (seconds + 30) * 1_000 });
    const { intervals } = JSON.parse(text) as { intervals: { sum: { bytes: number } }[] };
    return intervals.map(({ sum }) => sum.bytes);
  });
}
