import { AddressRefused } from './host-error.ts';

/**
 * What attaches passes through it. Closed, it refuses newcomers and gives up those who wait for an address: what is
 * taken off the mesh meanwhile stays off. It may be closed several times, and is open again once each has ended.
 */
export class Gate {
  readonly #inside = new Set<Promise<unknown>>();
  #closed = 0;
  #closing = new AbortController();

  /** `work` is to give up its waits when the signal that it gets aborts. Rejects with {@link AddressRefused} while closed. */
  async pass<Result>(
    signal: AbortSignal | undefined,
    work: (signal: AbortSignal) => Promise<Result>,
  ): Promise<Result> {
    if (this.#closed > 0) throw new AddressRefused(CLOSED);
    const closing = this.#closing.signal;
    const running = work(signal === undefined ? closing : AbortSignal.any([signal, closing]));
    this.#inside.add(running);
    try {
      return await running;
    } catch (error) {
      throw closing.aborted ? new AddressRefused(CLOSED, { cause: error }) : error;
    } finally {
      this.#inside.delete(running);
    }
  }

  /** Resolves when nobody is inside any more. */
  async close(): Promise<void> {
    this.#closed++;
    this.#closing.abort();
    await Promise.allSettled(this.#inside);
  }

  open(): void {
    if (--this.#closed === 0) this.#closing = new AbortController();
  }
}

const CLOSED = 'this host is giving up all its addresses (weave-ts reset): try again when that has ended';
