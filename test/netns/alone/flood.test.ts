import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { Lab, type Container, type LabHost } from '../../../scripts/lab.ts';
import { end, must, start, until } from '../../../scripts/run.ts';
import type { StatusDocument } from '../../../router/status.ts';
import type { ConnectionFlood, DatagramFlood, FloodSettings } from '../flooder.ts';

const FLOODER = fileURLToPath(new URL('../flooder.js', import.meta.url));
const CONNECTIONS = 10_000;
const DATAGRAMS = 1_000_000;
/** Few, which use up their guesses, in turn with many that have some left. */
const FEW = 40;
const MANY = 300;
const STRANGERS_PER_SECOND = 100;
/** What the daemon may grow by, of its proportional set size. */
const GROWTH_LIMIT_MIB = 96;

let labs = 0;

async function lab(t: ExecutionContext, hosts: number): Promise<Lab> {
  const made = await Lab.create(`wf${process.pid}x${labs++}`, hosts);
  t.teardown(() => made.remove());
  return made;
}

/** A flood from the namespace of `host`: its result, once it is told to stop and has done its least. */
function flood<Result>(t: ExecutionContext, host: LabHost, settings: FloodSettings) {
  const program = start([
    'ip',
    'netns',
    'exec',
    host.netns,
    process.execPath,
    FLOODER,
    JSON.stringify(settings),
  ]);
  t.teardown(() => end(program));
  let output = '';
  program.stdout?.on('data', (chunk) => (output += String(chunk)));
  program.stderr?.on('data', (chunk) => (output += String(chunk)));
  const closed = new Promise<void>((resolve) => program.once('close', () => resolve()));
  return {
    get isOver(): boolean {
      return program.exitCode !== null;
    },
    async stop(): Promise<Result> {
      program.stdin?.end();
      await closed;
      t.log(`${settings.type}: ${output.trim()}`);
      return JSON.parse(output) as Result;
    },
  };
}

/** The next datagram of some size that reaches `to`, as somebody on the wire would record it. */
async function overheard(made: Lab, to: LabHost): Promise<Buffer> {
  const file = join(made.dir, 'overheard.pcap');
  await to.must([
    'tcpdump',
    '-i',
    'eth0',
    '-Q',
    'in',
    '-c',
    '1',
    '-w',
    file,
    'udp port 6783 and greater 150',
  ]);
  // After headers of 24 bytes of the file, 16 of the record and 14 of Ethernet.
  const packet = readFileSync(file).subarray(24 + 16 + 14);
  return packet.subarray((packet[0]! >> 4 === 6 ? 40 : 20) + 8);
}

/** Proportional set size of the daemon, MiB. */
async function memoryOf(host: LabHost): Promise<number> {
  const text = readFileSync(`/proc/${await host.pid()}/smaps_rollup`, 'utf8');
  return Number(/^Pss:\s+(\d+) kB/m.exec(text)![1]) / 1_024;
}

function logOf(host: LabHost): string[] {
  return readFileSync(host.socket.replace(/\.sock$/, '.log'), 'utf8').split('\n');
}

/** Echo requests ten times a second until it is stopped: how many were sent and answered. */
function pings(t: ExecutionContext, from: Container, to: Container) {
  const program = start(from.inside(['ping', '-i', '0.1', to.address]));
  t.teardown(() => end(program));
  let output = '';
  program.stdout?.on('data', (chunk) => (output += String(chunk)));
  return async (): Promise<{ sent: number; answered: number; longestGap: number }> => {
    program.kill('SIGINT');
    await new Promise((resolve) => program.once('close', resolve));
    const [, sent, answered] = /(\d+) packets transmitted, (\d+) received/.exec(output)!;
    const numbers = [...output.matchAll(/icmp_seq=(\d+)/g)].map(([, number]) => Number(number));
    const gaps = numbers.slice(1).map((number, i) => number - numbers[i]!);
    return { sent: Number(sent), answered: Number(answered), longestGap: Math.max(0, ...gaps) };
  };
}

/** UDP datagrams that came to the host, taken or not. Right only if nothing joined them on the way. */
async function datagramsIn(host: LabHost): Promise<number> {
  const [names, values] = (await host.must(['cat', '/proc/net/snmp']))
    .split('\n')
    .filter((line) => line.startsWith('Udp: '))
    .map((line) => line.split(' '));
  // Of members some came over IPv6, and a few of these before the host knew their index.
  const names6 = await host.must(['cat', '/proc/net/snmp6']);
  return ['InDatagrams', 'InErrors']
    .map(
      (name) =>
        Number(values![names!.indexOf(name)]) + Number(names6.match(`Udp6${name}\\s+(\\d+)`)?.[1] ?? 0),
    )
    .reduce((sum, count) => sum + count, 0);
}

/** Gives the stranger further addresses, to which the victim has a route. */
async function crowd(stranger: LabHost, victim: LabHost): Promise<string[]> {
  const few = Array.from({ length: FEW }, (_, i) => `192.0.2.${100 + i}`);
  const many = Array.from({ length: MANY }, (_, i) => `198.18.${i >> 8}.${i & 255}`);
  const input = [...few, ...many].map((address) => `addr add ${address}/32 dev eth0\n`).join('');
  await must(['ip', '-n', stranger.netns, '-batch', '-'], { input });
  await victim.must(['ip', 'route', 'add', '198.18.0.0/15', 'via', stranger.address]);
  return many.flatMap((address, i) => [few[i % FEW]!, address]);
}

function sumOf(drops: StatusDocument['router']['drops'], reasons: readonly string[]): number {
  return reasons.reduce((sum, reason) => sum + (drops[reason] ?? 0), 0);
}

/** Datagrams that were dropped. */
function countedBy(drops: StatusDocument['router']['drops']): number {
  const junk = ['index-unknown', 'tag-invalid', 'counter-replayed', 'counter-too-old', 'datagram-too-short'];
  return sumOf(drops, [...junk, 'datagram-type-unknown', 'receive-queue-full']);
}

test('a flood of connections and of datagrams from strangers costs bounded memory, and the mesh goes on and grows', async (t) => {
  const made = await lab(t, 4);
  const [victim, member, newcomer, stranger] = made.hosts as [LabHost, LabHost, LabHost, LabHost];
  const env = { WEAVE_PASSWORD: 'documentation' };
  await victim.launch([], { env });
  await member.launch([victim.address], { env });
  const [a, b] = [await victim.container('a'), await member.container('b')];
  await a.reaches(b);
  const from = await crowd(stranger, victim);
  // Datagrams of a train part before they leave, and so are counted one by one.
  await stranger.must(['ip', 'link', 'set', 'eth0', 'gso_max_segs', '1']);
  const stopPings = pings(t, a, b);
  const datagram = await overheard(made, victim);
  const forged = Buffer.from(datagram);
  forged[20]! ^= 1;
  const short = datagram.subarray(0, 20);
  const foreign = Buffer.from(datagram);
  foreign[0] = 0x77;
  const before = {
    memory: await memoryOf(victim),
    lines: logOf(victim).length,
    datagrams: await datagramsIn(victim),
    counted: countedBy((await victim.status()).router.drops),
  };

  const began = performance.now();
  const connections = flood<ConnectionFlood>(t, stranger, {
    type: 'connections',
    to: victim.address,
    from,
    atLeast: CONNECTIONS,
    perSecond: 1_000,
  });
  const raw = [datagram, forged, short, foreign].map((bytes) => bytes.toString('hex'));
  const copies = 25_000;
  const datagrams = flood<DatagramFlood>(t, stranger, {
    type: 'datagrams',
    to: victim.address,
    unknown: DATAGRAMS - copies * raw.length,
    raw,
    copies,
    perSecond: 100_000,
  });
  await newcomer.launch([victim.address], { env });
  await until(
    'the newcomer knows all',
    60_000,
    async () => (await newcomer.status()).router.peers.length === 3,
  );
  const joinedAfter = performance.now() - began;
  t.false(connections.isOver, 'it joined during the flood');
  const connected = await connections.stop();
  const sent = await datagrams.stop();
  const took = performance.now() - began;

  const memory = await memoryOf(victim);
  const echoes = await stopPings();
  const { router } = await victim.status();
  const arrived = (await datagramsIn(victim)) - before.datagrams;
  t.log(`memory ${before.memory.toFixed(1)} -> ${memory.toFixed(1)} MiB; ${JSON.stringify(echoes)}`);
  t.log(`joined after ${(joinedAfter / 1_000).toFixed(1)} s of ${(took / 1_000).toFixed(1)} s`);
  t.log(JSON.stringify(router.drops));

  t.true(connected.attempts >= CONNECTIONS && sent.sent >= DATAGRAMS);
  t.true(memory - before.memory < GROWTH_LIMIT_MIB, `grew from ${before.memory} to ${memory} MiB`);
  // Ten echo requests per second: at most one in twenty lost, and no more than two seconds without an answer.
  t.true(echoes.answered >= 0.95 * echoes.sent && echoes.longestGap <= 20, JSON.stringify(echoes));
  for (const host of [victim, member]) {
    t.deepEqual(
      logOf(host).filter((line) => /disconnected|link down/i.test(line)),
      [],
    );
  }
  t.true(logOf(victim).length - before.lines < 60, 'the log is not flooded');
  for (const other of ['host2', 'host3']) {
    t.is(router.connections.find(({ nickname }) => nickname === other)?.state, 'established', other);
  }
  t.is(router.links.find(({ nickname }) => nickname === 'host2')?.state, 'up');

  // Ten guesses of each source, and one per 30 s thereafter; a second's worth at once for all.
  const ofSources = (FEW + MANY) * (10 + Math.ceil(took / 30_000));
  const allowed = Math.min(ofSources, STRANGERS_PER_SECOND * (1 + Math.ceil(took / 1_000)));
  t.true(connected.answered > 0 && connected.answered <= allowed, `${connected.answered} answers`);
  for (const reason of ['half-open-limit', 'guess-limit', 'not-weave-ts', 'handshake-abandoned']) {
    t.true(router.drops[`connection-${reason}`]! > 0, reason);
  }
  // What waits in the socket's buffer when the flood ends is fetched, and counted, after it. What members sent arrived too:
  // less than one in a hundred.
  let counted = 0;
  await until('all that arrived is counted', 20_000, async () => {
    counted = countedBy((await victim.status()).router.drops) - before.counted;
    return counted >= 0.99 * arrived;
  });
  t.log(`${sent.sent} sent, ${arrived} arrived, ${counted} counted`);
  t.true(arrived > sent.sent / 2, `${arrived} of ${sent.sent} arrived`);
  t.true(counted <= (await datagramsIn(victim)) - before.datagrams, `${counted} counted`);
  for (const reason of ['index-unknown', 'tag-invalid', 'datagram-too-short', 'datagram-type-unknown']) {
    t.true(router.drops[reason]! > 0, reason);
  }
  const refused = router.connections.filter(({ state }) => state === 'failed');
  t.true(refused.length > 0 && refused.length <= 64, `${refused.length} rows`);
  t.true(refused.every(({ error, outbound }) => !outbound && error !== undefined));
  const text = await victim.mustWeave(['status']);
  t.regex(text, /Refused: .*guess-limit \d+/);
  t.regex(text, /Drops: .*index-unknown \d+/);
});
