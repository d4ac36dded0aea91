import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { buildUdpLoad, load } from '../../../scripts/bench/udp.ts';
import type { LabHost } from '../../../scripts/lab.ts';
import { must } from '../../../scripts/run.ts';
import { twoHosts } from '../two-hosts.ts';

/** Longer than a path may go without an answer to its heartbeats. */
const SECONDS = 6;
/** Of what the generator reaches, where goodput has its peak on most machines. */
const SHARES = [0.2, 0.5];
/** Of the peak, whatever the machine does besides; `npm run bench:overload` says the exact share. */
const LEAST_OF_PEAK = 0.2;

for (const engine of ['native', 'portable']) {
  test(`with the ${engine} engine, no flood of UDP that a container can send takes a link or a connection down`, async (t) => {
    const { lab, hosts, a, b } = await twoHosts(t, 'wl', [engine, engine]);
    const udpLoad = join(lab.dir, 'udp-load');
    await buildUdpLoad(udpLoad);
    const ends = { from: a.netns, to: b.netns, address: b.address };
    for (const size of [64, 1400] as const) {
      const flood = (rate: number, udpSeconds: number) =>
        load({ ends, udpLoad, effort: { udpSeconds } }, size, rate);
      const { offered, received } = await flood(0, SECONDS);
      t.log(`${size} bytes: ${Math.round(offered)} per second offered, ${Math.round(received)} received`);
      const rates = [received];
      for (const share of SHARES) rates.push((await flood(offered * share, 1)).received);
      t.true(
        received > LEAST_OF_PEAK * Math.max(...rates),
        `received at flood and less: ${rates.join(', ')}`,
      );
      t.deepEqual(await lab.problems(), []);
    }
    assertNothingWentDown(t, hosts);
    await a.reaches(b);
  });
}

test('a flood that the wire is too slow for takes no link or connection down, and what does not fit is counted', async (t) => {
  const { lab, hosts, a, b } = await twoHosts(t, 'wl', ['native', 'native']);
  const udpLoad = join(lab.dir, 'udp-load');
  await buildUdpLoad(udpLoad);
  const ends = { from: a.netns, to: b.netns, address: b.address };
  // A queue of most of a minute, of which the daemon must not make use.
  const slow = ['root', 'tbf', 'rate', '5mbit', 'burst', '32k', 'limit', '32mb'];
  await must(['tc', '-n', hosts[0].netns, 'qdisc', 'add', 'dev', 'eth0', ...slow]);
  const { received } = await load({ ends, udpLoad, effort: { udpSeconds: 10 } }, 1400, 0);
  t.true(received > 0);
  assertNothingWentDown(t, hosts);
  t.true((await hosts[0].status()).router.drops['socket-queue-full']! > 0);
  await a.reaches(b);
});

function assertNothingWentDown(t: ExecutionContext, hosts: readonly LabHost[]): void {
  for (const host of hosts) {
    const lines = readFileSync(host.socket.replace(/\.sock$/, '.log'), 'utf8').split('\n');
    // Else the log says these things in other words.
    t.true(lines.some((line) => /link up/.test(line)));
    t.true(lines.some((line) => /connected/.test(line)));
    t.deepEqual(
      lines.filter((line) => /disconnected|link down/.test(line)),
      [],
    );
  }
}

test('frames that the kernel drops because the daemon does not read them are counted in its status', async (t) => {
  const { lab, hosts, a, b } = await twoHosts(t, 'wl', ['native', 'native']);
  const udpLoad = join(lab.dir, 'udp-load');
  await buildUdpLoad(udpLoad);
  const ends = { from: a.netns, to: b.netns, address: b.address };
  const pid = (await hosts[0].pid())!;
  process.kill(pid, 'SIGSTOP');
  try {
    // Nothing arrives, which is an error to it.
    await load({ ends, udpLoad, effort: { udpSeconds: 1 } }, 64, 0).catch(() => undefined);
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  await a.reaches(b);
  const shown = await must(['ip', '-n', hosts[0].netns, '-s', '-j', 'link', 'show', 'weave-tap']);
  const [{ stats64 }] = JSON.parse(shown) as [{ stats64: { tx: { dropped: number } } }];
  t.true(stats64.tx.dropped > 0);
  t.is((await hosts[0].status()).router.drops['tap-overrun'], stats64.tx.dropped);
});
