import type { CryptoJob } from './secure-channel.ts';

/** A job as its connection numbers it. */
interface Task {
  readonly conn: number;
  readonly task: number;
  readonly job: CryptoJob;
}

export interface StartedTask {
  /** Unique in the node. */
  readonly task: number;
  readonly job: CryptoJob;
}

/**
 * Public-key work of all connections. One job is under way; the others wait here, where those of connections that ended
 * are dropped. A connection has one at a time, so that the number of connections bounds the queue. Strangers' jobs wait
 * for all others: a member waits behind no more of them than the one that has begun.
 */
export class TaskQueue {
  /** By connection, in order of arrival: own dials and known addresses. */
  readonly #first = new Map<number, Task>();
  /** Likewise: strangers. */
  readonly #after = new Map<number, Task>();
  /** By the number that it was handed out under; no task if its connection has ended. */
  #running: { readonly number: number; task: Task | undefined } | undefined;
  #lastNumber = 0;

  get waiting(): number {
    return this.#first.size + this.#after.size;
  }

  /** Takes the place of one that the connection has waiting. */
  add(conn: number, task: number, job: CryptoJob, isStranger: boolean): void {
    const [lane, other] = isStranger ? [this.#after, this.#first] : [this.#first, this.#after];
    other.delete(conn);
    lane.set(conn, { conn, task, job });
  }

  /** Whose task that was; undefined if it is not the one under way or its connection has ended. */
  finish(number: number): Task | undefined {
    if (this.#running?.number !== number) return undefined;
    const { task } = this.#running;
    this.#running = undefined;
    return task;
  }

  /** The connection ended. */
  cancel(conn: number): void {
    this.#first.delete(conn);
    this.#after.delete(conn);
    if (this.#running?.task?.conn === conn) this.#running.task = undefined;
  }

  /** What is to be begun now. */
  start(): StartedTask | undefined {
    if (this.#running !== undefined) return undefined;
    const lane = this.#first.size > 0 ? this.#first : this.#after;
    const [task] = lane.values();
    if (task === undefined) return undefined;
    lane.delete(task.conn);
    this.#running = { number: ++this.#lastNumber, task };
    return { task: this.#lastNumber, job: task.job };
  }
}
