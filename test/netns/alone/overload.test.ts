import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { buildUdpLoad, load } from '../../../scripts/bench/udp.ts';
import { twoHosts } from '../two-hosts.ts';

/** Longer than a path may go without an answer to its heartbeats. */
const SECONDS = 6;

for (const engine of ['native', 'portable']) {
  test(`with the ${engine} engine, no flood of UDP that a container can send takes a link or a connection down`, async (t) => {
    const { lab, hosts, a, b } = await twoHosts(t, 'wl', [engine, engine]);
    const udpLoad = join(lab.dir, 'udp-load');
    await buildUdpLoad(udpLoad);
    const ends = { from: a.netns, to: b.netns, address: b.address };
    for (const size of [64, 1400] as const) {
      const flooding = load({ ends, udpLoad, effort: { udpSeconds: SECONDS } }, size, 0);
      const { offered, received } = await flooding;
      t.log(`${size} bytes: ${Math.round(offered)} per second offered, ${Math.round(received)} received`);
      t.true(received > 0);
      t.deepEqual(await lab.problems(), []);
    }
    for (const host of hosts) {
      const lines = readFileSync(host.socket.replace(/\.sock$/, '.log'), 'utf8').split('\n');
      t.deepEqual(
        lines.filter((line) => /disconnected|link down/i.test(line)),
        [],
      );
    }
    await a.reaches(b);
  });
}
