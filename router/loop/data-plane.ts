import type { ToControl, ToData } from '../node-messages.ts';
import type { EngineKind } from '../engine/choose.ts';
import type { DataThreadSettings } from './data-thread-settings.ts';
import type { FromDataThread, ToDataThread } from './data-thread.ts';
import { Thread } from './thread.ts';

export interface DataPlaneEvents {
  onMessages(messages: readonly ToControl[]): void;
  /** The thread ended or threw. */
  onFailure(error: Error): void;
}

/** The main thread's handle of the data-plane thread. */
export class DataPlane {
  readonly engine: EngineKind;
  readonly #thread: Thread<ToDataThread, FromDataThread>;
  readonly #closed: Promise<void>;

  private constructor(
    engine: EngineKind,
    thread: Thread<ToDataThread, FromDataThread>,
    closed: Promise<void>,
  ) {
    this.engine = engine;
    this.#thread = thread;
    this.#closed = closed;
  }

  /** Resolves when socket and TAP are open; rejects with the engine's sentence if they cannot be. */
  static start(settings: DataThreadSettings, events: DataPlaneEvents): Promise<DataPlane> {
    return new Promise((resolve, reject) => {
      let onClosed: () => void = () => undefined;
      const closed = new Promise<void>((done) => (onClosed = done));
      const onMessage = (message: FromDataThread) => {
        switch (message.type) {
          case 'opened':
            resolve(new DataPlane(message.engine, thread, closed));
            break;
          case 'refused':
            void thread.stop().then(() => reject(new Error(message.error)));
            break;
          case 'node':
            events.onMessages(message.messages);
            break;
          case 'closed':
            onClosed();
            break;
        }
      };
      const onFailure = (error: Error) => {
        onClosed();
        reject(error);
        events.onFailure(error);
      };
      const thread = new Thread<ToDataThread, FromDataThread>('data', settings, onMessage, onFailure);
    });
  }

  send(message: ToData): void {
    this.#thread.post({ type: 'node', message });
  }

  /** Lets the engine send what it was given, then ends the thread. */
  async close(): Promise<void> {
    this.#thread.post({ type: 'close' });
    await this.#closed;
    await this.#thread.stop();
  }
}
