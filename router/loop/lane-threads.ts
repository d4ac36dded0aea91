import type { LaneMail } from '../data-node.ts';
import { wipeLaneKeys, type FromLane, type ToLane } from '../lane-messages.ts';
import type { DataThreadSettings } from './data-thread-settings.ts';
import type { FromLaneThread, LaneThreadSettings, ToLaneThread } from './lane-thread-messages.ts';
import { Thread } from './thread.ts';

export interface LaneThreadsOwner {
  onMessages(worker: number, messages: readonly FromLane[]): void;
  /** A thread ended or threw; its lanes are lost. */
  onFailure(error: Error): void;
}

interface LaneThread {
  readonly thread: Thread<ToLaneThread, FromLaneThread>;
  readonly closed: Promise<void>;
}

/** The data-plane thread's handle of the threads beside it. */
export class LaneThreads {
  readonly #threads: LaneThread[] = [];

  /** Starts workers 1 and up, one after another; rejects with the sentence of the first engine that does not open. */
  static async start(settings: DataThreadSettings, owner: LaneThreadsOwner): Promise<LaneThreads> {
    const lanes = new LaneThreads();
    try {
      for (let worker = 1; worker < settings.workers; worker++)
        lanes.#threads.push(await start({ ...settings, worker }, owner));
    } catch (error) {
      await Promise.all(lanes.#threads.map(({ thread }) => thread.stop()));
      throw error;
    }
    return lanes;
  }

  /** Keys in it are with the other threads then, and wiped here. */
  post(mail: readonly LaneMail[]): void {
    if (mail.length === 0) return;
    for (const [i, { thread }] of this.#threads.entries()) {
      const messages: ToLane[] = mail.filter(({ worker }) => worker === i + 1).map(({ message }) => message);
      if (messages.length > 0) thread.post({ type: 'node', messages });
    }
    for (const { message } of mail) wipeLaneKeys(message);
  }

  /** Lets the engines send what they were given, then ends the threads. */
  async close(): Promise<void> {
    for (const { thread } of this.#threads) thread.post({ type: 'close' });
    await Promise.all(
      this.#threads.map(async ({ thread, closed }) => {
        await closed;
        await thread.stop();
      }),
    );
  }
}

function start(settings: LaneThreadSettings, owner: LaneThreadsOwner): Promise<LaneThread> {
  return new Promise((resolve, reject) => {
    let onClosed: () => void = () => undefined;
    const closed = new Promise<void>((done) => (onClosed = done));
    const onMessage = (message: FromLaneThread) => {
      switch (message.type) {
        case 'opened':
          resolve({ thread, closed });
          break;
        case 'refused':
          void thread.stop().then(() => reject(new Error(message.error)));
          break;
        case 'node':
          owner.onMessages(settings.worker, message.messages);
          break;
        case 'closed':
          onClosed();
          break;
      }
    };
    const onFailure = (error: Error) => {
      onClosed();
      reject(error);
      owner.onFailure(error);
    };
    const thread = new Thread<ToLaneThread, FromLaneThread>('lane', settings, onMessage, onFailure);
  });
}
