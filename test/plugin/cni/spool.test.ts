import test from 'ava';
import type { ExecutionContext } from 'ava';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog } from '../../../core/log.ts';
import type { CniAnswer } from '../../../plugin/cni/cni-plugin.ts';
import { Spool } from '../../../plugin/cni/spool.ts';

const DONE: CniAnswer = { failed: false, output: '' };

interface Bench {
  readonly spool: Spool;
  /** Bodies, in the order in which they were asked for. */
  readonly asked: string[];
  /** Queues a DEL whose body is its name. */
  readonly queue: (name: string) => void;
  readonly files: () => string[];
  readonly directory: string;
  readonly warnings: string[];
}

function bench(t: ExecutionContext, call: (name: string) => CniAnswer | Promise<CniAnswer>): Bench {
  const directory = mkdtempSync(join(tmpdir(), 'weave-spool-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const asked: string[] = [];
  const warnings: string[] = [];
  const answer = (body: Buffer): Promise<CniAnswer> => {
    asked.push(body.toString());
    return Promise.resolve(call(body.toString()));
  };
  return {
    spool: new Spool(directory, answer, { log: (_level, text) => void warnings.push(text) }),
    directory,
    warnings,
    asked,
    queue: (name) => writeFileSync(join(directory, `${name}.del`), name),
    files: () => readdirSync(directory).sort(),
  };
}

function failure(code: number): CniAnswer {
  return { failed: true, output: JSON.stringify({ code, msg: 'no' }) };
}

test('what is queued is done and gone, what is still being written is left alone', async (t) => {
  const { spool, asked, queue, files } = bench(t, () => DONE);
  for (const name of ['1', '2', '.3']) queue(name);
  t.deepEqual(await spool.replay(), []);
  t.deepEqual([asked.sort(), files()], [['1', '2'], ['.3.del']]);
});

test('a directory that is not there is an empty queue', async (t) => {
  const spool = new Spool('/nowhere/at/all', () => Promise.resolve(DONE), silentLog);
  t.deepEqual(await spool.replay(), []);
});

test('whoever asks while a run is under way gets one that begins after it', async (t) => {
  let end: () => void = () => undefined;
  const first = new Promise<void>((resolve) => (end = resolve));
  const { spool, asked, queue, files } = bench(t, async (name) => {
    if (name === '1') await first;
    return DONE;
  });
  queue('1');
  const one = spool.replay();
  while (asked.length === 0) await new Promise((resolve) => setImmediate(resolve));
  queue('2');
  const further = [spool.replay(), spool.replay()];
  end();
  await Promise.all([one, ...further]);
  t.deepEqual([asked, files()], [['1', '2'], []]);
});

test('a run that fails takes nothing from those that come after it', async (t) => {
  const { spool, queue } = bench(t, () => ({ failed: true, output: 'not JSON' }));
  queue('1');
  t.deepEqual(await spool.replay(), [Buffer.from('1')]);
  t.deepEqual(await spool.replay(), [Buffer.from('1')]);
});

test('what fails for a reason that passes stays and is told, what can never be done is set aside', async (t) => {
  const { spool, queue, files } = bench(t, (name) => failure(Number(name)));
  const codes = [1, 2, 4, 5, 6, 7, 11, 100];
  for (const code of codes) queue(String(code));
  const left = (await spool.replay()).map(String).sort();
  t.deepEqual(left, ['100', '11', '5']);
  t.deepEqual(files(), [
    '1.del.refused',
    '100.del',
    '11.del',
    '2.del.refused',
    '4.del.refused',
    '5.del',
    '6.del.refused',
    '7.del.refused',
  ]);
});

test('what cannot be read is told and holds up none of the others', async (t) => {
  const { spool, asked, queue, files, directory, warnings } = bench(t, () => DONE);
  mkdirSync(join(directory, '1.del'));
  queue('2');
  t.deepEqual(await spool.replay(), []);
  t.deepEqual([asked, files()], [['2'], ['1.del']]);
  t.regex(warnings.join(), /^a queued CNI DEL could not be done$/);
});

test('what was set aside is asked once', async (t) => {
  const { spool, asked, queue } = bench(t, (name) => (name === '1' ? failure(4) : DONE));
  for (const name of ['3', '1', '2']) queue(name);
  await spool.replay();
  await spool.replay();
  t.deepEqual(asked.sort(), ['1', '2', '3']);
});

test('a call that throws stays for the next run', async (t) => {
  const { spool, queue, files } = bench(t, () => {
    throw new Error('no daemon');
  });
  queue('1');
  t.deepEqual(await spool.replay(), [Buffer.from('1')]);
  t.deepEqual(files(), ['1.del']);
});

test('eight are done at once, and no more', async (t) => {
  let running = 0;
  let most = 0;
  const { spool, asked, queue } = bench(t, async () => {
    most = Math.max(most, ++running);
    await new Promise((resolve) => setTimeout(resolve, 10));
    running--;
    return DONE;
  });
  for (let i = 0; i < 40; i++) queue(`q${i}`);
  await spool.replay();
  t.deepEqual([asked.length, most], [40, 8]);
});
