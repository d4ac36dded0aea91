import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { end, must, run, sleep, start, until } from '../../scripts/run.ts';
import type { EngineKind } from '../../router/engine/choose.ts';
import type { EnginePeerSettings } from './engine-peer.ts';
import type { HeldBatchSeen } from './held-batch.ts';

const PEER = fileURLToPath(new URL('engine-peer.js', import.meta.url));
const HELD_BATCH = fileURLToPath(new URL('held-batch.js', import.meta.url));
const UNDERLAY_MTU = 1_500;
/** IPv6 40, UDP 8, datagram 32, inner 2, Ethernet 14 and some more. */
const TAP_MTU = UNDERLAY_MTU - 112;
const TRANSFER_BYTES = { native: 64 << 20, portable: 8 << 20 };

interface Seen {
  readonly superFrames: number;
  readonly frames: number;
  readonly messages: number;
  readonly repeated: number;
  readonly dropped: Record<string, number>;
  readonly events: readonly string[];
}

interface Tunnel {
  /** Namespaces of the two ends. */
  readonly a: string;
  readonly b: string;
  /** Ends both processes; what each of them saw. */
  readonly stop: () => Promise<Seen[]>;
}

let tunnels = 0;

/** Two namespaces on one wire, an engine in each, 10.32.0.1 and 10.32.0.2 (2001:db8:32::1 and ::2) on their TAPs. */
async function tunnel(
  t: ExecutionContext,
  kinds: readonly [EngineKind, EngineKind],
  family: 4 | 6,
): Promise<Tunnel> {
  const prefix = `we${process.pid}x${tunnels++}`;
  const names = [`${prefix}a`, `${prefix}b`] as const;
  t.teardown(async () => {
    for (const name of names) await run(['ip', 'netns', 'del', name]);
  });
  for (const name of names) await must(['ip', 'netns', 'add', name]);
  await must([
    'ip',
    '-n',
    names[0],
    'link',
    'add',
    'eth0',
    'type',
    'veth',
    'peer',
    'name',
    'eth0',
    'netns',
    names[1],
  ]);
  for (const [i, name] of names.entries()) {
    await must(['ip', '-n', name, 'addr', 'add', `192.0.2.${i + 1}/24`, 'dev', 'eth0']);
    await must(['ip', '-n', name, 'addr', 'add', `2001:db8::${i + 1}/64`, 'dev', 'eth0', 'nodad']);
    await must(['ip', '-n', name, 'link', 'set', 'eth0', 'mtu', String(UNDERLAY_MTU), 'up']);
    await must(['ip', '-n', name, 'link', 'set', 'lo', 'up']);
  }
  const secrets = [randomBytes(32).toString('hex'), randomBytes(32).toString('hex')] as const;
  const peers: { peer: ChildProcess; output: { text: string; errors: string } }[] = [];
  for (const [i, name] of names.entries()) {
    const settings: EnginePeerSettings = {
      engine: kinds[i]!,
      tap: 'tap0',
      port: 6783,
      remote: family === 4 ? `192.0.2.${2 - i}` : `2001:db8::${2 - i}`,
      send: secrets[i]!,
      receive: secrets[1 - i]!,
    };
    const peer = start(['ip', 'netns', 'exec', name, process.execPath, PEER, JSON.stringify(settings)]);
    t.teardown(() => end(peer));
    const output = { text: '', errors: '' };
    peer.stdout?.on('data', (chunk) => (output.text += String(chunk)));
    peer.stderr?.on('data', (chunk) => (output.errors += String(chunk)));
    peers.push({ peer, output });
    await until(`engine ${i}: ${output.errors}`, 10_000, () =>
      Promise.resolve(output.text.includes('open\n')),
    );
    await must(['ip', '-n', name, 'link', 'set', 'tap0', 'mtu', String(TAP_MTU), 'up']);
    await must(['ip', '-n', name, 'addr', 'add', `10.32.0.${i + 1}/24`, 'dev', 'tap0']);
    await must(['ip', '-n', name, 'addr', 'add', `2001:db8:32::${i + 1}/64`, 'dev', 'tap0', 'nodad']);
  }
  const stop = async (): Promise<Seen[]> => {
    for (const { peer } of peers) await end(peer);
    for (const { output } of peers) t.is(output.errors, '');
    return peers.map(({ output }) => JSON.parse(output.text.split('\n')[1]!) as Seen);
  };
  return { a: names[0], b: names[1], stop };
}

/** Sends random bytes from one namespace to the other by TCP; true if the digests agree. Also returns the seconds. */
async function transfer(
  from: string,
  to: string,
  address: string,
  bytes: number,
): Promise<{ same: boolean; seconds: number }> {
  const receiver = `
    const hash = require('crypto').createHash('sha1'); let first;
    const server = require('net').createServer((socket) => { server.close();
      socket.on('data', (chunk) => { first ??= performance.now(); hash.update(chunk); })
        .on('end', () => console.log(hash.digest('hex') + ' ' + (performance.now() - first) / 1000)); });
    server.listen(5000, '::', () => console.log('listening'));`;
  const sender = `
    const hash = require('crypto').createHash('sha1'); const block = require('crypto').randomBytes(1 << 20);
    const socket = require('net').connect(5000, ${JSON.stringify(address)}); let left = ${bytes};
    const more = () => { while (left > 0) { const part = block.subarray(0, Math.min(left, block.length));
      left -= part.length; hash.update(part); if (!socket.write(part)) return socket.once('drain', more); }
      socket.end(() => console.log(hash.digest('hex'))); };
    socket.on('connect', more);`;
  const listener = start(['ip', 'netns', 'exec', to, process.execPath, '-e', receiver]);
  const closed = once(listener, 'close');
  let heard = '';
  listener.stdout?.on('data', (chunk) => (heard += String(chunk)));
  await until('listening', 10_000, () => Promise.resolve(heard.includes('listening\n')));
  const sent = (await must(['ip', 'netns', 'exec', from, process.execPath, '-e', sender])).trim();
  await closed;
  const [digest, seconds] = heard.split('\n')[1]!.split(' ');
  return { same: digest === sent, seconds: Number(seconds) };
}

const pairs: readonly (readonly [EngineKind, EngineKind])[] = [
  ['native', 'native'],
  ['portable', 'portable'],
  ['native', 'portable'],
];

for (const kinds of pairs) {
  for (const family of [4, 6] as const) {
    test(`hosts reach each other through ${kinds.join(' and ')} engines over IPv${family}`, async (t) => {
      const { a, b, stop } = await tunnel(t, kinds, family);
      const bytes = Math.min(...kinds.map((kind) => TRANSFER_BYTES[kind]));
      for (const address of ['10.32.0.2', '2001:db8:32::2']) {
        await must([
          'ip',
          'netns',
          'exec',
          a,
          'ping',
          '-c',
          '3',
          '-i',
          '0.1',
          '-s',
          String(TAP_MTU - 48),
          address,
        ]);
      }
      for (const [from, to, address] of [
        [a, b, '10.32.0.2'],
        [b, a, '2001:db8:32::1'],
      ] as const) {
        const { same, seconds } = await transfer(from, to, address, bytes);
        t.true(same);
        t.log(`${((bytes * 8) / seconds / 1e9).toFixed(2)} Gbit/s by TCP to ${address}`);
      }
      const seen = await stop();
      for (const [i, kind] of kinds.entries()) {
        const { superFrames, repeated, messages } = seen[i]!;
        t.is(repeated > messages, kind === 'native');
        t.true(superFrames > 0);
      }
      t.log(JSON.stringify(seen));
      for (const { events, dropped } of seen) {
        t.deepEqual(events, []);
        const wrong = Object.keys(dropped).filter((reason) => !reason.endsWith('-queue-full'));
        t.deepEqual(wrong, []);
      }
    });
  }
}

test('a thread that is terminated with an open engine leaves the process alone', async (t) => {
  const name = `we${process.pid}w`;
  t.teardown(() => run(['ip', 'netns', 'del', name]));
  await must(['ip', 'netns', 'add', name]);
  const choose = new URL('../../router/engine/choose.js', import.meta.url).href;
  const program = `
    const { Worker } = require('worker_threads');
    const source = \`const { parentPort } = require('worker_threads');
      import(${JSON.stringify(choose)}).then(async ({ openEngine }) => {
        await openEngine('native', { tap: 'tap0', address: undefined, port: 6783, onReady() {} });
        parentPort.postMessage('open'); setInterval(() => {}, 1000); });\`;
    const round = () => new Promise((resolve, reject) => { const worker = new Worker(source, { eval: true });
      worker.once('error', reject).once('message', () => resolve(worker.terminate())); });
    round().then(round).then(() => console.log('alive'), (error) => console.log(error));`;
  const { stdout, code, stderr } = await run(['ip', 'netns', 'exec', name, process.execPath, '-e', program]);
  t.is(stderr, '');
  t.is(stdout, 'alive\n');
  t.is(code, 0);
});

for (const kind of ['native', 'portable'] as const) {
  test(`a ${kind} engine says that its TAP was removed`, async (t) => {
    const { a, stop } = await tunnel(t, [kind, 'native'], 4);
    await must(['ip', '-n', a, 'link', 'del', 'tap0']);
    await sleep(300);
    const [seen] = await stop();
    t.deepEqual(seen!.events, ['{"type":"failed","error":"the TAP is gone"}']);
  });
}

test('frames of another worker are refused while the native engine holds some of its own, and taken after those', async (t) => {
  const name = `we${process.pid}x${tunnels++}`;
  t.teardown(() => run(['ip', 'netns', 'del', name]));
  await must(['ip', 'netns', 'add', name]);
  const program = start(['ip', 'netns', 'exec', name, process.execPath, HELD_BATCH]);
  t.teardown(() => end(program));
  let output = '';
  program.stdout?.on('data', (chunk) => (output += String(chunk)));
  await until('engine open', 10_000, () => Promise.resolve(output.includes('open\n')));
  // The kernel says something on every device that comes up.
  await must(['ip', '-n', name, 'link', 'set', 'tap0', 'up']);
  await must(['ip', '-n', name, 'addr', 'add', '2001:db8:32::1/64', 'dev', 'tap0']);
  await until('frames held', 20_000, () => Promise.resolve(output.trimEnd().split('\n').length === 2));
  const seen = JSON.parse(output.split('\n')[1]!) as HeldBatchSeen;
  t.regex(seen.refusal, /read them before others are adopted/);
  t.true(seen.held > 0);
  t.is(seen.adopted, 1);
  t.is(seen.length, 1_111);
});
