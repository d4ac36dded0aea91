import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { Lab, type Container, type LabHost } from '../../scripts/lab.ts';
import { sleep, until } from '../../scripts/run.ts';
import { Pings, assertUnharmed, tcpStream } from './traffic.ts';

function passwordFile(host: LabHost, text: string): string {
  const path = join(host.dir, '..', `password${host.number}`);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}

test('a rotation across three hosts under traffic loses no connection and no packet, and ejects a host within a minute', async (t) => {
  t.timeout(300_000);
  const made = await Lab.create(`wo${process.pid}`, 4);
  t.teardown(() => made.remove());
  const members = made.hosts.slice(0, 3);
  const [first, , third, outsider] = made.hosts as [LabHost, LabHost, LabHost, LabHost];
  for (const host of made.hosts) {
    const peers = host === first ? [] : [first.address];
    const password = ['--password-file', passwordFile(host, 'old horse\n')];
    await host.launch([...password, '--ipalloc-init', 'consensus=4', ...peers]);
  }
  await made.meshed();
  const containers: Container[] = [];
  for (const host of made.hosts) containers.push(await host.container(`c${host.number}`));
  const [a, b, c, d] = containers as [Container, Container, Container, Container];
  for (const [from, to] of [
    [a, b],
    [b, c],
    [c, a],
    [a, d],
    [d, b],
  ] as const)
    await from.reaches(to);
  const pings = [new Pings(t, a, b, 0.02), new Pings(t, b, c, 0.02), new Pings(t, c, a, 0.02)];
  const stream = tcpStream(t, c, a, 75, '10M');
  const watch = watchConnections(members);
  let dropped = 0;
  for (const text of ['old horse\nnew horse\n', 'new horse\nold horse\n', 'new horse\n']) {
    for (const host of members) {
      passwordFile(host, text);
      dropped = performance.now();
      if (host !== third) t.regex(await host.mustWeave(['rotate']), /password/);
      else process.kill((await host.pid())!, 'SIGHUP');
      await sleep(1_000);
    }
  }
  t.true(await a.pings(d.address), 'for now');
  await until('the outsider is out', dropped + 60_000 - performance.now(), async () => {
    const links = (await Promise.all(members.map((host) => host.status()))).flatMap(
      ({ router }) => router.links,
    );
    return !links.some(({ nickname }) => nickname === 'host4');
  });
  t.log(`out ${((performance.now() - dropped) / 1_000).toFixed(1)} s after the password was dropped`);
  for (const host of members) {
    const { connections, peers } = (await host.status()).router;
    t.deepEqual(
      connections
        .filter((each) => each.state === 'established')
        .map((each) => each.nickname)
        .sort(),
      members.filter((each) => each !== host).map((each) => `host${each.number}`),
    );
    t.is(peers.length, 3);
  }
  const { router } = await outsider.status();
  t.false(router.connections.some(({ state }) => state === 'established'));
  for (const [from, to] of [
    [a, d],
    [d, a],
    [d, b],
    [c, d],
  ] as const)
    t.false(await from.pings(to.address));
  await until('the mismatch shows', 30_000, async () =>
    (await outsider.status()).router.connections.some(
      ({ error }) => error?.startsWith('password mismatch with') === true,
    ),
  );
  await assertUnharmed(t, pings);
  const bytes = await stream;
  t.true(bytes.length >= 75 && bytes.every((count) => count > 0), bytes.join());
  t.deepEqual(await watch(), []);
});

/** Looks at the connections among these hosts again and again; ends with when one was missing. */
function watchConnections(hosts: readonly LabHost[]): () => Promise<string[]> {
  const missing: string[] = [];
  let isOver = false;
  const look = async (host: LabHost) => {
    const { connections } = (await host.status()).router;
    for (const other of hosts) {
      const nickname = `host${other.number}`;
      const found = connections.some((each) => each.nickname === nickname && each.state === 'established');
      if (other !== host && !found)
        missing.push(`host${host.number} without ${nickname}: ${JSON.stringify(connections)}`);
    }
  };
  const watching = (async () => {
    while (!isOver) {
      await Promise.all(hosts.map(look));
      await sleep(50);
    }
  })();
  return async () => {
    isOver = true;
    await watching;
    return missing;
  };
}
