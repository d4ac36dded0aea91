import test from 'ava';
import { Connections } from '../../gossip/connections.ts';
import type { CryptoJob, SecureChannel, SecureChannelEffect } from '../../gossip/secure-channel.ts';
import { endpoint } from './mesh.ts';

const job: CryptoJob = {
  type: 'cpace-start',
  password: new Uint8Array(1),
  channelId: new Uint8Array(1),
  sid: new Uint8Array(1),
  seed: new Uint8Array(64),
};

/** Asks for one task at its start and fails when it is answered. */
class TaskChannel implements SecureChannel {
  readonly done: number[] = [];
  #effects: SecureChannelEffect[] = [{ type: 'task', task: 1, job, guesses: 0 }];

  onTaskDone(task: number): void {
    this.done.push(task);
    this.#effects.push({ type: 'failed', reason: 'password-mismatch', detail: 'ADDRESS, again ADDRESS' });
  }
  onBytes(): void {
    this.#effects.push({ type: 'task', task: 2, job, guesses: 0 });
  }
  send(): void {
    // Never open.
  }
  close(): void {
    // No keys.
  }
  nextTimeout(): undefined {
    return undefined;
  }
  onTimeout(): void {
    // No timers.
  }
  drain(): SecureChannelEffect[] {
    return this.#effects.splice(0);
  }
}

function open(connections: Connections, conn: number): TaskChannel {
  const channel = new TaskChannel();
  connections.open({ conn, remote: endpoint('192.0.2.1'), outbound: true, channel }, 0);
  return channel;
}

test('tasks of different connections have different numbers and find back', (t) => {
  const connections = new Connections({ refuses: () => undefined, isStranger: () => true });
  const channels = [open(connections, 2), open(connections, 4)];
  t.deepEqual(
    connections.drain().map((output) => output.type === 'task' && output.task),
    [1],
  );
  connections.onTaskDone(1, { type: 'refused' }, 0);
  const [output, next] = connections.drain();
  t.like(next, { type: 'task', task: 2 });
  connections.onTaskDone(2, { type: 'refused' }, 0);
  t.deepEqual(
    channels.map(({ done }) => done),
    [[1], [1]],
  );
  t.like(output, { type: 'incident' });
  t.deepEqual(output?.type === 'incident' ? output.incident : undefined, {
    type: 'failed',
    failure: { reason: 'password-mismatch', error: '192.0.2.1:6783, again 192.0.2.1:6783' },
  });
});

test('results for unknown tasks, repeated ones and ended connections are ignored', (t) => {
  const connections = new Connections({ refuses: () => undefined, isStranger: () => true });
  const channel = open(connections, 2);
  connections.drain();
  connections.onTaskDone(99, { type: 'refused' }, 0);
  connections.close(connections.get(2)!);
  connections.onTaskDone(1, { type: 'refused' }, 0);
  t.deepEqual(channel.done, []);
  t.deepEqual(connections.drain(), [{ type: 'close', conn: 2 }]);
  t.is(connections.get(2), undefined);
});
