import { randomBytes } from 'node:crypto';
import { parseEndpoint } from '../../core/address.ts';
import { openEngine, type EngineKind } from '../../router/engine/choose.ts';
import {
  PREFIX_STRIDE,
  SOURCE_RECEIVED,
  SOURCE_TAP,
  SendPlan,
  WritePlan,
  type Engine,
  type FrameBatch,
  type MessageBatch,
} from '../../router/engine/port.ts';

/** One end of a tunnel of two: frames of the TAP go to the other end, and its frames to the TAP. Run in a namespace. */
export interface EnginePeerSettings {
  readonly engine: EngineKind;
  readonly tap: string;
  readonly port: number;
  readonly remote: string;
  /** 32 bytes in hexadecimal. */
  readonly send: string;
  readonly receive: string;
}

const SESSION = 1;
const PATH = 1;
const INDEX = 0x7ea5e;
const KIND_FRAME = 1;
const PLAN_ENTRIES = 2_048;
const LONGEST_FRAME = 65_557;

const settings = JSON.parse(process.argv[2] ?? '{}') as EnginePeerSettings;
const sends = new SendPlan(PLAN_ENTRIES, 16);
const writes = new WritePlan(PLAN_ENTRIES, 16);
const seen = {
  superFrames: 0,
  frames: 0,
  messages: 0,
  /** Datagrams that the engine moved as it was told before. */
  repeated: 0,
  dropped: {} as Record<string, number>,
  events: [] as string[],
};

function forward(engine: Engine, frames: FrameBatch): void {
  sends.count = frames.count;
  for (let i = 0; i < frames.count; i++) {
    if (frames.segment[i]! < frames.length[i]!) seen.superFrames++;
    sends.source[i] = SOURCE_TAP;
    sends.item[i] = i;
    sends.offset[i] = frames.offset[i]!;
    sends.length[i] = frames.length[i]!;
    sends.prefixes[i * PREFIX_STRIDE] = KIND_FRAME;
    sends.prefixes[i * PREFIX_STRIDE + 1] = frames.flags[i]!;
    sends.prefixLength[i] = 2;
    sends.session[i] = SESSION;
    sends.path[i] = PATH;
    /* Not before one has come whole: those that are repeated are not seen here. */
    sends.repeat[i] = seen.superFrames > 0 ? LONGEST_FRAME : 0;
  }
  seen.frames += frames.count;
  engine.send(sends);
}

function deliver(engine: Engine, messages: MessageBatch): void {
  writes.count = messages.count;
  for (let i = 0; i < messages.count; i++) {
    writes.source[i] = SOURCE_RECEIVED;
    writes.item[i] = i;
    writes.repeat[i] = 1;
    writes.offset[i] = messages.offset[i]!;
    writes.length[i] = messages.length[i]!;
    writes.flags[i] = messages.flags[i]!;
  }
  seen.messages += messages.count;
  engine.writeFrames(writes);
}

function move(engine: Engine): boolean {
  const frames = engine.readFrames();
  if (frames.count > 0) forward(engine, frames);
  const messages = engine.receive();
  if (messages.count > 0) deliver(engine, messages);
  return frames.count + messages.count > 0;
}

function pump(engine: Engine): void {
  for (let budget = 8; budget > 0 && move(engine); budget--);
  for (const event of engine.drainEvents()) {
    if (event.type === 'dropped')
      seen.dropped[event.reason] = (seen.dropped[event.reason] ?? 0) + event.count;
    else if (event.type === 'sent' || event.type === 'received') seen.repeated += event.datagrams;
    else
      seen.events.push(
        JSON.stringify(event, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value)),
      );
  }
}

const remote = parseEndpoint(settings.remote, settings.port)!;
const { tap, port } = settings;
let onReady = (): void => undefined;
const { engine } = await openEngine(settings.engine, {
  tap,
  address: undefined,
  port,
  onReady: () => onReady(),
});
engine.configure([
  { type: 'session', session: SESSION, cookies: { send: randomBytes(16), receive: randomBytes(16) } },
  {
    type: 'key',
    session: SESSION,
    phase: 0,
    send: Buffer.from(settings.send, 'hex'),
    receive: Buffer.from(settings.receive, 'hex'),
  },
  { type: 'send-phase', session: SESSION, phase: 0 },
  { type: 'receive-index', index: INDEX, session: SESSION, tag: 0, roams: true },
  { type: 'direct-address', session: SESSION, endpoint: remote },
  { type: 'path', path: PATH, to: remote, sendIndex: INDEX },
]);
onReady = () => pump(engine);
process.stdout.write('open\n');
process.on('SIGTERM', () => {
  process.stdout.write(JSON.stringify(seen) + '\n');
  void engine.close().then(() => process.exit(0));
});
