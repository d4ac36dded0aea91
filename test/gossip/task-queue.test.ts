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

test('four jobs run at once, the others in order of arrival as these are answered', (t) => {
  const made = queue(6);
  t.deepEqual(
    made.start(),
    [1, 2, 3, 4].map((n) => ({ task: n, job: job(n) })),
  );
  t.deepEqual(made.start(), []);
  t.like(made.finish(3), { conn: 3, task: 30 });
  t.deepEqual(made.start(), [{ task: 5, job: job(5) }]);
  t.is(made.waiting, 1);
});

test('a job whose connection ended is never begun', (t) => {
  const made = queue(6);
  made.start();
  made.cancel(5);
  made.finish(1);
  t.deepEqual(made.start(), [{ task: 5, job: job(6) }]);
});

test('a job that runs when its connection ends keeps its place until it is answered, to nobody', (t) => {
  const made = queue(5);
  made.start();
  made.cancel(2);
  t.deepEqual(made.start(), [], 'the thread is still at it');
  t.is(made.finish(2), undefined);
  t.is(made.start().length, 1);
});

test('answers to unknown jobs, and second answers, are for nobody and make no room', (t) => {
  const made = queue(6);
  made.start();
  t.is(made.finish(99), undefined);
  t.deepEqual(made.start(), []);
  made.finish(1);
  made.finish(1);
  t.is(made.start().length, 1);
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
  for (let n = 1; n <= 3; n++) made.finish(n);
  t.deepEqual(
    made.start().map(({ job: begun }) => begun),
    [job(201), job(202), job(5)],
  );
  made.add(203, 1, job(203), false);
  made.cancel(203);
  t.is(made.waiting, 95);
});
