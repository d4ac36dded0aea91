import test from 'ava';
import { formatEndpoint, parseEndpoint, type Endpoint } from '../../../core/address.ts';
import { MemoryEngine, type MemoryEngineOptions } from '../../../router/engine/memory.ts';
import { SOURCE_SCRATCH, SOURCE_TAP, SendPlan } from '../../../router/engine/port.ts';
import { COUNTER_LIMIT } from '../../../router/wire/datagram.ts';
import { chacha } from './chacha.ts';
import { engineContract, type ContractEnd, type ContractNet, type ContractSocket } from './contract.ts';
import { repeatContract } from './repeat-contract.ts';
import { exhaustionContract, wireContract } from './wire-contract.ts';

type Receiver = (from: Endpoint, datagram: Uint8Array) => void;

/** Carries datagrams between addresses, at once but never before `transmit` has returned. */
class TestNetwork {
  readonly #receivers = new Map<string, Receiver>();

  attach(endpoint: Endpoint, receiver: Receiver): void {
    this.#receivers.set(formatEndpoint(endpoint), receiver);
  }

  /** Nothing fails here: there is no errno to return. */
  carry(from: Endpoint, to: Endpoint, datagram: Uint8Array): undefined {
    queueMicrotask(() => this.#receivers.get(formatEndpoint(to))?.(from, datagram));
    return undefined;
  }
}

function endpoint(text: string): Endpoint {
  return parseEndpoint(text, 6783)!;
}

async function openEnd(network: TestNetwork, address: string, counterLimit: number): Promise<ContractEnd> {
  const own = endpoint(address);
  let ready = 0;
  const received: Uint8Array[] = [];
  const engine = new MemoryEngine({
    cipher: chacha,
    counterLimit,
    clock: () => performance.now(),
    transmit: (to, datagram) => network.carry(own, to, datagram),
    onHostReceives: (frame) => received.push(frame),
  });
  await engine.open({ tap: 'tap', address: undefined, port: 6783, onReady: () => ready++ });
  network.attach(own, (from, datagram) => engine.deliver(from, datagram));
  const host = {
    sends: (frame: Uint8Array) => engine.hostSends(frame),
    takeReceived: () => received.splice(0),
  };
  return { engine, endpoint: own, readyCalls: () => ready, host };
}

function openSocket(network: TestNetwork, address: string): ContractSocket {
  const own = endpoint(address);
  const received: Uint8Array[] = [];
  network.attach(own, (_from, datagram) => received.push(datagram));
  return {
    endpoint: own,
    send: (to, datagram) => network.carry(own, to, datagram),
    takeReceived: () => received.splice(0),
  };
}

async function memoryNet(counterLimit = COUNTER_LIMIT): Promise<ContractNet> {
  const network = new TestNetwork();
  const a = await openEnd(network, '192.0.2.1', counterLimit);
  const b = await openEnd(network, '[2001:db8::2]', counterLimit);
  const outsider = openSocket(network, '192.0.2.3');
  const stranger = openSocket(network, '192.0.2.4');
  const close = async (): Promise<void> => {
    await a.engine.close();
    await b.engine.close();
  };
  return { a, b, outsider, stranger, close };
}

engineContract('memory', () => memoryNet(), { tap: true });
wireContract('memory', () => memoryNet());
repeatContract('memory', () => memoryNet());
exhaustionContract('memory', () => memoryNet(2));

const there = endpoint('192.0.2.9');

async function lone(options: Partial<MemoryEngineOptions> = {}): Promise<MemoryEngine> {
  const engine = new MemoryEngine({
    cipher: chacha,
    transmit: () => undefined,
    onHostReceives: () => undefined,
    ...options,
  });
  await engine.open({ tap: 'tap', address: undefined, port: 6783, onReady: () => undefined });
  engine.configure([
    { type: 'session', session: 0, cookies: undefined },
    { type: 'key', session: 0, phase: 0, send: new Uint8Array(32), receive: new Uint8Array(32) },
    { type: 'send-phase', session: 0, phase: 0 },
    { type: 'path', path: 0, to: there, sendIndex: 1 },
  ]);
  return engine;
}

function scratchPlan(length: number): SendPlan {
  const plan = new SendPlan(1, length);
  plan.source[0] = SOURCE_SCRATCH;
  plan.length[0] = length;
  plan.count = 1;
  return plan;
}

test('an overflowing receive queue drops the oldest and counts it', async (t) => {
  const engine = await lone();
  for (let i = 0; i < 1_030; i++) engine.deliver(there, new Uint8Array(1));
  for (let n = 0; n < 20; n++) engine.receive();
  t.deepEqual(engine.drainEvents(), [
    { type: 'dropped', reason: 'receive-queue-full', count: 6 },
    { type: 'dropped', reason: 'datagram-too-short', count: 1_024 },
  ]);
});

test('an overflowing TAP queue drops the oldest, and batches are bounded', async (t) => {
  const engine = await lone();
  for (let i = 0; i < 1_025; i++) engine.hostSends(new Uint8Array(60).fill(i % 256));
  const counts: number[] = [];
  let first: number | undefined;
  for (let batch = engine.readFrames(); batch.count > 0; batch = engine.readFrames()) {
    first ??= batch.data[batch.offset[0]!];
    counts.push(batch.count);
  }
  t.deepEqual(counts, Array<number>(16).fill(64));
  t.is(first, 1);
  t.deepEqual(engine.drainEvents(), [{ type: 'dropped', reason: 'tap-queue-full', count: 1 }]);
});

test('a network that refuses a datagram for its size is reported as too big', async (t) => {
  const engine = await lone({ transmit: () => 'EMSGSIZE' });
  engine.send(scratchPlan(2_000));
  engine.send(scratchPlan(1_500));
  t.deepEqual(engine.drainEvents(), [{ type: 'too-big', path: 0, size: 1_532 }]);
});

test('other errors of the network are reported by name, with how many datagrams they cost', async (t) => {
  const engine = await lone({ transmit: () => 'ENETUNREACH' });
  for (const kind of [1, 2, 3, 4]) {
    const plan = scratchPlan(20);
    plan.scratch[0] = kind;
    engine.send(plan);
  }
  t.deepEqual(engine.drainEvents(), [
    { type: 'send-failed', path: 0, errno: 'ENETUNREACH', frames: 3, messages: 1 },
  ]);
});

test('entries outside of their buffer or longer than a datagram are dropped', async (t) => {
  const engine = await lone();
  const outside = scratchPlan(64);
  outside.offset[0] = 1;
  engine.send(outside);
  engine.send(scratchPlan(65_507 - 31));
  t.deepEqual(engine.drainEvents(), [
    { type: 'dropped', reason: 'frame-malformed', count: 1 },
    { type: 'dropped', reason: 'frame-too-long', count: 1 },
  ]);
});

test('a session number used again has none of the indexes of the one before', async (t) => {
  const engine = await lone();
  engine.configure([
    { type: 'receive-index', index: 7, session: 0, tag: 0, roams: true },
    { type: 'session-removed', session: 0 },
    { type: 'session', session: 0, cookies: undefined },
  ]);
  const datagram = new Uint8Array(40);
  datagram[0] = 1;
  datagram[4] = 7;
  engine.deliver(there, datagram);
  t.is(engine.receive().count, 0);
  t.deepEqual(engine.drainEvents(), [{ type: 'dropped', reason: 'index-unknown', count: 1 }]);
});

test('a session that is there already and one that is not are bugs', async (t) => {
  const engine = await lone();
  t.throws(() => engine.configure([{ type: 'session', session: 0, cookies: undefined }]));
  t.throws(() => engine.configure([{ type: 'send-phase', session: 1, phase: 0 }]));
});

test('a closed engine takes nothing', async (t) => {
  const engine = await lone();
  await engine.close();
  engine.deliver(there, new Uint8Array(40));
  engine.hostSends(new Uint8Array(60));
  t.is(engine.receive().count + engine.readFrames().count, 0);
});

test('a decision is repeated for less than 100 ms, and without a clock not at all', async (t) => {
  const asked = async (clock: (() => number) | undefined): Promise<boolean[]> => {
    const engine = await lone(clock === undefined ? {} : { clock });
    return [0, 99, 100].map((at) => {
      now = at;
      engine.hostSends(new Uint8Array(60));
      const { count, length } = engine.readFrames();
      if (at > 0) return count > 0;
      const plan = new SendPlan(1, 0);
      plan.source[0] = SOURCE_TAP;
      plan.length[0] = length[0]!;
      plan.prefixLength[0] = 2;
      plan.repeat[0] = 60;
      plan.count = 1;
      engine.send(plan);
      return true;
    });
  };
  let now = 0;
  t.deepEqual(await asked(() => now), [true, false, true]);
  t.deepEqual(await asked(undefined), [true, true, true]);
});

test('decisions are bounded in number: the oldest gives way', async (t) => {
  const engine = await lone({ clock: () => 0 });
  const asks = (from: number): boolean => {
    const frame = new Uint8Array(60);
    frame.set([from >> 8, from & 255], 10);
    engine.hostSends(frame);
    if (engine.readFrames().count === 0) return false;
    const plan = new SendPlan(1, 0);
    plan.source[0] = SOURCE_TAP;
    plan.length[0] = 60;
    plan.prefixLength[0] = 2;
    plan.repeat[0] = 60;
    plan.count = 1;
    engine.send(plan);
    return true;
  };
  for (let from = 0; from < 513; from++) t.true(asks(from));
  t.false(asks(512));
  t.false(asks(1));
  t.true(asks(0));
});
