import { fileURLToPath } from 'node:url';
import test from 'ava';
import { callApi } from '../../../router/api/client.ts';
import { percentile } from '../../../scripts/bench/statistics.ts';
import { Lab, type LabHost } from '../../../scripts/lab.ts';
import { sleep } from '../../../scripts/run.ts';
import { Pings } from '../traffic.ts';

const BLOCKER = fileURLToPath(new URL('../block-main-thread.js', import.meta.url));
const BLOCKS = 5;
/** Between the beginnings of two blocks of 500 ms. */
const PERIOD_MS = 800;
/** By how much echo requests may be later than in as long a time without blocks. */
const LATER = 10;
/** Both main threads spin, and a busy machine makes wait for a core: so much says nothing, in ms. */
const NOT_LATE_MS = 100;

/** Blocks the main threads of all hosts, again and again; returns how long the API took to answer in the meantime. */
async function blockAgainAndAgain(hosts: readonly LabHost[]): Promise<number[]> {
  const waited: number[] = [];
  for (let i = 0; i < BLOCKS; i++) {
    const next = sleep(PERIOD_MS);
    for (const host of hosts) process.kill((await host.pid())!, 'SIGUSR2');
    await sleep(20);
    const asked = performance.now();
    await Promise.all(hosts.map((host) => callApi(host.socket, 'GET', '/status')));
    waited.push(performance.now() - asked);
    await next;
  }
  return waited;
}

for (const engine of ['native', 'portable']) {
  test(`while the main thread is blocked for 500 ms, the ${engine} engine neither loses nor delays packets`, async (t) => {
    const made = await Lab.create(`wb${process.pid}${engine[0]}`, 2);
    t.teardown(() => made.remove());
    const [first, second] = made.hosts as [LabHost, LabHost];
    const env = { WEAVE_PASSWORD: 'documentation', NODE_OPTIONS: `--import=${BLOCKER}` };
    await first.launch(['--engine', engine], { env });
    await second.launch(['--engine', engine, first.address], { env });
    await made.meshed();
    const [a, b] = [await first.container('a'), await second.container('b')];
    await a.reaches(b);

    // Each waits in jiffies of 4 ms: together they ask once per ms.
    const startPings = () => Array.from({ length: 4 }, () => new Pings(t, a, b, 0.004));
    const quiet = startPings();
    await sleep(BLOCKS * PERIOD_MS);
    const undisturbed = await Promise.all(quiet.map((each) => each.result()));
    const usual = percentile(
      undisturbed.flatMap((each) => each.times),
      99,
    );
    const pings = startPings();
    const waited = await blockAgainAndAgain(made.hosts);
    const results = await Promise.all(pings.map((each) => each.result()));

    t.true(
      waited.every((ms) => ms > 300),
      `the API answered after ${waited.map(Math.round).join(', ')} ms`,
    );
    for (const { count, least, faults } of results) {
      t.deepEqual(faults, []);
      t.true(count >= least, `${count} requests, not ${least}`);
    }
    const times = results.flatMap((each) => each.times);
    const [p50, p99] = [percentile(times, 50) / 1_000, percentile(times, 99) / 1_000];
    t.log(`${times.length} echo requests, none lost; p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms`);
    const usually = usual / 1_000;
    t.log(`without blocks: p99 ${usually.toFixed(2)} ms`);
    t.true(p99 < Math.max(NOT_LATE_MS, LATER * usually), `p99 ${p99} ms, without blocks ${usually} ms`);
    for (const { router } of await Promise.all(made.hosts.map((host) => host.status()))) {
      t.is(router.links[0]!.state, 'up');
      t.is(router.connections[0]!.state, 'established');
    }
  });
}
