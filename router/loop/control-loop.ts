import type { Endpoint, IpAddress } from '../../core/address.ts';
import type { AddressChange } from './address-watch.ts';
import type { Log } from '../../core/log.ts';
import type { StoreChange, StorePort } from '../../core/store.ts';
import type { Millis } from '../../core/time.ts';
import type { ControlEffect } from '../control-effect.ts';
import type { ControlNode } from '../control-node.ts';
import { wipeIdentity } from '../identity.ts';
import { runCpaceJob, wipeResult } from '../crypto/cpace.ts';
import type { CryptoJob } from '../../gossip/secure-channel.ts';
import { wipeKeys } from '../node-messages.ts';
import type { ToControl } from '../node-messages.ts';
import type { DataPlane } from './data-plane.ts';
import { DeadlineTimer, monotonicNow } from './deadline-timer.ts';
import { Streams } from './streams.ts';

/** Answers to requests that the loop's owner put to the node. */
export type Answer = Extract<ControlEffect, { type: 'ipam-reply' | 'status' | 'report' }>;

export interface ControlLoopOwner {
  onAnswer(answer: Answer): void;
  /** A thread or the store failed; the daemon cannot go on. */
  onFailure(error: Error): void;
}

/**
 * The event loop of the control plane: the one place where the ControlNode meets sockets, timers, threads and the
 * store. Every input ends with doing what the node then wants done.
 */
export class ControlLoop {
  readonly #node: ControlNode;
  readonly #store: StorePort;
  readonly #log: Log;
  readonly #owner: ControlLoopOwner;
  readonly #data: DataPlane;
  readonly #streams: Streams;
  readonly #timer: DeadlineTimer;
  #performing = false;

  constructor(node: ControlNode, store: StorePort, data: DataPlane, log: Log, owner: ControlLoopOwner) {
    this.#node = node;
    this.#store = store;
    this.#data = data;
    this.#log = log;
    this.#owner = owner;
    this.#timer = new DeadlineTimer(() => this.tell((now) => node.onTimeout(now)));
    this.#streams = new Streams({
      onAccepted: (conn, remote) => this.tell((now) => node.onAccepted(conn, remote, now)),
      onConnected: (conn, remote) => this.tell((now) => node.onConnected(conn, remote, now)),
      onDialFailed: (conn, error) => this.tell((now) => node.onDialFailed(conn, error, now)),
      onBytes: (conn, bytes) => this.tell((now) => node.onBytes(conn, bytes, now)),
      onDrained: (conn) => this.tell((now) => node.onWritable(conn, now)),
      onClosed: (conn, error) => this.tell((now) => node.onClosed(conn, error, now)),
    });
  }

  /** Opens the control port and begins. Rejects with a sentence if the port cannot be had. */
  async start(address: IpAddress | undefined, port: number): Promise<void> {
    await this.#streams.listen(address, port);
    this.#performAll();
  }

  /** Gives the node one input, such as a request, and does what follows from it. A throw is a bug, and the end. */
  tell(input: (now: Millis) => void): void {
    try {
      input(monotonicNow());
      this.#performAll();
    } catch (error) {
      this.#owner.onFailure(error instanceof Error ? error : new Error(String(error)));
      throw error;
    }
  }

  /** Where others may reach this host from now on; `change` says what else became of its addresses. */
  onAddresses(addresses: readonly Endpoint[], change: Omit<AddressChange, 'addresses'>): void {
    this.#streams.onAddressesGone(change.gone);
    this.tell((now) => this.#node.onAddresses(addresses, change.moved, now));
  }

  /** Whether a connection may begin or end at this address of the host. */
  carries(ip: IpAddress): boolean {
    return this.#streams.carries(ip);
  }

  onDataMessages(messages: readonly ToControl[]): void {
    this.tell((now) => {
      for (const message of messages) this.#node.onData(message, now);
    });
  }

  /** Says goodbye to all neighbours and closes. */
  async stop(): Promise<void> {
    this.tell((now) => this.#node.stop(now));
    this.#timer.stop();
    await this.#streams.close();
  }

  /** Effects can bring inputs at once (a full buffer that is not); those wait for their turn in the same loop. */
  #performAll(): void {
    if (this.#performing) return;
    this.#performing = true;
    try {
      do {
        for (let effects = this.#node.drain(); effects.length > 0; effects = this.#node.drain()) {
          for (const effect of effects) this.#perform(effect);
        }
      } while (this.#streams.flush());
    } finally {
      this.#performing = false;
    }
    this.#timer.arm(this.#node.nextTimeout());
  }

  #perform(effect: ControlEffect): void {
    switch (effect.type) {
      case 'dial':
        return this.#streams.dial(effect.conn, effect.host, effect.port);
      case 'write':
        return this.#streams.write(effect.conn, effect.bytes);
      case 'close-connection':
        return this.#streams.closeStream(effect.conn, effect.reset);
      case 'task':
        return this.#compute(effect.task, effect.job);
      case 'to-data':
        // The other thread has a copy of its own.
        this.#data.tell(effect.message);
        return wipeKeys(effect.message);
      case 'commit':
        return this.#commit(effect.token, effect.changes);
      case 'ipam-reply':
      case 'status':
      case 'report':
        return this.#owner.onAnswer(effect);
      case 'log':
        return this.#log.log(effect.level, effect.message, effect.fields);
      case 'failed':
        return this.#owner.onFailure(new Error(effect.error));
    }
  }

  /** In a later turn of the loop: between two jobs what waits at sockets and timers has its own. */
  #compute(task: number, job: CryptoJob): void {
    setImmediate(() =>
      this.tell((now) => {
        const result = runCpaceJob(job);
        try {
          this.#node.onTaskDone(task, result, now);
        } finally {
          wipeResult(result);
        }
      }),
    );
  }

  #commit(token: number, changes: readonly StoreChange[]): void {
    this.#store.commit(changes).then(
      () => {
        wipeIdentity(changes);
        this.tell((now) => this.#node.onCommitted(token, now));
      },
      (error: unknown) => {
        const sentence = error instanceof Error ? error.message : String(error);
        this.#log.log('error', 'the state could not be stored', { error: sentence });
        this.tell((now) => this.#node.onCommitFailed(token, sentence, now));
      },
    );
  }
}
