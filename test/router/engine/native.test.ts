import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { parseIp } from '../../../core/address.ts';
import { loadAddon, type Addon } from '../../../router/engine/addon.ts';
import { openEngine } from '../../../router/engine/choose.ts';
import type { EngineArrays } from '../../../router/engine/native-layout.ts';
import { NativeEngine } from '../../../router/engine/native.ts';
import { bufferCipher } from '../../../router/engine/datagram-cipher.ts';
import { PortableEngine } from '../../../router/engine/portable.ts';
import { EngineError, SendPlan, SOURCE_SCRATCH, SOURCE_TAP } from '../../../router/engine/port.ts';
import { run } from '../../../scripts/run.ts';
import { chacha } from './chacha.ts';
import {
  INDEX_B,
  KEY_AB,
  PATH,
  addEntry,
  engineContract,
  eventually,
  join,
  received,
  scenesOf,
} from './contract.ts';
import { TCP_HEADERS, tcpFrame, tcpSegments } from './tcp-frames.ts';
import { freePort, udpNet } from './udp-net.ts';
import { exhaustionContract, wireContract } from './wire-contract.ts';

const native = (): NativeEngine => new NativeEngine();
const portable = (): PortableEngine => new PortableEngine(bufferCipher(chacha));

engineContract('native', () => udpNet(native, native), { tap: false });
engineContract('native to portable', () => udpNet(native, portable), { tap: false });
engineContract('portable to native', () => udpNet(portable, native), { tap: false });
wireContract('native', () => udpNet(native, native));

/** An addon that is built for tests alone. */
async function builtAddon(...options: readonly string[]): Promise<Addon> {
  const folder = mkdtempSync(joinPath(tmpdir(), 'weave-addon-'));
  try {
    const file = joinPath(folder, 'addon.node');
    const build = fileURLToPath(new URL('../../../../native/build.mjs', import.meta.url));
    const { code, stderr } = await run([process.execPath, build, ...options, file]);
    if (code !== 0) throw new Error(stderr);
    return createRequire(import.meta.url)(file) as Addon;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const limitedAddon = builtAddon('--counter-limit', '2');
const addonByEvp = builtAddon('--cipher-by-evp');

exhaustionContract('native', async () => {
  const addon = await limitedAddon;
  const limited = (): NativeEngine => new NativeEngine(addon);
  return udpNet(limited, limited);
});

wireContract('native where Node hides its cipher', async () => {
  const addon = await addonByEvp;
  const byEvp = (): NativeEngine => new NativeEngine(addon);
  return udpNet(byEvp, byEvp);
});

const scene = scenesOf('native', () => udpNet(native, native));

scene('a super-frame leaves in smaller segments where its plan says so', async (t, { a, b, outsider }) => {
  join(a, b);
  a.engine.configure([{ type: 'path', path: PATH, to: outsider.endpoint, sendIndex: INDEX_B }]);
  const frame = tcpFrame(26_001);
  const frames = a.engine.adoptFrames([{ bytes: frame, segment: TCP_HEADERS + 1_300, flags: 1 }]);
  frames.segment[0] = TCP_HEADERS + 1_100;
  const plan = new SendPlan(1, 0);
  addEntry(plan, SOURCE_TAP, frames.offset[0]!, frames.length[0]!, Uint8Array.of(1, 1));
  a.engine.send(plan);
  const datagrams = await received(t, outsider, 24);
  t.deepEqual(
    datagrams.map((datagram, i) => chacha.open(KEY_AB, i, datagram.subarray(16))),
    tcpSegments(frame, 1_100).map((segment) => Uint8Array.of(1, 1, ...segment)),
  );
});

/** No socket may send there that has not asked for it. */
const EVERYBODY = { ip: parseIp('255.255.255.255')!, port: 9 };

for (const [name, make] of [
  ['native', native],
  ['portable', portable],
] as const) {
  scenesOf(name, () => udpNet(make, make))(
    'of a train that the system refuses every datagram is counted, messages of links apart',
    async (t, { a, b }) => {
      join(a, b);
      a.engine.configure([{ type: 'path', path: PATH, to: EVERYBODY, sendIndex: INDEX_B }]);
      const plan = new SendPlan(7, 7 * 40);
      for (let i = 0; i < 7; i++) addEntry(plan, SOURCE_SCRATCH, i * 40, 40, Uint8Array.of(1 + (i % 4), 0));
      a.engine.send(plan);
      const sum = { frames: 0, messages: 0 };
      await eventually(t, 'all of it', () => {
        for (const event of a.engine.drainEvents()) {
          if (event.type !== 'send-failed' || event.errno !== 'EACCES' || event.path !== PATH) continue;
          sum.frames += event.frames;
          sum.messages += event.messages;
        }
        return sum.frames + sum.messages >= 7;
      });
      t.deepEqual(sum, { frames: 6, messages: 1 });
    },
  );
}

scene('relayed datagrams alone call for nobody, and are reported', async (t, net) => {
  const { b, outsider, stranger, seenB } = net;
  b.engine.configure([
    { type: 'path', path: 1, to: outsider.endpoint, sendIndex: 0 },
    { type: 'path', path: 2, to: stranger.endpoint, sendIndex: 0 },
    { type: 'label', index: 1, from: 1, to: 2, nextIndex: 2 },
  ]);
  for (let i = 0; i < 3; i++) {
    outsider.send(b.endpoint, Uint8Array.of(1, 0, 0, 0, 1, ...new Uint8Array(60)));
    await received(t, stranger, 1);
  }
  t.is(b.readyCalls(), 0);
  seenB.pump();
  t.like(seenB.events, [{ type: 'label-used', index: 1, datagrams: 3, bytes: 3 * 65 }]);
});

scene('events are asked for before there is no room for more of them', async (t, net) => {
  const { b, outsider, stranger, seenB } = net;
  const [together, labels] = [50, 1_000];
  b.engine.configure([
    { type: 'path', path: 1, to: outsider.endpoint, sendIndex: 0 },
    { type: 'path', path: 2, to: stranger.endpoint, sendIndex: 0 },
  ]);
  for (let at = 0; at < labels; at += together) {
    for (let index = at; index < at + together; index++) {
      b.engine.configure([{ type: 'label', index, from: 1, to: 2, nextIndex: 2 }]);
      outsider.send(b.endpoint, Uint8Array.of(1, 0, 0, 0, index & 255, index >> 8, ...new Uint8Array(60)));
    }
    await received(t, stranger, together);
  }
  t.true(b.readyCalls() > 0);
  seenB.pump();
  t.is(seenB.events.length, labels);
});

scene(
  'what is relayed and refused is counted as if it carried a frame',
  async (t, { b, outsider, seenB }) => {
    b.engine.configure([
      { type: 'path', path: 1, to: outsider.endpoint, sendIndex: 0 },
      { type: 'path', path: 2, to: EVERYBODY, sendIndex: 0 },
      { type: 'label', index: 1, from: 1, to: 2, nextIndex: 2 },
    ]);
    outsider.send(b.endpoint, Uint8Array.of(1, 0, 0, 0, 1, ...new Uint8Array(60)));
    const failures = () => seenB.events.filter(({ type }) => type === 'send-failed');
    await eventually(t, 'the event', () => {
      seenB.pump();
      return failures().length > 0;
    });
    t.like(failures(), [{ path: 2, frames: 1, messages: 0 }]);
  },
);

test('a port that is in use is named in the error', async (t) => {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  const options = { tap: undefined, address: undefined, port, onReady: () => undefined };
  await t.throwsAsync(native().open(options), {
    instanceOf: EngineError,
    message: `port ${port} is in use (UDP): stop what listens there, or choose another --port`,
  });
  socket.close();
});

const shared = (port: number, worker: number) => ({
  tap: undefined,
  address: undefined,
  port,
  share: { worker, workers: 2, onUnsteered: () => undefined },
  onReady: () => undefined,
});

test('a port that engines of another daemon share is in use, and free when they are closed', async (t) => {
  const port = await freePort();
  const [first, second, stranger] = [native(), native(), native()];
  await first.open(shared(port, 0));
  await second.open(shared(port, 1));
  await t.throwsAsync(stranger.open(shared(port, 0)), {
    instanceOf: EngineError,
    message: `port ${port} is in use (UDP): stop what listens there, or choose another --port`,
  });
  await first.close();
  await second.close();
  const next = native();
  await t.notThrowsAsync(next.open(shared(port, 0)));
  await next.close();
});

test('an address that the host lacks is named in the error', async (t) => {
  const options = {
    tap: undefined,
    address: parseIp('192.0.2.1'),
    port: await freePort(),
    onReady: () => undefined,
  };
  await t.throwsAsync(native().open(options), {
    instanceOf: EngineError,
    message: 'this host does not have the address 192.0.2.1',
  });
});

test('the addon refuses what is no set of arrays, and lives on', (t) => {
  const addon = loadAddon();
  const create = (arrays: unknown): unknown => addon.engineCreate(arrays as EngineArrays);
  for (const arrays of [undefined, null, {}, { frameData: new Uint8Array(1) }])
    t.throws(() => create(arrays));
});

test('the engine is native unless another is asked for', async (t) => {
  const options = { tap: undefined, address: undefined, port: await freePort(), onReady: () => undefined };
  const { engine, kind } = await openEngine('auto', options);
  t.is(kind, 'native');
  await engine.close();
});

test('a thread whose engine waits for packets hears its messages, and ends when it is told to', async (t) => {
  const choose = new URL('../../../router/engine/choose.js', import.meta.url).href;
  const port = await freePort();
  const thread = `
    const { parentPort } = require('worker_threads');
    parentPort.on('message', (message) => parentPort.postMessage('heard ' + message));
    import(${JSON.stringify(choose)}).then(async ({ openEngine }) => {
      const onReady = () => undefined;
      globalThis.kept = await openEngine('native', { tap: undefined, address: undefined, port: ${port}, onReady });
      parentPort.postMessage('open');
      setTimeout(() => parentPort.postMessage('heard nothing'), 5_000);
    });`;
  const program = `
    const { Worker } = require('worker_threads');
    const { once } = require('events');
    const socket = require('dgram').createSocket('udp4');
    const worker = new Worker(${JSON.stringify(thread)}, { eval: true });
    (async () => {
      console.log(...(await once(worker, 'message')));
      socket.send(Buffer.alloc(60), ${port}, '127.0.0.1');
      // What is dropped needs no JavaScript: after it the engine waits for the next one.
      await new Promise((resolve) => setTimeout(resolve, 100));
      worker.postMessage('this');
      console.log(...(await once(worker, 'message')));
      socket.close();
      await worker.terminate();
      console.log('ended');
    })();`;
  const ended = await run([process.execPath, '-e', program]);
  t.deepEqual(ended, { code: 0, stdout: 'open\nheard this\nended\n', stderr: '' });
});

test('a thread that is terminated while datagrams pour in leaves the process alone', async (t) => {
  const choose = new URL('../../../router/engine/choose.js', import.meta.url).href;
  const port = await freePort();
  const thread = `
    const { parentPort } = require('worker_threads');
    import(${JSON.stringify(choose)}).then(async ({ openEngine }) => {
      let engine;
      const onReady = () => {
        engine?.receive();
        engine?.drainEvents();
        for (const began = performance.now(); performance.now() - began < 1; );
      };
      ({ engine } = await openEngine('native', { tap: undefined, address: undefined, port: ${port}, onReady }));
      parentPort.postMessage('open');
    });`;
  const program = `
    const { Worker } = require('worker_threads');
    const socket = require('dgram').createSocket('udp4');
    const flood = setInterval(() => {
      for (let i = 0; i < 50; i++) socket.send(Buffer.alloc(60), ${port}, '127.0.0.1');
    }, 1);
    const round = () => new Promise((resolve, reject) => {
      const worker = new Worker(${JSON.stringify(thread)}, { eval: true });
      worker.once('error', reject);
      worker.once('message', () => setTimeout(() => resolve(worker.terminate()), 20));
    });
    (async () => {
      for (let i = 0; i < 8; i++) await round();
      clearInterval(flood);
      socket.close();
      console.log('alive');
    })();`;
  const ended = await run([process.execPath, '-e', program]);
  t.deepEqual(ended, { code: 0, stdout: 'alive\n', stderr: '' });
});
