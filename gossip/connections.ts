import { earlier, type Millis } from '../core/time.ts';
import { Connection, type ConnectionEvent, type ConnectionOptions } from './connection.ts';
import type { CryptoResult } from './secure-channel.ts';

/** What connections report beyond what concerns their streams. */
export type Incident = Exclude<ConnectionEvent, { type: 'write' | 'task' }>;

export type ConnectionsOutput =
  | Extract<ConnectionEvent, { type: 'task' }>
  | { readonly type: 'write'; readonly conn: number; readonly bytes: Uint8Array }
  | { readonly type: 'close'; readonly conn: number }
  | { readonly type: 'incident'; readonly connection: Connection; readonly incident: Incident };

/** All control connections of a node by number; gives tasks numbers that are unique in the node. */
export class Connections {
  readonly #connections = new Map<number, Connection>();
  /** Task of the node to connection and its own task. */
  readonly #tasks = new Map<number, { readonly conn: number; readonly task: number }>();
  #outputs: ConnectionsOutput[] = [];
  #nextTask = 1;
  /** No later than the first deadline; traffic mostly moves deadlines on, which is noticed only then. */
  #wakeAt: Millis | undefined;

  open(options: ConnectionOptions, now: Millis): void {
    const connection = new Connection(options, now);
    this.#connections.set(options.conn, connection);
    this.#collect(connection);
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
    this.#collect(connection);
  }

  /** The result of a task; those of connections that ended meanwhile are ignored. */
  onTaskDone(task: number, result: CryptoResult, now: Millis): void {
    const origin = this.#tasks.get(task);
    this.#tasks.delete(task);
    const connection = origin && this.#connections.get(origin.conn);
    if (origin === undefined || connection === undefined) return;
    connection.onTaskDone(origin.task, result, now);
    this.#collect(connection);
  }

  send(connection: Connection, message: Uint8Array, now: Millis): void {
    connection.send(message, now);
    this.#collect(connection);
  }

  /** Ends a connection after what was sent on it. Its incidents are dropped. */
  close(connection: Connection): void {
    if (!this.forget(connection)) return;
    this.#outputs.push({ type: 'close', conn: connection.conn });
  }

  /** The stream is gone already. False if it was not known. */
  forget(connection: Connection): boolean {
    if (!this.#connections.delete(connection.conn)) return false;
    connection.close();
    for (const [task, { conn }] of this.#tasks) if (conn === connection.conn) this.#tasks.delete(task);
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
      this.#collect(connection);
    }
  }

  drain(): ConnectionsOutput[] {
    const outputs = this.#outputs;
    if (outputs.length > 0) this.#outputs = [];
    return outputs;
  }

  #collect(connection: Connection): void {
    this.#wakeAt = earlier(this.#wakeAt, connection.nextTimeout());
    for (const event of connection.drain()) {
      switch (event.type) {
        case 'write':
          this.#outputs.push({ type: 'write', conn: connection.conn, bytes: event.bytes });
          break;
        case 'task':
          this.#addTask(connection, event);
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

  #addTask(connection: Connection, { task, job }: Extract<ConnectionEvent, { type: 'task' }>): void {
    const number = this.#nextTask++;
    this.#tasks.set(number, { conn: connection.conn, task });
    this.#outputs.push({ type: 'task', task: number, job });
  }
}
