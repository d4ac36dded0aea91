import type { LaneMail } from '../data-node.ts';
import { wipeLaneKeys, type FromLane, type ToLane } from '../lane-messages.ts';
import type { DataThreadSettings } from './data-thread-settings.ts';
import { EngineThread } from './engine-thread.ts';
import type { LaneThreadSettings } from './lane-thread-settings.ts';

export interface LaneThreadsOwner {
  onMessages(worker: number, messages: readonly FromLane[]): void;
  /** A thread ended or threw; its lanes are lost. */
  onFailure(error: Error): void;
}

type LaneThread = EngineThread<readonly ToLane[], undefined, FromLane>;

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
      await Promise.all(lanes.#threads.map((thread) => thread.stop()));
      throw error;
    }
    return lanes;
  }

  /** Keys in it are with the other threads then, and wiped here. */
  post(mail: readonly LaneMail[]): void {
    if (mail.length === 0) return;
    for (const [i, thread] of this.#threads.entries()) {
      const messages: ToLane[] = mail.filter(({ worker }) => worker === i + 1).map(({ message }) => message);
      if (messages.length > 0) thread.tell(messages);
    }
    for (const { message } of mail) wipeLaneKeys(message);
  }

  /** Lets the engines send what they were given, then ends the threads. */
  async close(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.close()));
  }
}

function start(settings: LaneThreadSettings, owner: LaneThreadsOwner): Promise<LaneThread> {
  return EngineThread.start('lane', settings, {
    onMessages: (messages) => owner.onMessages(settings.worker, messages),
    onFailure: (error) => owner.onFailure(error),
  });
}
