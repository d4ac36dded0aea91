import { closeSync, openSync, readSync, writeFileSync, writeSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { Container, Lab } from './lab.ts';
import { end, must, sleep, start, until } from './run.ts';

/** Walks a visitor through a mesh of three hosts; every step checks what it shows and the first that fails ends it. */

const MEGABYTE = 1 << 20;
const TRANSFER_MEGABYTES = 200;
const MARKED_MEGABYTES = 20;
const MARKER = 'weave-ts:marker!';
const RELAY_LIMIT = 15_000;
const DIRECT_LIMIT = 20_000;

interface DemoFlags {
  readonly keep: boolean;
  /** Every host drops forwarded packets by default, as Docker and ufw make it. */
  readonly forwardDrop: boolean;
  /** What every pair of containers moves over TCP. */
  readonly megabytes: number;
}

async function demo(flags: DemoFlags): Promise<void> {
  say('three hosts in network namespaces, on one underlay');
  const prefix = `wtdemo${process.pid}`;
  Lab.sweepWhenInterrupted(prefix);
  const lab = await Lab.create(prefix, 3);
  try {
    if (flags.forwardDrop) {
      say('every host drops forwarded packets by default (iptables -P FORWARD DROP)');
      for (const host of lab.hosts) await host.must(['iptables', '-P', 'FORWARD', 'DROP']);
    }
    await withPassword(lab, flags.megabytes);
    if (flags.keep) {
      lookAround(lab);
      return;
    }
    await withoutPassword(lab);
    say('all of it worked');
  } finally {
    if (!flags.keep) await lab.remove();
  }
}

async function withPassword(lab: Lab, megabytes: number): Promise<void> {
  const passwordFile = join(lab.dir, 'password');
  writeFileSync(passwordFile, randomBytes(12).toString('hex') + '\n', { mode: 0o600 });
  await launchMesh(lab, ['--password-file', passwordFile]);
  const containers = await attachContainers(lab);
  await pingAllPairs(containers);
  await transferAllPairs(lab, containers, megabytes);
  await checkMesh(lab, true);
  process.stdout.write(await lab.hosts[0]!.mustWeave(['status']));
  process.stdout.write('\n' + (await lab.hosts[0]!.mustWeave(['status', 'links'])) + '\n');
  say(`a stream of the marker "${MARKER}", captured on the underlay`);
  const seen = await capturedMarkers(lab, containers[0]!, containers[2]!);
  if (seen > 0) throw new Error(`the capture shows the marker ${seen} times: traffic is not encrypted`);
  done('every frame captured, the marker in none of them');
  await cutAndHeal(lab, containers, false);
  await cutAndHeal(lab, containers, true);
}

/** The same hosts, restarted without a password: the control experiment for the capture. */
async function withoutPassword(lab: Lab): Promise<void> {
  say('restart without a password: attached namespaces stay as they are');
  for (const host of lab.hosts) await host.mustWeave(['stop']);
  await launchMesh(lab, []);
  const containers = await attachedContainers(lab);
  await pingAllPairs(containers);
  const seen = await capturedMarkers(lab, containers[0]!, containers[2]!);
  if (seen === 0) throw new Error('the capture does not show the marker, though nothing is encrypted');
  done(`every frame captured, the marker ${seen} times: the same check does find plaintext`);
}

async function launchMesh(lab: Lab, flags: readonly string[]): Promise<void> {
  say('launch: host 1 alone, hosts 2 and 3 know only host 1');
  for (const host of lab.hosts) {
    const peers = host.number === 1 ? [] : [lab.hosts[0]!.address];
    done(`${host.netns}: ${await host.launch([...flags, ...peers])}`);
  }
  const waited = await until(
    'every link up and direct',
    30_000,
    async () => (await lab.problems()).length === 0,
  );
  done(`full mesh after ${seconds(waited)}`);
}

async function checkMesh(lab: Lab, encrypted: boolean): Promise<void> {
  const problems = await lab.problems();
  for (const host of lab.hosts) {
    const { router } = await host.status();
    for (const link of router.links) {
      if (link.encrypted !== encrypted)
        problems.push(`${host.netns}: link to ${link.nickname} is not encrypted`);
    }
  }
  if (problems.length > 0) throw new Error(problems.join('; '));
  done('status: every connection established, every link up and encrypted');
}

async function attachContainers(lab: Lab): Promise<Container[]> {
  say('attach a namespace on each host');
  const containers: Container[] = [];
  for (const host of lab.hosts) {
    const container = await host.container(`c${host.number}`);
    done(`${container.netns}: ${container.cidr}`);
    containers.push(container);
  }
  return containers;
}

async function attachedContainers(lab: Lab): Promise<Container[]> {
  const containers: Container[] = [];
  for (const host of lab.hosts) {
    const rows = JSON.parse(await host.mustWeave(['ps', '--json'])) as {
      target: string;
      addresses: string[];
    }[];
    const row = rows.find(
      ({ addresses, target }) => addresses.length > 0 && target.includes(`c${host.number}`),
    );
    if (row === undefined) throw new Error(`${host.netns}: its namespace is no longer attached`);
    containers.push(new Container(host, `${lab.prefix}-c${host.number}`, row.addresses[0]!));
  }
  return containers;
}

function pairsOf(containers: readonly Container[]): [Container, Container][] {
  return containers.flatMap((a) =>
    containers.filter((b) => b !== a).map((b): [Container, Container] => [a, b]),
  );
}

async function pingAllPairs(containers: readonly Container[]): Promise<void> {
  for (const [a, b] of pairsOf(containers)) {
    await a.reaches(b);
  }
  done('all pairs ping');
}

async function transferAllPairs(
  lab: Lab,
  containers: readonly Container[],
  megabytes: number,
): Promise<void> {
  say(`TCP of ${megabytes} MB between all pairs, checksummed`);
  const file = join(lab.dir, 'random');
  writeRandomFile(file, megabytes);
  const want = (await must(['sha256sum', file])).split(' ')[0]!;
  for (const [a, b] of pairsOf(containers)) {
    const began = performance.now();
    const got = await transfer(a, b, file);
    if (got !== want) throw new Error(`${a.netns} -> ${b.netns}: what arrived differs from what was sent`);
    const rate = (megabytes * MEGABYTE * 8) / (performance.now() - began) / 1e6;
    done(`${a.netns} -> ${b.netns}: intact, ${rate.toFixed(2)} Gbit/s with checksum`);
  }
}

/** Sends `file` over TCP and returns the SHA-256 of what arrived. */
async function transfer(from: Container, to: Container, file: string): Promise<string> {
  const listen = ['socat', '-u', 'TCP-LISTEN:5001,reuseaddr,accept-timeout=10', 'EXEC:sha256sum'];
  const receiver = start(to.inside(listen));
  let digest = '';
  receiver.stdout?.on('data', (chunk) => (digest += String(chunk)));
  const closed = new Promise((resolve) => receiver.once('close', resolve));
  try {
    const connect = `TCP:${to.address}:5001,retry=50,interval=0.1`;
    await from.must(['socat', '-u', `FILE:${file}`, connect]);
    await closed;
  } finally {
    await end(receiver);
  }
  return digest.split(' ')[0]!;
}

/** Streams the marker from `from` to `to` and counts the captured underlay frames' markers. Rejects if a frame was missed. */
async function capturedMarkers(lab: Lab, from: Container, to: Container): Promise<number> {
  const capture = join(lab.dir, 'capture.pcap');
  const markers = join(lab.dir, 'markers');
  writeFileSync(markers, MARKER.repeat((MARKED_MEGABYTES * MEGABYTE) / MARKER.length));
  const argv = [
    'tcpdump',
    '-i',
    'br0',
    '-s',
    '0',
    '-B',
    '262144',
    '-w',
    capture,
    '--immediate-mode',
    '-Z',
    'root',
  ];
  const tcpdump = start(['ip', 'netns', 'exec', lab.underlay, ...argv]);
  let said = '';
  tcpdump.stderr?.on('data', (chunk) => (said += String(chunk)));
  await until('tcpdump listens', 10_000, () => Promise.resolve(said.includes('listening on')));
  await transfer(from, to, markers);
  await sleep(500);
  await end(tcpdump);
  const dropped = /(\d+) packets dropped by kernel/.exec(said)?.[1];
  const captured = Number(/(\d+) packets captured/.exec(said)?.[1] ?? 0);
  if (dropped !== '0') throw new Error(`tcpdump missed frames: ${said}`);
  if (captured === 0) throw new Error('tcpdump captured nothing');
  return countIn(capture, MARKER);
}

async function cutAndHeal(lab: Lab, containers: readonly Container[], oneWay: boolean): Promise<void> {
  say(oneWay ? 'cut the underlay from host 1 to host 2 only' : 'cut the underlay between hosts 1 and 2');
  const [a, b] = [containers[0]!, containers[1]!];
  await lab.cut(1, 2, oneWay);
  const relayed = await a.reaches(b, RELAY_LIMIT);
  const back = await b.reaches(a, RELAY_LIMIT);
  done(`traffic goes on through host 3 after ${seconds(relayed + back)}`);
  const cutEnds = oneWay ? [1] : [1, 2];
  await until('a cut direction uses the relay', RELAY_LIMIT, () => pathsAre(lab, cutEnds, 'relay'));
  await lab.heal();
  const direct = await until('direct again', DIRECT_LIMIT, () => pathsAre(lab, [1, 2], 'direct'));
  if (!(await a.pings(b.address))) throw new Error('no ping on the direct path');
  done(`direct again ${seconds(direct)} after healing`);
}

/**
 * Whether those of hosts 1 and 2 say that their link to the other is up on such a path. Each end chooses for what it
 * sends: behind a cut in one direction the other end stays direct.
 */
async function pathsAre(lab: Lab, numbers: readonly number[], path: 'direct' | 'relay'): Promise<boolean> {
  const names = await Promise.all([1, 2].map(async (n) => (await lab.hosts[n - 1]!.status()).router.name));
  for (const number of numbers) {
    const { router } = await lab.hosts[number - 1]!.status();
    const link = router.links.find(({ peer }) => peer === names[2 - number]);
    if (link?.state !== 'up' || link.path !== path) return false;
  }
  return true;
}

function lookAround(lab: Lab): void {
  const host = lab.hosts[0]!;
  process.stdout.write(`
The mesh goes on running. To look around:
  ip netns exec ${host.netns} node dist/bundle/main.js --socket ${host.socket} status
  ip netns exec ${lab.prefix}-c1 ip addr
To remove it: stop each daemon (…/api.sock of ${lab.dir}/h1, h2, h3), then
  for ns in $(ip netns list | grep -o '^${lab.prefix}[^ ]*'); do ip netns del $ns; done; rm -r ${lab.dir}
`);
}

function writeRandomFile(path: string, megabytes: number): void {
  const file = openSync(path, 'w');
  for (let i = 0; i < megabytes; i++) writeSync(file, randomBytes(MEGABYTE));
  closeSync(file);
}

/** Occurrences of `needle` in a file, also across the borders of what is read at once. */
function countIn(path: string, needle: string): number {
  const file = openSync(path, 'r');
  const buffer = Buffer.alloc(4 * MEGABYTE);
  let kept = 0;
  let count = 0;
  for (;;) {
    const read = readSync(file, buffer, kept, buffer.length - kept, null);
    if (read === 0) break;
    const end = kept + read;
    let at = buffer.subarray(0, end).indexOf(needle);
    while (at !== -1) {
      count++;
      at = buffer.subarray(0, end).indexOf(needle, at + needle.length);
    }
    kept = Math.min(needle.length - 1, end);
    buffer.copyWithin(0, end - kept, end);
  }
  closeSync(file);
  return count;
}

function say(text: string): void {
  process.stdout.write(`\n== ${text}\n`);
}

function done(text: string): void {
  process.stdout.write(`   ${text}\n`);
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}

function parseFlags(argv: readonly string[]): DemoFlags | undefined {
  const flags = { keep: false, forwardDrop: false, megabytes: TRANSFER_MEGABYTES };
  for (const flag of argv) {
    const megabytes = /^--megabytes=([1-9]\d{0,3})$/.exec(flag)?.[1];
    if (flag === '--keep') flags.keep = true;
    else if (flag === '--forward-drop') flags.forwardDrop = true;
    else if (megabytes !== undefined) flags.megabytes = Number(megabytes);
    else return undefined;
  }
  return flags;
}

const flags = parseFlags(process.argv.slice(2));
if (flags === undefined) {
  process.stderr.write('demo: --keep, --forward-drop and --megabytes=N are the flags that are known\n');
  process.exit(2);
}
try {
  await demo(flags);
} catch (error) {
  process.stderr.write(`\ndemo failed: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
