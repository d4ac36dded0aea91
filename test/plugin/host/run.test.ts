import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { KeyedQueue } from '../../../plugin/host/keyed-queue.ts';
import { CommandError, findProgram, runProgram } from '../../../plugin/host/run.ts';

test('a program gets its words as they are and its input, and gives its output', async (t) => {
  t.is(await runProgram('printf', ['%s|', '$(id)', 'a b', '*']), '$(id)|a b|*|');
  t.is(await runProgram('cat', [], { input: 'in' }), 'in');
});

test('a program does not see the environment of the daemon', async (t) => {
  process.env['WEAVE_TS_TEST_SECRET'] = 'secret';
  t.teardown(() => delete process.env['WEAVE_TS_TEST_SECRET']);
  t.false((await runProgram('env', [])).includes('secret'));
});

test('a failure carries the exit code and the first line that was said', async (t) => {
  const error = await t.throwsAsync(runProgram('ls', ['/nowhere/at/all']), { instanceOf: CommandError });
  t.like(error, { program: 'ls', code: 2, errno: undefined });
  t.regex(error.message, /^ls: .*\/nowhere\/at\/all.*No such file or directory$/);
  t.is((await t.throwsAsync(runProgram('false', []))).message, 'false: exit code 1');
});

test('a program that is not there is told by name', async (t) => {
  const error = await t.throwsAsync(runProgram('wt-no-such-program', []), { instanceOf: CommandError });
  t.like(error, { errno: 'ENOENT', message: 'wt-no-such-program: no such program' });
});

test('whether a program would start is seen without starting it: the first folder that has it counts', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'wt-path-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'inert'), '', { mode: 0o644 });
  t.is(await findProgram('inert', `/nowhere:${folder}`), 'not executable');
  t.is(await findProgram('inert', '/nowhere'), 'missing');
  writeFileSync(join(folder, 'able'), '', { mode: 0o755 });
  t.is(await findProgram('able', `/nowhere:${folder}`), 'there');
  t.is(await findProgram('sh'), 'there');
});

test('where no descriptors are left a program is refused, and the process goes on', async (t) => {
  const run = new URL('../../../plugin/host/run.js', import.meta.url).href;
  const code = `
    import { openSync } from 'node:fs';
    import { runProgram } from ${JSON.stringify(run)};
    try { for (;;) openSync('/dev/null', 'r'); } catch {}
    await runProgram('true', []).catch((error) => console.log(error.name, error.errno));
    await new Promise((resolve) => setTimeout(resolve, 50));
    console.log('goes on');`;
  const few = 'ulimit -n 64; exec "$0" --input-type=module -e "$1"';
  t.is(await runProgram('bash', ['-c', few, process.execPath, code]), 'CommandError EMFILE\ngoes on\n');
});

test('time and output are bounded', async (t) => {
  await t.throwsAsync(runProgram('sleep', ['30'], { timeoutMs: 50 }), {
    message: 'sleep: no answer in time',
  });
  await t.throwsAsync(runProgram('yes', [], { maxOutput: 10_000 }), { message: 'yes: too much output' });
});

test('a program that exits without reading its input is no failure', async (t) => {
  t.is(await runProgram('true', [], { input: 'x'.repeat(1_000_000) }), '');
});

test('work of one key is done in order, also after a failure, and other keys do not wait for it', async (t) => {
  const queue = new KeyedQueue();
  const seen: string[] = [];
  let release: () => void = () => undefined;
  const first = queue.run('a', async () => {
    await new Promise<void>((resolve) => (release = resolve));
    seen.push('a1');
    throw new Error('a1 failed');
  });
  const second = queue.run('a', () => Promise.resolve(seen.push('a2')));
  await queue.run('b', () => Promise.resolve(seen.push('b')));
  release();
  await t.throwsAsync(first, { message: 'a1 failed' });
  await second;
  t.deepEqual(seen, ['b', 'a1', 'a2']);
});
