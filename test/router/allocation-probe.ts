import { PerformanceObserver } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { MemoryFrames, MemoryMessages } from '../../router/engine/memory-batches.ts';
import type {
  Engine,
  EngineChange,
  EngineEvent,
  EngineOptions,
  FrameBatch,
  HandedFrame,
  MessageBatch,
  SendPlan,
  WritePlan,
} from '../../router/engine/port.ts';
import { monotonicNow } from '../../router/loop/deadline-timer.ts';
import { DATAGRAM_OVERHEAD } from '../../router/wire/datagram.ts';
import { KIND_FRAME } from '../../router/wire/inner.ts';
import { DataNet, frameOf } from './data-net.ts';

/**
 * Moves frames through the DataNode of one of two nodes that are linked, by batches that are always the same, and prints
 * the bytes that each frame left on the heap of JavaScript. Run with --expose-gc and with a young generation so large
 * that nothing is collected meanwhile; `collections` says whether that held.
 */
/** Frames in each batch. */
const BATCH = Number(process.argv[2]);
const WARM_UPS = 10;
/** Of either kind. */
const BATCHES = 64_000 / BATCH;
const FRAME_BYTES = 100;
/** Frames of so many senders, each way. */
const HOSTS = 16;

/** An engine in memory, until it is told to read the same batches again and again: the host's frames and the peer's. */
class FloodedEngine implements Engine {
  /** The number of the session that was made last. */
  session = 0;
  sent = 0;
  written = 0;
  readonly #engine: Engine;
  readonly #noFrames = new MemoryFrames(0);
  readonly #noMessages = new MemoryMessages(0);
  readonly #noEvents: EngineEvent[] = [];
  #frames: FrameBatch | undefined;
  #messages: MessageBatch | undefined;
  #framesLeft = 0;
  #messagesLeft = 0;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** So many batches of each are to come. */
  flood(frames: FrameBatch, messages: MessageBatch, batches: number): void {
    this.#frames = frames;
    this.#messages = messages;
    this.#framesLeft = batches;
    this.#messagesLeft = batches;
  }

  get flooded(): boolean {
    return this.#framesLeft > 0 || this.#messagesLeft > 0;
  }

  open(options: EngineOptions): Promise<void> {
    return this.#engine.open(options);
  }

  close(): Promise<void> {
    return this.#engine.close();
  }

  configure(changes: readonly EngineChange[]): void {
    for (const change of changes) if (change.type === 'session') this.session = change.session;
    this.#engine.configure(changes);
  }

  adoptFrames(frames: readonly HandedFrame[]): FrameBatch {
    return this.#engine.adoptFrames(frames);
  }

  readFrames(): FrameBatch {
    if (this.#frames === undefined) return this.#engine.readFrames();
    return this.#framesLeft-- > 0 ? this.#frames : this.#noFrames;
  }

  receive(): MessageBatch {
    if (this.#messages === undefined) return this.#engine.receive();
    return this.#messagesLeft-- > 0 ? this.#messages : this.#noMessages;
  }

  send(plan: SendPlan): void {
    if (this.#frames === undefined) this.#engine.send(plan);
    else this.sent += plan.count;
  }

  writeFrames(plan: WritePlan): void {
    if (this.#frames === undefined) this.#engine.writeFrames(plan);
    else this.written += plan.count;
  }

  drainEvents(): EngineEvent[] {
    return this.#frames === undefined ? this.#engine.drainEvents() : this.#noEvents;
  }
}

function framesOfHost(): FrameBatch {
  const batch = new MemoryFrames(BATCH);
  for (let i = 0; i < BATCH; i++) batch.add(frameOf(1 + (i % HOSTS), 100 + (i % HOSTS), i, FRAME_BYTES), 0);
  return batch;
}

/** What the peer sent in the session of number `session`. */
function messagesOfPeer(session: number, from: ReturnType<MessageBatch['source']>): MessageBatch {
  const batch = new MemoryMessages(BATCH);
  for (let i = 0; i < BATCH; i++) {
    const at = batch.reserve(2 + FRAME_BYTES);
    batch.data.set([KIND_FRAME, 0], at);
    batch.data.set(frameOf(100 + (i % HOSTS), 1 + (i % HOSTS), i, FRAME_BYTES), at + 2);
    batch.add(session, 0, 0, false, 2 + FRAME_BYTES + DATAGRAM_OVERHEAD, from);
  }
  return batch;
}

const net = new DataNet();
const engines: FloodedEngine[] = [];
net.wrapEngine = (engine) => {
  engines.push(new FloodedEngine(engine));
  return engines.at(-1)!;
};
const [a, b] = [await net.addNode(), await net.addNode()];
net.announceRoutes();
net.connect(a, b);
net.run(5_000);
for (let host = 0; host < HOSTS; host++) b.engine.hostSends(frameOf(100 + host, 1 + host, 0));
net.settle();
net.run(1_000);

const engine = engines[0]!;
const hostFrames = framesOfHost();
const peerMessages = messagesOfPeer(engine.session, b.address);

/** As the event loop does it: by the real clock. Returns the frames that were carried. */
function flood(batches: number): number {
  const before = engine.sent + engine.written;
  engine.flood(hostFrames, peerMessages, batches);
  while (engine.flooded) {
    a.node.onReady(net.now + monotonicNow());
    a.node.drain();
  }
  return engine.sent + engine.written - before;
}

let collections = 0;
new PerformanceObserver((list) => (collections += list.getEntries().length)).observe({ entryTypes: ['gc'] });
for (let i = 0; i < WARM_UPS; i++) flood(BATCHES);
gc?.();
// What is observed is told in a later turn.
await sleep(50);
collections = 0;
const before = process.memoryUsage().heapUsed;
const frames = flood(BATCHES);
const bytes = process.memoryUsage().heapUsed - before;
await sleep(50);
process.stdout.write(JSON.stringify({ frames, bytesPerFrame: bytes / frames, collections }) + '\n');
