import test from 'ava';
import type { CryptoJob } from '../../gossip/secure-channel.ts';
import { TaskQueue } from '../../gossip/task-queue.ts';

function job(id: number): CryptoJob {
  const none = new Uint8Array(0);
  return { type: 'cpace-start', password: Uint8Array.of(id), channelId: none, sid: none, seed: none };
}

/** A queue with one job each of the connections 1 to `count`. */
function queue(count: number): TaskQueue {
  const made = new TaskQueue();
  for (let conn = 1; conn <= count; conn++) made.add(conn, 10 * conn, job(conn), true);
  return made;
}

test('one job is under way, the others begin in order of arrival as each is answered', (t) => {
  const made = queue(3);
  t.deepEqual(made.start(), { task: 1, job: job(1) });
  t.is(made.start(), undefined);
  t.like(made.finish(1), { conn: 1, task: 10 });
  t.deepEqual(made.start(), { task: 2, job: job(2) });
  t.is(made.waiting, 1);
  made.finish(2);
  made.start();
  made.finish(3);
  t.is(made.start(), undefined);
});

test('a job whose connection ended is never begun', (t) => {
  const made = queue(3);
  made.start();
  made.cancel(2);
  made.finish(1);
  t.deepEqual(made.start(), { task: 2, job: job(3) });
});

test('a job that is under way when its connection ends keeps its place until it is answered, to nobody', (t) => {
  const made = queue(2);
  made.start();
  made.cancel(1);
  t.is(made.start(), undefined, 'it is still computed');
  t.is(made.finish(1), undefined);
  t.deepEqual(made.start(), { task: 2, job: job(2) });
});

test('answers to unknown jobs, and second answers, are for nobody and make no room', (t) => {
  const made = queue(4);
  made.start();
  t.is(made.finish(99), undefined);
  t.is(made.start(), undefined);
  made.finish(1);
  made.start();
  t.is(made.finish(1), undefined);
  t.is(made.start(), undefined);
});

test('a connection waits with one job, however many it asks for', (t) => {
  const made = new TaskQueue();
  for (let i = 0; i < 1_000; i++) made.add(i % 10, i, job(i), i % 3 === 0);
  t.is(made.waiting, 10);
});

test('jobs of members are begun before those of strangers that came earlier, in order of arrival', (t) => {
  const made = queue(100);
  made.start();
  made.add(201, 1, job(201), false);
  made.add(202, 1, job(202), false);
  const begun: unknown[] = [];
  for (let n = 1; n <= 3; n++) {
    made.finish(n);
    begun.push(made.start()?.job);
  }
  t.deepEqual(begun, [job(201), job(202), job(2)]);
  made.add(203, 1, job(203), false);
  made.cancel(203);
  t.is(made.waiting, 98);
});
