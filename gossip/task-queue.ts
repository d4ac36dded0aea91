import type { CryptoJob } from './secure-channel.ts';

/** Handed out and not answered: enough that the crypto thread is never idle, few enough to waste little. */
const MAX_RUNNING = 4;

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

const nothing: readonly StartedTask[] = [];

/**
 * Jobs for the crypto thread. Most wait here, where those of connections that ended are dropped; a connection has one
 * at a time, so that the number of connections bounds the queue. Strangers' jobs wait for all others: a member waits
 * behind no more of them than run already.
 */
export class TaskQueue {
  /** By connection, in order of arrival: own dials and known addresses. */
  readonly #first = new Map<number, Task>();
  /** Likewise: strangers. */
  readonly #after = new Map<number, Task>();
  /** By the number that the job was handed out under; undefined once its connection has ended. */
  readonly #running = new Map<number, Task | undefined>();
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

  /** Whose task that was; undefined if the number is unknown or its connection has ended. */
  finish(number: number): Task | undefined {
    const task = this.#running.get(number);
    this.#running.delete(number);
    return task;
  }

  /** The connection ended. */
  cancel(conn: number): void {
    this.#first.delete(conn);
    this.#after.delete(conn);
    for (const [number, task] of this.#running) if (task?.conn === conn) this.#running.set(number, undefined);
  }

  /** What is to be begun now. */
  start(): readonly StartedTask[] {
    if (this.waiting === 0) return nothing;
    const started: StartedTask[] = [];
    for (const lane of [this.#first, this.#after]) {
      for (const [conn, task] of lane) {
        if (this.#running.size >= MAX_RUNNING) return started;
        lane.delete(conn);
        this.#running.set(++this.#lastNumber, task);
        started.push({ task: this.#lastNumber, job: task.job });
      }
    }
    return started;
  }
}
