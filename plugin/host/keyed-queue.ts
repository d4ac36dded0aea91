import { HostError } from './host-error.ts';

/** Runs work of the same key one after the other and work of different keys side by side. */
export class KeyedQueue {
  readonly #tails = new Map<string, Promise<unknown>>();

  run<Result>(key: string, work: () => Promise<Result>): Promise<Result> {
    const before = this.#tails.get(key) ?? Promise.resolve();
    const result = before.then(work, work);
    const tail = result.then(
      () => undefined,
      () => undefined,
    );
    this.#tails.set(key, tail);
    void tail.then(() => {
      if (this.#tails.get(key) === tail) this.#tails.delete(key);
    });
    return result;
  }
  /** As {@link run}, but gives up its turn when `signal` aborts before it has come; what has begun runs to its end. */
  runUnless<Result>(
    signal: AbortSignal | undefined,
    key: string,
    work: () => Promise<Result>,
  ): Promise<Result> {
    if (signal === undefined) return this.run(key, work);
    return new Promise((resolve, reject) => {
      const giveUp = (): void => reject(new HostError('it was given up before its turn came'));
      if (signal.aborted) return giveUp();
      signal.addEventListener('abort', giveUp, { once: true });
      const begin = async (): Promise<void> => {
        if (signal.aborted) return;
        signal.removeEventListener('abort', giveUp);
        await work().then(resolve, reject);
      };
      void this.run(key, begin);
    });
  }
}
