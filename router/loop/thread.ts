import { Worker } from 'node:worker_threads';

/** A worker thread of this folder, typed by what it is told and what it tells. */
export class Thread<Told, Tells> {
  readonly #worker: Worker;

  /**
   * Starts `NAME-thread.js`. `onMessage` gets what it posts; `onFailure` is called at most once, if it throws or ends
   * before {@link Thread.stop}.
   */
  constructor(
    name: string,
    data: unknown,
    onMessage: (message: Tells) => void,
    onFailure: (error: Error) => void,
  ) {
    this.#worker = new Worker(new URL(`./${name}-thread.js`, import.meta.url), { workerData: data, name });
    this.#worker.on('message', onMessage);
    let failed = false;
    const fail = (error: Error) => {
      if (!failed) onFailure(error);
      failed = true;
    };
    this.#worker.once('error', fail);
    this.#worker.once('exit', () => fail(new Error(`the ${name} thread ended`)));
  }

  post(message: Told): void {
    this.#worker.postMessage(message);
  }

  async stop(): Promise<void> {
    this.#worker.removeAllListeners('exit').removeAllListeners('error');
    await this.#worker.terminate();
  }
}
