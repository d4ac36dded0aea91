import { randomBytes } from 'node:crypto';
import { parseEndpoint } from '../core/address.ts';
import { parsePeerName } from '../core/peer-name.ts';
import { loadAddon } from '../router/engine/addon.ts';
import { NativeEngine } from '../router/engine/native.ts';
import {
  PREFIX_STRIDE,
  SOURCE_SCRATCH,
  SendPlan,
  type FrameBatch,
  type MessageBatch,
} from '../router/engine/port.ts';
import { Plans } from '../router/switch/plans.ts';
import { Switch } from '../router/switch/switch.ts';

/**
 * What a frame costs apart from the others: its plan in TypeScript, cutting and joining and sealing and opening in C, and
 * the kernel's share of sending and receiving, over loopback. CPU ns per super-frame of 48 segments and per small frame.
 */
const SEGMENTS = 48;
const SEGMENT_BYTES = 1_402;
const HEADER_BYTES = 14 + 20 + 20;
const SMALL_BYTES = 64 + 42;
const SECONDS = 1;

interface Cost {
  readonly user: number;
  readonly system: number;
}

/** CPU ns of one of the `each` things that a call of `step` does, which is called for a second after a warm-up. */
function cost(each: number, step: () => void): Cost {
  for (const end = performance.now() + 300; performance.now() < end;) step();
  const before = process.cpuUsage();
  let calls = 0;
  for (const end = performance.now() + 1_000 * SECONDS; performance.now() < end; calls++) step();
  const { user, system } = process.cpuUsage(before);
  return { user: (1_000 * user) / (calls * each), system: (1_000 * system) / (calls * each) };
}

function row(what: string, { user, system }: Cost): void {
  const figures = [user, system].map((ns) => ns.toFixed(0).padStart(9));
  process.stdout.write(`${what.padEnd(52)}${figures.join('')}\n`);
}

/** A TCP super-frame, complete but for its checksums. */
function superFrame(): Uint8Array {
  const frame = new Uint8Array(HEADER_BYTES + SEGMENTS * (SEGMENT_BYTES - HEADER_BYTES));
  const ip = new DataView(frame.buffer, 14);
  new DataView(frame.buffer).setUint16(12, 0x0800);
  ip.setUint16(0, 0x4500);
  ip.setUint16(2, frame.length - 14);
  ip.setUint8(9, 6);
  ip.setUint8(32, 0x50);
  ip.setUint8(33, 0x10);
  return frame;
}

const peer = parsePeerName('02:00:00:00:00:09')!;
const HERE = [2, 0, 0, 0, 0, 1];
const THERE = [2, 0, 0, 0, 0, 2];

/** `count` frames of `bytes` from the first MAC to the second. */
function frames(
  count: number,
  bytes: number,
  to: number[],
  from: number[],
): { data: Uint8Array; at: Uint32Array } {
  const data = new Uint8Array(count * bytes);
  const at = Uint32Array.from({ length: count }, (_, i) => i * bytes);
  for (const offset of at) data.set([...to, ...from], offset);
  return { data, at };
}

function frameBatch(count: number, bytes: number, segment: number): FrameBatch {
  const { data, at } = frames(count, bytes, THERE, HERE);
  const length = new Uint32Array(count).fill(bytes);
  return {
    count,
    data,
    offset: at,
    length,
    segment: new Uint32Array(count).fill(segment),
    flags: new Uint8Array(count),
  };
}

function messageBatch(count: number, bytes: number): MessageBatch {
  const { data, at } = frames(count, bytes, HERE, THERE);
  const words = () => new Uint32Array(count);
  const octets = () => new Uint8Array(count);
  return {
    ...{ count, data, offset: at, length: words().fill(bytes), kind: octets().fill(1), flags: octets() },
    ...{
      session: words(),
      tag: words(),
      phase: octets(),
      plain: octets(),
      wireLength: words().fill(bytes + 34),
    },
    source: () => remote,
  };
}

/** The switch alone, as it plans for an engine that does nothing. */
function measurePlans(): void {
  const route = { session: 0, path: 0, plain: false, innerMtu: 1_388 };
  const lan = new Switch({ route: () => route, hold: () => undefined, sender: () => peer });
  const plans = new Plans({ send: () => undefined, writeFrames: () => undefined });
  const now = performance.now();
  const plan = (batch: FrameBatch) => () => {
    lan.planFrames(batch, plans, now);
    plans.flush();
  };
  const take = (batch: MessageBatch) => () => {
    lan.planMessages(batch, plans, now);
    plans.flush();
  };
  take(messageBatch(1, SMALL_BYTES))();
  row(
    'TypeScript: plan to send a small frame, 64 at once',
    cost(64, plan(frameBatch(64, SMALL_BYTES, SMALL_BYTES))),
  );
  row(
    'TypeScript: plan to send a small frame, alone',
    cost(1, plan(frameBatch(1, SMALL_BYTES, SMALL_BYTES))),
  );
  row(
    'TypeScript: plan to send a super-frame',
    cost(1, plan(frameBatch(1, superFrame().length, SEGMENT_BYTES))),
  );
  row('TypeScript: plan to write a small frame, 64 at once', cost(64, take(messageBatch(64, SMALL_BYTES))));
  row(
    'TypeScript: plan to write the segments of a super-frame',
    cost(1, take(messageBatch(SEGMENTS, SEGMENT_BYTES))),
  );
}

function measureSegments(): void {
  const addon = loadAddon();
  const whole = superFrame();
  const pieces = new Uint8Array(SEGMENTS * SEGMENT_BYTES);
  const lengths = new Uint32Array(SEGMENTS);
  const joined = new Uint8Array(whole.length + 10);
  row(
    'C: cut a super-frame',
    cost(1, () => void addon.cutFrame(whole, SEGMENT_BYTES, pieces, lengths)),
  );
  const flags = new Uint8Array(SEGMENTS).fill(1);
  row(
    'C: join a super-frame, with a copy',
    cost(1, () => void addon.joinFrames(pieces, lengths, flags, joined)),
  );
}

const remote = parseEndpoint('127.0.0.1:16783', 0)!;

async function openEnd(
  port: number,
  to: number,
  send: Uint8Array,
  receive: Uint8Array,
): Promise<NativeEngine> {
  const engine = new NativeEngine();
  await engine.open({ tap: undefined, address: remote.ip, port, onReady: () => undefined });
  engine.configure([
    { type: 'session', session: 0, cookies: undefined },
    { type: 'key', session: 0, phase: 0, send: send.slice(), receive: receive.slice() },
    { type: 'send-phase', session: 0, phase: 0 },
    { type: 'receive-index', index: 7, session: 0, tag: 0, roams: false },
    { type: 'path', path: 0, to: { ...remote, port: to }, sendIndex: 7 },
  ]);
  return engine;
}

function sendPlan(count: number, bytes: number): SendPlan {
  const plan = new SendPlan(count, bytes);
  plan.count = count;
  plan.source.fill(SOURCE_SCRATCH);
  plan.length.fill(bytes);
  plan.prefixLength.fill(2);
  for (let i = 0; i < count; i++) plan.prefixes[i * PREFIX_STRIDE] = 1;
  return plan;
}

/** A train from one engine to another of this process: what the sender costs alone, then with the receiver. */
async function measureTrains(): Promise<void> {
  const keys = [new Uint8Array(randomBytes(32)), new Uint8Array(randomBytes(32))] as const;
  const a = await openEnd(16_782, 16_783, keys[0], keys[1]);
  const b = await openEnd(16_783, 16_782, keys[1], keys[0]);
  for (const [what, count, bytes] of [
    ['the segments of a super-frame', SEGMENTS, SEGMENT_BYTES],
    ['a small frame alone', 1, SMALL_BYTES],
  ] as const) {
    const plan = sendPlan(count, bytes);
    let arrived = 0;
    const sent = cost(1, () => {
      a.send(plan);
    });
    while (b.receive().count > 0);
    const both = cost(1, () => {
      a.send(plan);
      arrived += b.receive().count;
    });
    if (arrived === 0) throw new Error('nothing arrived on loopback');
    row(`C and kernel: seal and send ${what}`, sent);
    const { user, system } = both;
    row(`C and kernel: receive and open ${what}`, { user: user - sent.user, system: system - sent.system });
  }
  await a.close();
  await b.close();
}

process.stdout.write(`${'CPU ns'.padEnd(52)}     user   kernel\n`);
measurePlans();
measureSegments();
await measureTrains();
