import { parentPort, workerData } from 'node:worker_threads';
import { randomBytes } from 'node:crypto';
import type { Cidr, IpAddress } from '../../core/address.ts';
import type { PeerName } from '../../core/peer-name.ts';
import { DataNode } from '../data-node.ts';
import type { Engine } from '../engine/port.ts';
import { openEngine, type EngineChoice, type EngineKind } from '../engine/choose.ts';
import type { ToControl, ToData } from '../node-messages.ts';
import { DeadlineTimer, monotonicNow } from './deadline-timer.ts';

/** What the data-plane thread is started with. */
export interface DataThreadSettings {
  readonly name: PeerName;
  readonly engine: EngineChoice;
  readonly tap: string;
  readonly address: IpAddress | undefined;
  readonly port: number;
  readonly bridgeMtu: number;
  readonly trustedSubnets: readonly Cidr[];
}

export type ToDataThread = { readonly type: 'node'; readonly message: ToData } | { readonly type: 'close' };

export type FromDataThread =
  | { readonly type: 'opened'; readonly engine: EngineKind }
  | { readonly type: 'refused'; readonly error: string }
  | { readonly type: 'node'; readonly messages: readonly ToControl[] }
  | { readonly type: 'closed' };

const settings = workerData as DataThreadSettings;
const port = parentPort!;
const random = { bytes: (length: number) => new Uint8Array(randomBytes(length)) };

function post(message: FromDataThread): void {
  port.postMessage(message);
}

/** The event loop of the data plane: three kinds of input, then whatever the node wants said, then its next deadline. */
function run(engine: Engine, node: DataNode): { onReady(): void } {
  const pump = () => {
    const messages = node.drain();
    if (messages.length > 0) post({ type: 'node', messages });
    timer.arm(node.nextTimeout());
  };
  const timer = new DeadlineTimer(() => {
    node.onTimeout(monotonicNow());
    pump();
  });
  // The engine's descriptors are level-triggered and call again at every turn: one turn of ours is enough.
  let turnIsDue = false;
  const onReady = () => {
    if (turnIsDue) return;
    if (node.onReady(monotonicNow())) {
      turnIsDue = true;
      setImmediate(() => {
        turnIsDue = false;
        onReady();
      });
    }
    pump();
  };
  port.on('message', (message: ToDataThread) => {
    if (message.type === 'node') {
      node.onControl(message.message, monotonicNow());
      pump();
      return;
    }
    timer.stop();
    void engine.close().then(() => post({ type: 'closed' }));
  });
  pump();
  return { onReady };
}

let loop: { onReady(): void } | undefined;
try {
  const { engine, kind } = await openEngine(settings.engine, {
    tap: settings.tap,
    address: settings.address,
    port: settings.port,
    onReady: () => loop?.onReady(),
  });
  const node = new DataNode(
    {
      name: settings.name,
      bridgeMtu: settings.bridgeMtu,
      trustedSubnets: settings.trustedSubnets,
    },
    engine,
    random,
    monotonicNow(),
  );
  loop = run(engine, node);
  post({ type: 'opened', engine: kind });
} catch (error) {
  post({ type: 'refused', error: error instanceof Error ? error.message : String(error) });
}
