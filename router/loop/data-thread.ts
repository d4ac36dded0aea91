import { parentPort, workerData } from 'node:worker_threads';
import { randomBytes } from 'node:crypto';
import { DataNode } from '../data-node.ts';
import type { Engine } from '../engine/port.ts';
import { openEngine, type EngineKind } from '../engine/choose.ts';
import type { ToControl, ToData } from '../node-messages.ts';
import type { FromLane } from '../lane-messages.ts';
import type { DataThreadSettings } from './data-thread-settings.ts';
import { monotonicNow } from './deadline-timer.ts';
import type { FromEngineThread, ToEngineThread } from './engine-thread.ts';
import { LaneThreads, type LaneThreadsOwner } from './lane-threads.ts';
import { PacketLoop } from './packet-loop.ts';

const settings = workerData as DataThreadSettings;
const port = parentPort!;
const random = { bytes: (length: number) => new Uint8Array(randomBytes(length)) };

function post(message: FromEngineThread<EngineKind, ToControl>): void {
  port.postMessage(message);
}

/** A turn's messages to the main thread and to the other workers. */
function say(node: DataNode, lanes: LaneThreads | undefined): void {
  const messages = node.drain();
  if (messages.length > 0) post({ type: 'node', messages });
  lanes?.post(node.drainLanes());
}

/** A worker's end is the data plane's: its lanes cannot be told from lanes that lose everything. */
function onLaneFailure(error: Error): void {
  throw error;
}

function unsteered(why: string): ToControl {
  return { type: 'log', level: 'warn', message: 'flows may change their worker', fields: { why } };
}

/** Opens the engine and those of the other workers, and says so. */
async function run(): Promise<void> {
  const warnings: ToControl[] = [];
  const { name, bridgeMtu, trustedSubnets, workers } = settings;
  const { engine, kind } = await openEngine(settings.engine, {
    tap: settings.tap,
    address: settings.address,
    port: settings.port,
    share: { worker: 0, workers, onUnsteered: (why) => void warnings.push(unsteered(why)) },
    onReady: () => loop?.onReady(),
  });
  const node = new DataNode({ name, bridgeMtu, trustedSubnets, workers }, engine, random, monotonicNow());
  let lanes: LaneThreads | undefined;
  const packets = new PacketLoop(node, () => say(node, lanes));
  const onMessages = (worker: number, messages: readonly FromLane[]) => {
    for (const message of messages) node.onLane(worker, message, monotonicNow());
    packets.pump();
  };
  // From here on: while the other engines open, this one's descriptors would call again and again for what nobody takes.
  loop = packets;
  if (workers > 1) lanes = await startLanes(engine, packets, onMessages);
  port.on('message', (message: ToEngineThread<ToData>) => {
    if (message.type === 'node') {
      node.onControl(message.told, monotonicNow());
      packets.pump();
      return;
    }
    packets.stop();
    void close(engine, lanes).then(() => post({ type: 'closed' }));
  });
  post({ type: 'opened', opened: kind });
  // Nobody listens before.
  if (warnings.length > 0) post({ type: 'node', messages: warnings });
  packets.pump();
}

async function startLanes(
  engine: Engine,
  packets: PacketLoop,
  onMessages: LaneThreadsOwner['onMessages'],
): Promise<LaneThreads> {
  try {
    return await LaneThreads.start(settings, { onMessages, onFailure: onLaneFailure });
  } catch (error) {
    packets.stop();
    await engine.close();
    throw error;
  }
}

async function close(engine: Engine, lanes: LaneThreads | undefined): Promise<void> {
  await lanes?.close();
  await engine.close();
}

let loop: PacketLoop | undefined;
void run().catch((error: unknown) =>
  post({ type: 'refused', error: error instanceof Error ? error.message : String(error) }),
);
