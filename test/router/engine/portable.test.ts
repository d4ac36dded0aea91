import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { parseIp } from '../../../core/address.ts';
import { openEngine } from '../../../router/engine/choose.ts';
import { bufferCipher } from '../../../router/engine/datagram-cipher.ts';
import { PortableEngine } from '../../../router/engine/portable.ts';
import { EngineError, SendPlan, SOURCE_TAP } from '../../../router/engine/port.ts';
import { loadAddon } from '../../../router/engine/addon.ts';
import { chacha } from './chacha.ts';
import {
  addEntry,
  engineContract,
  eventually,
  join,
  received,
  scenesOf,
  sendScratch,
  PATH,
  INDEX_B,
  KEY_AB,
  type ContractEnd,
} from './contract.ts';
import { FakeTap } from './fake-tap.ts';
import { freePort, udpNet } from './udp-net.ts';
import { exhaustionContract, wireContract } from './wire-contract.ts';

const make = (): PortableEngine => new PortableEngine(bufferCipher(chacha));

const makeWithTap = () => {
  const host = new FakeTap();
  return { engine: new PortableEngine(bufferCipher(chacha), undefined, () => host.addon), host, tap: 'tap0' };
};

engineContract('portable', () => udpNet(makeWithTap, makeWithTap), { tap: true });
wireContract('portable', () => udpNet(make, make));

const limited = (): PortableEngine => new PortableEngine(bufferCipher(chacha), 2);
exhaustionContract('portable', () => udpNet(limited, limited));

test('a port that is in use is named in the error', async (t) => {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  const options = { tap: undefined, address: parseIp('127.0.0.1'), port, onReady: () => undefined };
  await t.throwsAsync(make().open(options), {
    instanceOf: EngineError,
    message: `port ${port} is in use (UDP): stop what listens there, or choose another --port`,
  });
  socket.close();
});

test('an address that the host lacks is named in the error', async (t) => {
  const options = {
    tap: undefined,
    address: parseIp('192.0.2.1'),
    port: await freePort(),
    onReady: () => undefined,
  };
  await t.throwsAsync(make().open(options), {
    instanceOf: EngineError,
    message: 'this host does not have the address 192.0.2.1',
  });
});

test('the portable engine is opened by name', async (t) => {
  const options = {
    tap: undefined,
    address: parseIp('127.0.0.1'),
    port: await freePort(),
    onReady: () => undefined,
  };
  const { engine, kind } = await openEngine('portable', options);
  t.is(kind, 'portable');
  await engine.close();
});

const scene = scenesOf('portable', () => udpNet(makeWithTap, makeWithTap));
const PAYLOAD = 1_300;
const HEADERS = 14 + 20 + 20;

/** TCP over IPv4 with a partial checksum. */
function tcpFrame(payload: number): Uint8Array {
  const frame = new Uint8Array(HEADERS + payload);
  frame.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]);
  const bytes = frame.length - 14;
  frame.set([0x45, 0, bytes >> 8, bytes & 255, 0, 7, 0x40, 0, 64, 6, 0, 0, 10, 32, 0, 1, 10, 32, 0, 2], 14);
  frame.set([0x9c, 0x40, 0x13, 0x89, 0, 0, 3, 0xe8, 0, 0, 0, 1, 0x50, 0x18], 34);
  for (let i = 0; i < payload; i++) frame[HEADERS + i] = i % 251;
  return frame;
}

/** What the addon alone makes of a super-frame. */
function segmentsOf(frame: Uint8Array): Uint8Array[] {
  const out = new Uint8Array(1 << 17);
  const lengths = new Uint32Array(64);
  const count = loadAddon().cutFrame(frame, HEADERS + PAYLOAD, out, lengths);
  let at = 0;
  return [...lengths.subarray(0, count)].map((length) => out.slice(at, (at += length)));
}

/** Reads the one frame that the host has sent and plans it for the other end, whole or the last `length` bytes of it. */
async function forwardTo(t: ExecutionContext, end: ContractEnd, length?: number): Promise<void> {
  let frames = end.engine.readFrames();
  await eventually(t, 'a frame', () => frames.count > 0 || (frames = end.engine.readFrames()).count > 0);
  const whole = frames.length[0]!;
  const plan = new SendPlan(1, 0);
  const bytes = length ?? whole;
  addEntry(plan, SOURCE_TAP, frames.offset[0]! + whole - bytes, bytes, Uint8Array.of(1, frames.flags[0]!));
  end.engine.send(plan);
}

scene('a super-frame leaves as its segments, each with the prefix', async (t, { a, b, outsider }) => {
  join(a, b);
  a.engine.configure([{ type: 'path', path: PATH, to: outsider.endpoint, sendIndex: INDEX_B }]);
  const frame = tcpFrame(20 * PAYLOAD + 1);
  (a.host as FakeTap).sends(frame, HEADERS + PAYLOAD);
  await forwardTo(t, a);
  const datagrams = await received(t, outsider, 21);
  t.deepEqual(
    datagrams.map((datagram, i) => chacha.open(KEY_AB, i, datagram.subarray(16))),
    segmentsOf(frame).map((segment) => Uint8Array.of(1, 1, ...segment)),
  );
});

scene('part of a super-frame is sent as it is', async (t, { a, b, outsider }) => {
  join(a, b);
  a.engine.configure([{ type: 'path', path: PATH, to: outsider.endpoint, sendIndex: INDEX_B }]);
  const frame = tcpFrame(2 * PAYLOAD);
  (a.host as FakeTap).sends(frame, HEADERS + PAYLOAD);
  await forwardTo(t, a, 1_000);
  const [datagram] = await received(t, outsider, 1);
  const opened = chacha.open(KEY_AB, 0, datagram!.subarray(16));
  t.deepEqual(opened, Uint8Array.of(1, 1, ...frame.subarray(-1_000)));
});

scene('a super-frame that cannot be cut is dropped and counted', async (t, { a, b, seenA }) => {
  join(a, b);
  const frame = tcpFrame(3 * PAYLOAD);
  frame[23] = 17;
  (a.host as FakeTap).sends(frame, HEADERS + PAYLOAD);
  await forwardTo(t, a);
  await seenA.dropCount(t, 'frame-malformed');
});

scene('frames are read once per call of the event loop', async (t, { a }) => {
  for (let i = 0; i < 3; i++) (a.host as FakeTap).sends(tcpFrame(100));
  const before = a.readyCalls();
  await eventually(t, 'a call', () => a.readyCalls() > before);
  t.is(a.engine.readFrames().count, 1);
  t.is(a.engine.readFrames().count, 0);
});

scene('datagrams that nobody fetches displace the oldest and are counted', async (t, { a, b, seenB }) => {
  join(a, b);
  const many = 1_200;
  for (let i = 0; i < many; i++) {
    sendScratch(a.engine, Uint8Array.of(4, 0, i >> 8, i & 255));
    // The kernel's buffer does not hold all of them.
    if (i % 50 === 0) await sleep(5);
  }
  await eventually(t, 'drops', () => {
    for (const event of b.engine.drainEvents())
      if (event.type === 'dropped')
        seenB.drops.set(event.reason, event.count + (seenB.drops.get(event.reason) ?? 0));
    return seenB.drops.get('receive-queue-full') === many - 1_024;
  });
  await seenB.messageCount(t, 1_024);
  t.is(seenB.messages.at(-1)!.payload[1], (many - 1) & 255);
  t.is(seenB.messages[0]!.payload[1], (many - 1_024) & 255);
});

scene(
  'more datagrams in one turn than may be in flight are dropped and counted',
  async (t, { a, b, seenA, outsider }) => {
    join(a, b);
    a.engine.configure([{ type: 'path', path: PATH, to: outsider.endpoint, sendIndex: INDEX_B }]);
    for (let i = 0; i < 4_100; i++) sendScratch(a.engine, Uint8Array.of(4, 0, 1));
    await seenA.dropCount(t, 'socket-queue-full', 4);
    await turn();
    sendScratch(a.engine, Uint8Array.of(4, 0, 1));
    seenA.pump();
    t.is(seenA.drops.get('socket-queue-full'), 4);
  },
);
