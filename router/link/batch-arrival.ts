import type { Endpoint } from '../../core/address.ts';
import type { MessageBatch } from '../engine/port.ts';
import type { Arrival } from './link.ts';

/** One entry of a batch as an {@link Arrival}: a cursor that is moved, so that no object is made per datagram. */
export class BatchArrival implements Arrival {
  readonly #batch: MessageBatch;
  #at = 0;

  constructor(batch: MessageBatch) {
    this.#batch = batch;
  }

  moveTo(entry: number): void {
    this.#at = entry;
  }

  get session(): number {
    return this.#batch.session[this.#at]!;
  }

  get tag(): number {
    return this.#batch.tag[this.#at]!;
  }

  get phase(): number {
    return this.#batch.phase[this.#at]!;
  }

  get plain(): boolean {
    return this.#batch.plain[this.#at] === 1;
  }

  get wireLength(): number {
    return this.#batch.wireLength[this.#at]!;
  }

  source(): Endpoint {
    return this.#batch.source(this.#at);
  }
}
