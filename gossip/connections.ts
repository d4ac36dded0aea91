import { earlier, type Millis } from '../core/time.ts';
import {
  Connection,
  type ConnectionEvent,
  type ConnectionFailure,
  type ConnectionOptions,
} from './connection.ts';
import type { CryptoResult } from './secure-channel.ts';
import { TaskQueue, type StartedTask } from './task-queue.ts';

/** What connections report beyond what concerns their streams. */
export type Incident = Exclude<ConnectionEvent, { type: 'write' | 'task' }>;

export type ConnectionsOutput =
  | ({ readonly type: 'task' } & StartedTask)
  | { readonly type: 'write'; readonly conn: number; readonly bytes: Uint8Array }
  | { readonly type: 'close'; readonly conn: number; readonly reset?: true }
  | { readonly type: 'incident'; readonly connection: Connection; readonly incident: Incident };

export interface GuessGate {
  /** Why the other end of a connection must not have the answer to so many guesses; undefined if it may. */
  readonly refuses: (connection: Connection, guesses: number, now: Millis) => ConnectionFailure | undefined;
  /** Whether its work waits for that of all others. */
  readonly isStranger: (connection: Connection) => boolean;
}

/** All control connections of a node by number; gives tasks numbers that are unique in the node. */
export class Connections {
  readonly #gate: GuessGate;
  readonly #connections = new Map<number, Connection>();
  readonly #tasks = new TaskQueue();
  #outputs: ConnectionsOutput[] = [];
  /** No later than the first deadline; traffic mostly moves deadlines on, which is noticed only then. */
  #wakeAt: Millis | undefined;

  constructor(gate: GuessGate) {
    this.#gate = gate;
  }

  open(options: ConnectionOptions, now: Millis): void {
    const connection = new Connection(options, now);
    this.#connections.set(options.conn, connection);
    this.#collect(connection, now);
  }

  get(conn: number): Connection | undefined {
    return this.#connections.get(conn);
  }

  /** In order of number. */
  all(): Connection[] {
    return [...this.#connections.values()].sort((a, b) => a.conn - b.conn);
  }

  onBytes(conn: number, bytes: Uint8Array, now: Millis): void {
    const connection = this.#connections.get(conn);
    if (connection === undefined) return;
    connection.onBytes(bytes, now);
    this.#collect(connection, now);
  }

  /** The result of a task; those of connections that ended meanwhile are ignored. */
  onTaskDone(task: number, result: CryptoResult, now: Millis): void {
    const origin = this.#tasks.finish(task);
    const connection = origin && this.#connections.get(origin.conn);
    if (origin === undefined || connection === undefined) return;
    connection.onTaskDone(origin.task, result, now);
    this.#collect(connection, now);
  }

  send(connection: Connection, message: Uint8Array, now: Millis): void {
    connection.send(message, now);
    this.#collect(connection, now);
  }

  /** Ends a connection after what was sent on it, or at once. Its incidents are dropped. */
  close(connection: Connection, reset = false): void {
    if (!this.forget(connection)) return;
    const { conn } = connection;
    this.#outputs.push(reset ? { type: 'close', conn, reset } : { type: 'close', conn });
  }

  /** The stream is gone already. False if it was not known. */
  forget(connection: Connection): boolean {
    if (!this.#connections.delete(connection.conn)) return false;
    connection.close();
    this.#tasks.cancel(connection.conn);
    return true;
  }

  nextTimeout(): Millis | undefined {
    return this.#wakeAt;
  }

  onTimeout(now: Millis): void {
    if (this.#wakeAt === undefined || now < this.#wakeAt) return;
    this.#wakeAt = undefined;
    for (const connection of this.all()) {
      const due = connection.nextTimeout();
      if (due !== undefined && due <= now) connection.onTimeout(now);
      this.#collect(connection, now);
    }
  }

  drain(): ConnectionsOutput[] {
    const started = this.#tasks.start();
    if (started !== undefined) this.#outputs.push({ type: 'task', ...started });
    const outputs = this.#outputs;
    if (outputs.length > 0) this.#outputs = [];
    return outputs;
  }

  #collect(connection: Connection, now: Millis): void {
    this.#wakeAt = earlier(this.#wakeAt, connection.nextTimeout());
    for (const event of connection.drain()) {
      switch (event.type) {
        case 'write':
          this.#outputs.push({ type: 'write', conn: connection.conn, bytes: event.bytes });
          break;
        case 'task':
          this.#addTask(connection, event, now);
          break;
        case 'opened':
        case 'hello':
        case 'message':
        case 'failed':
          this.#outputs.push({ type: 'incident', connection, incident: event });
          break;
      }
    }
  }

  #addTask(connection: Connection, event: Extract<ConnectionEvent, { type: 'task' }>, now: Millis): void {
    const { task, job, guesses } = event;
    const failure = guesses === 0 ? undefined : this.#gate.refuses(connection, guesses, now);
    if (failure === undefined) this.#tasks.add(connection.conn, task, job, this.#gate.isStranger(connection));
    else this.#outputs.push({ type: 'incident', connection, incident: { type: 'failed', failure } });
  }
}
