import { createSocket } from 'node:dgram';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { randomBytes } from 'node:crypto';
import { parseIp } from '../../core/address.ts';
import { runCpaceJob } from '../../router/crypto/cpace.ts';
import { encodePreamble } from '../../router/crypto/preamble.ts';
import { loadSodium } from '../../router/crypto/sodium.ts';
import { openEngine } from '../../router/engine/choose.ts';
import { SOURCE_SCRATCH, SendPlan } from '../../router/engine/port.ts';

/** Floods a daemon like a stranger who knows the protocol. Run in a namespace; prints what it did as one line of JSON. */
export type FloodSettings =
  | {
      readonly type: 'connections';
      readonly to: string;
      /** Addresses of this host to come from, in turn. */
      readonly from: readonly string[];
      /** At least so many; it goes on until standard input ends. */
      readonly atLeast: number;
      readonly perSecond: number;
    }
  | {
      readonly type: 'datagrams';
      readonly to: string;
      /** With indexes that nobody has, by the native engine. */
      readonly unknown: number;
      /** Hexadecimal, each sent so many times as it is. */
      readonly raw: readonly string[];
      readonly copies: number;
      readonly perSecond: number;
    };

export interface ConnectionFlood {
  readonly attempts: number;
  /** Connections on which the daemon answered an element. */
  readonly answered: number;
}

export interface DatagramFlood {
  readonly sent: number;
}

const PORT = 6783;
const TICK_MS = 10;
/** Connections that are held open at once; older ones are given up. */
const HELD = 2_000;
const BYTES_OF_PREAMBLE = 44;
const PREAMBLE = encodePreamble({ versions: { min: 1, max: 1 }, password: true, nonce: randomBytes(32) });

/** What one connection does once it is open. */
type Habit = (socket: Socket) => void;

function habits(element: Uint8Array): readonly Habit[] {
  return [
    () => undefined,
    (socket) => socket.destroy(),
    (socket) => socket.write(randomBytes(600)),
    (socket) => socket.write(PREAMBLE),
    (socket) => {
      socket.write(PREAMBLE);
      socket.write(element);
    },
  ];
}

async function floodConnections(
  settings: Extract<FloodSettings, { type: 'connections' }>,
): Promise<ConnectionFlood> {
  const { to, from, atLeast, perSecond } = settings;
  const none = new Uint8Array(1);
  const started = runCpaceJob({
    type: 'cpace-start',
    password: none,
    channelId: none,
    sid: none,
    seed: new Uint8Array(randomBytes(64)),
  });
  if (started.type !== 'cpace-started') throw new Error('no element');
  const ways = habits(started.element);
  const held = new Set<Socket>();
  let told = false;
  let attempts = 0;
  let answered = 0;
  process.stdin.on('end', () => (told = true)).resume();
  while (attempts < atLeast || !told) {
    for (let i = 0; i < (perSecond * TICK_MS) / 1_000; i++) {
      const habit = ways[attempts % ways.length]!;
      const source = from[Math.floor(attempts / ways.length) % from.length]!;
      const socket = connect({ host: to, port: PORT, localAddress: source });
      attempts++;
      let heard = 0;
      held.add(socket);
      socket.on('connect', () => habit(socket)).on('error', () => undefined);
      socket.on('data', (bytes) => {
        if (heard <= BYTES_OF_PREAMBLE && heard + bytes.length > BYTES_OF_PREAMBLE) answered++;
        heard += bytes.length;
      });
      socket.on('close', () => held.delete(socket));
      if (held.size > HELD) held.values().next().value?.destroy();
    }
    await sleep(TICK_MS);
  }
  for (const socket of held) socket.destroy();
  return { attempts, answered };
}

async function floodDatagrams(
  settings: Extract<FloodSettings, { type: 'datagrams' }>,
): Promise<DatagramFlood> {
  const { to, unknown, raw, copies, perSecond } = settings;
  const sent = await sendUnknown(to, unknown, perSecond);
  const socket = createSocket('udp4');
  const datagrams = raw.map((text) => Buffer.from(text, 'hex'));
  const perTick = (perSecond * TICK_MS) / 1_000;
  let count = 0;
  for (let i = 0; i < copies; i++) {
    for (const datagram of datagrams) socket.send(datagram, PORT, to);
    count += datagrams.length;
    if (count % perTick < datagrams.length) await sleep(TICK_MS);
  }
  await sleep(500);
  socket.close();
  return { sent: sent + count };
}

/** In trains of the native engine: many datagrams with one system call. */
async function sendUnknown(to: string, count: number, perSecond: number): Promise<number> {
  const { engine } = await openEngine('native', {
    tap: undefined,
    address: undefined,
    port: 7_000,
    onReady: () => undefined,
  });
  engine.configure([
    { type: 'session', session: 1, cookies: { send: randomBytes(16), receive: randomBytes(16) } },
    { type: 'path', path: 1, to: { ip: parseIp(to)!, port: PORT }, sendIndex: 0x6b6e756a },
  ]);
  const perTick = Math.min(1_024, (perSecond * TICK_MS) / 1_000);
  const plan = new SendPlan(perTick, 64);
  for (let i = 0; i < perTick; i++) {
    plan.source[i] = SOURCE_SCRATCH;
    plan.length[i] = 32;
    plan.session[i] = 1;
    plan.path[i] = 1;
    plan.plain[i] = 1;
  }
  plan.count = perTick;
  let sent = 0;
  for (; sent < count; sent += perTick) {
    engine.send(plan);
    engine.drainEvents();
    await sleep(TICK_MS);
  }
  await engine.close();
  return sent;
}

await loadSodium();
const settings = JSON.parse(process.argv[2] ?? '{}') as FloodSettings;
const result =
  settings.type === 'connections' ? await floodConnections(settings) : await floodDatagrams(settings);
process.stdout.write(JSON.stringify(result) + '\n');
process.exit(0);
