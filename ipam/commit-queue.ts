import type { StoreChange } from '../core/store.ts';
import type { Millis } from '../core/time.ts';
import { SECOND } from '../core/time.ts';

/** After a transaction failed, the next one is tried this much later: a full disk is not emptied at once. */
const RETRY: Millis = 1 * SECOND;

/** One transaction to make. `token` comes back when it is durable. */
interface Batch {
  readonly token: number;
  readonly changes: readonly StoreChange[];
}

/**
 * Group commit: what is written while a transaction is under way shares the next one, and what must not be seen
 * before it is durable waits with it. One transaction is under way at a time.
 */
export class CommitQueue<Output> {
  #writes = new Map<string, () => Uint8Array | undefined>();
  #waiting: Output[] = [];
  #underWay: (Batch & { readonly outputs: Output[] }) | undefined;
  #notBefore: Millis = -Infinity;
  #nextToken = 1;

  /** Writes `key` with the next transaction; `value` is asked for only then. Undefined deletes the key. */
  write(key: string, value: () => Uint8Array | undefined): void {
    this.#writes.delete(key);
    this.#writes.set(key, value);
  }

  /** Is something to be written at `key` that is not durable yet? */
  isQueued(key: string): boolean {
    return this.#writes.has(key) || (this.#underWay?.changes.some((change) => change.key === key) ?? false);
  }

  /** Holds `output` back until all that was written before it is durable. */
  defer(output: Output): void {
    if (this.#writes.size === 0 && this.#underWay !== undefined) this.#underWay.outputs.push(output);
    else this.#waiting.push(output);
  }

  /** What waited for a transaction that failed waits for the next one, ahead of all that was deferred since. */
  deferAgain(outputs: readonly Output[]): void {
    this.#waiting.unshift(...outputs);
  }

  /** Outputs that need not wait for anything. */
  ready(): Output[] {
    if (this.#writes.size > 0 || this.#underWay !== undefined) return [];
    return this.#waiting.splice(0);
  }

  /** The next transaction, if there is something to write and none is under way. */
  begin(now: Millis): Batch | undefined {
    if (this.#writes.size === 0 || this.#underWay !== undefined || now < this.#notBefore) return undefined;
    const changes = [...this.#writes].map(([key, value]) => ({ key, value: value() }));
    this.#writes = new Map();
    this.#underWay = { token: this.#nextToken++, changes, outputs: this.#waiting };
    this.#waiting = [];
    return { token: this.#underWay.token, changes };
  }

  /** The outputs that waited for transaction `token`, in order. Unknown tokens release nothing. */
  committed(token: number): Output[] {
    if (this.#underWay?.token !== token) return [];
    const { outputs } = this.#underWay;
    this.#underWay = undefined;
    return outputs;
  }

  /**
   * Transaction `token` was not made: what it would have written goes into the next one. Returns the outputs that
   * waited for it, in order.
   */
  failed(token: number, now: Millis): Output[] {
    if (this.#underWay?.token !== token) return [];
    const { changes, outputs } = this.#underWay;
    this.#underWay = undefined;
    this.#notBefore = now + RETRY;
    const later = this.#writes;
    this.#writes = new Map(changes.map(({ key, value }) => [key, () => value]));
    for (const [key, value] of later) this.write(key, value);
    return outputs;
  }

  /** Takes back what waits for the next transaction and `accept` says, in order. */
  withdraw(accept: (output: Output) => boolean): Output[] {
    const [kept, taken]: [Output[], Output[]] = [[], []];
    for (const output of this.#waiting) (accept(output) ? taken : kept).push(output);
    this.#waiting = kept;
    return taken;
  }

  /** Drops what waits for any transaction and `accept` says. */
  drop(accept: (output: Output) => boolean): void {
    this.#waiting = this.#waiting.filter((output) => !accept(output));
    if (this.#underWay === undefined) return;
    this.#underWay = {
      ...this.#underWay,
      outputs: this.#underWay.outputs.filter((output) => !accept(output)),
    };
  }

  /** When a transaction that failed is to be tried again. */
  nextTimeout(): Millis | undefined {
    return this.#writes.size > 0 && this.#underWay === undefined ? this.#notBefore : undefined;
  }
}
