import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { callApi } from '../../router/api/client.ts';
import type { StatusDocument } from '../../router/status.ts';
import { Lab, type Container, type LabHost } from '../../scripts/lab.ts';
import { end, sleep, start, until } from '../../scripts/run.ts';

let labs = 0;

async function lab(t: ExecutionContext, hosts: number): Promise<Lab> {
  const made = await Lab.create(`wr${process.pid}x${labs++}`, hosts);
  t.teardown(() => made.remove());
  return made;
}

function passwordFile(host: LabHost, text: string): string {
  const path = join(host.dir, '..', `password${host.number}`);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}

/** Without the cost of a process. */
async function statusOf(host: LabHost): Promise<StatusDocument> {
  return (await callApi(host.socket, 'GET', '/status')) as StatusDocument;
}

/** Echo requests at an even pace, from now on. */
class Pings {
  readonly #child;
  #printed = '';

  constructor(t: ExecutionContext, from: Container, to: Container, seconds: number) {
    this.#child = start(from.inside(['ping', '-i', String(seconds), '-n', to.address]));
    this.#child.stdout?.on('data', (chunk) => (this.#printed += String(chunk)));
    t.teardown(() => end(this.#child));
  }

  /** Stops and returns how many answers there were, and what was lost, doubled or late among them. */
  async result(): Promise<{ readonly count: number; readonly faults: readonly string[] }> {
    const gone = new Promise((resolve) => this.#child.once('close', resolve));
    this.#child.kill('SIGINT');
    await gone;
    const numbers = [...this.#printed.matchAll(/icmp_seq=(\d+) ttl/g)].map(([, number]) => Number(number));
    const seen = new Set(numbers);
    const last = Math.max(0, ...numbers);
    const faults = Array.from({ length: last }, (_, i) => i + 1).filter((number) => !seen.has(number));
    const doubled = numbers.length - seen.size;
    return {
      count: numbers.length,
      faults: [...faults.map((n) => `${n} lost`), ...(doubled > 0 ? [`${doubled} doubled`] : [])],
    };
  }
}

/** A TCP stream for some seconds; resolves with the bytes of each second, rejects if it breaks. */
function tcpStream(t: ExecutionContext, from: Container, to: Container, seconds: number, rate: string) {
  const server = start(to.inside(['iperf3', '-s', '-1']));
  t.teardown(() => end(server));
  return sleep(500).then(async () => {
    const argv = ['iperf3', '-c', to.address, '-t', String(seconds), '-b', rate, '-J'];
    const text = await from.must(argv, { limit: (seconds + 30) * 1_000 });
    const { intervals } = JSON.parse(text) as { intervals: { sum: { bytes: number } }[] };
    return intervals.map(({ sum }) => sum.bytes);
  });
}

for (const engine of ['native', 'portable']) {
  test(`the ${engine} engine gets new keys every second under load, and no packet is lost`, async (t) => {
    const made = await lab(t, 2);
    const [first, second] = made.hosts as [LabHost, LabHost];
    const env = { WEAVE_PASSWORD: 'documentation' };
    await first.launch(['--engine', engine], { env });
    await second.launch(['--engine', engine, first.address], { env });
    await made.meshed();
    const a = await first.container('a');
    const b = await second.container('b');
    await a.reaches(b);
    const pings = [new Pings(t, a, b, 0.005), new Pings(t, b, a, 0.005)];
    const stream = tcpStream(t, a, b, 22, '10M');
    for (let i = 0; i < 20; i++) {
      await sleep(1_000);
      await callApi([first, second][i % 2]!.socket, 'POST', '/rekey', {});
    }
    const bytes = await stream;
    for (const each of pings) {
      const { count, faults } = await each.result();
      t.deepEqual(faults, []);
      t.true(count > 1_000, `${count} answers`);
      t.log(`${count} echo requests answered, none lost`);
    }
    t.true(bytes.length >= 22 && bytes.every((count) => count > 0), bytes.join());
    for (const host of [first, second]) {
      const { links } = (await statusOf(host)).router;
      t.is(links[0]!.rekeys, 20);
    }
  });
}

test('a rotation across three hosts under traffic loses no connection and no packet, and ejects a host within a minute', async (t) => {
  t.timeout(300_000);
  const made = await lab(t, 4);
  const members = made.hosts.slice(0, 3);
  const [first, second, third, outsider] = made.hosts as [LabHost, LabHost, LabHost, LabHost];
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
  const pings = [new Pings(t, a, b, 0.008), new Pings(t, b, c, 0.008), new Pings(t, c, a, 0.008)];
  const stream = tcpStream(t, c, a, 75, '10M');
  const watch = watchConnections(members);
  for (const text of ['old horse\nnew horse\n', 'new horse\nold horse\n', 'new horse\n']) {
    for (const host of members) {
      passwordFile(host, text);
      if (host !== second) t.regex(await host.mustWeave(['rotate']), /password/);
      else process.kill((await host.pid())!, 'SIGHUP');
      await sleep(1_000);
    }
  }
  const dropped = performance.now();
  t.true(await a.pings(d.address), 'for now');
  await until('the outsider is out', 60_000, async () => {
    const links = (await Promise.all(members.map(statusOf))).flatMap(({ router }) => router.links);
    return !links.some(({ nickname }) => nickname === 'host4');
  });
  t.log(`out ${((performance.now() - dropped) / 1_000).toFixed(1)} s after the password was dropped`);
  for (const host of members) {
    const { connections, peers } = (await statusOf(host)).router;
    t.deepEqual(
      connections
        .filter((each) => each.state === 'established')
        .map((each) => each.nickname)
        .sort(),
      members.filter((each) => each !== host).map((each) => `host${each.number}`),
    );
    t.is(peers.length, 3);
  }
  const { router } = await statusOf(outsider);
  t.false(router.connections.some(({ state }) => state === 'established'));
  for (const [from, to] of [
    [a, d],
    [d, a],
    [d, b],
    [c, d],
  ] as const)
    t.false(await from.pings(to.address));
  await until('the mismatch shows', 30_000, async () =>
    (await statusOf(outsider)).router.connections.some(
      ({ error }) => error?.startsWith('password mismatch with') === true,
    ),
  );
  for (const each of pings) {
    const { count, faults } = await each.result();
    t.deepEqual(faults, []);
    t.true(count > 3_000, `${count} answers`);
    t.log(`${count} echo requests answered, none lost`);
  }
  const bytes = await stream;
  t.true(bytes.length >= 75 && bytes.every((count) => count > 0), bytes.join());
  t.deepEqual(await watch(), []);
});

/** Looks at the connections among these hosts again and again; ends with when one was missing. */
function watchConnections(hosts: readonly LabHost[]): () => Promise<string[]> {
  const missing: string[] = [];
  let isOver = false;
  const look = async (host: LabHost) => {
    const { connections } = (await statusOf(host)).router;
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
