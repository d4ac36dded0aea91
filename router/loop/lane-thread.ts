import { parentPort, workerData } from 'node:worker_threads';
import { openEngine } from '../engine/choose.ts';
import { LaneNode } from '../lane-node.ts';
import type { FromLane, ToLane } from '../lane-messages.ts';
import type { DataThreadSettings } from './data-thread.ts';
import { monotonicNow } from './deadline-timer.ts';
import { PacketLoop } from './packet-loop.ts';

/** What a further worker of the data plane is started with. */
export interface LaneThreadSettings extends DataThreadSettings {
  /** From 1. */
  readonly worker: number;
}

export type ToLaneThread =
  { readonly type: 'node'; readonly messages: readonly ToLane[] } | { readonly type: 'close' };

export type FromLaneThread =
  | { readonly type: 'opened' }
  | { readonly type: 'refused'; readonly error: string }
  | { readonly type: 'node'; readonly messages: readonly FromLane[] }
  | { readonly type: 'closed' };

const settings = workerData as LaneThreadSettings;
const port = parentPort!;

function post(message: FromLaneThread): void {
  port.postMessage(message);
}

let loop: PacketLoop | undefined;
try {
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
    if (messages.length > 0) post({ type: 'node', messages });
  });
  port.on('message', (message: ToLaneThread) => {
    if (message.type === 'node') {
      for (const each of message.messages) node.onData(each, monotonicNow());
      packets.pump();
      return;
    }
    packets.stop();
    void engine.close().then(() => post({ type: 'closed' }));
  });
  loop = packets;
  packets.pump();
  post({ type: 'opened' });
} catch (error) {
  post({ type: 'refused', error: error instanceof Error ? error.message : String(error) });
}
