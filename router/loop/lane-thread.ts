import { parentPort, workerData } from 'node:worker_threads';
import { openEngine } from '../engine/choose.ts';
import { transferred, type FromLane, type ToLane } from '../lane-messages.ts';
import { LaneNode } from '../lane-node.ts';
import { monotonicNow } from './deadline-timer.ts';
import type { FromEngineThread, ToEngineThread } from './engine-thread.ts';
import type { LaneThreadSettings } from './lane-thread-settings.ts';
import { PacketLoop } from './packet-loop.ts';

const settings = workerData as LaneThreadSettings;
const port = parentPort!;

function post(message: FromEngineThread<undefined, FromLane>, transfer: readonly ArrayBuffer[] = []): void {
  port.postMessage(message, transfer);
}

let loop: PacketLoop | undefined;
/** Opens the engine, and says so. */
async function run(): Promise<void> {
  const { worker, workers, trustedSubnets } = settings;
  const { engine } = await openEngine(settings.engine, {
    tap: settings.tap,
    address: settings.address,
    port: settings.port,
    share: { worker, workers, onUnsteered: () => undefined },
    onReady: () => loop?.onReady(),
  });
  const node = new LaneNode({ trustedSubnets }, engine);
  const packets = new PacketLoop(node, () => {
    const messages = node.drain();
    if (messages.length > 0) post({ type: 'node', messages }, transferred(messages));
  });
  port.on('message', (message: ToEngineThread<readonly ToLane[]>) => {
    if (message.type === 'node') {
      for (const each of message.told) node.onData(each, monotonicNow());
      packets.pump();
      return;
    }
    packets.stop();
    void engine.close().then(() => post({ type: 'closed' }));
  });
  loop = packets;
  packets.pump();
  post({ type: 'opened', opened: undefined });
}

void run().catch((error: unknown) =>
  post({ type: 'refused', error: error instanceof Error ? error.message : String(error) }),
);
