import {
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { RotatingLog } from '../../cli/rotating-log.ts';

const FULL = 10 << 20;

function place(t: ExecutionContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'weave-ts-log-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return join(dir, 'api.log');
}

test('a log of 10 MiB makes room for a new one, and three old ones are kept', (t) => {
  const path = place(t);
  for (const line of ['1\n', '2\n', '3\n', '4\n', 'last\n']) {
    new RotatingLog(path).write(line);
    if (line !== 'last\n') truncateSync(path, FULL);
  }
  t.is(readFileSync(path, 'utf8'), 'last\n');
  for (const [old, first] of [
    [1, 4],
    [2, 3],
    [3, 2],
  ] as const)
    t.true(readFileSync(`${path}.${old}`, 'utf8').startsWith(`${first}\n`));
  t.false(existsSync(`${path}.4`));
  t.is(statSync(path).mode & 0o777, 0o600);
});

test('lines that a full disk does not take are counted, and the first that it takes says so', (t) => {
  const path = place(t);
  let room = Number.POSITIVE_INFINITY;
  const log = new RotatingLog(path, (descriptor, text) => {
    if (room === 0) throw new Error('ENOSPC');
    const written = writeSync(descriptor, text.slice(0, room));
    room -= written;
    return written;
  });
  log.write('{"msg":"before"}\n');
  room = 5;
  for (const line of ['{"msg":"cut off"}\n', '{"msg":"lost"}\n', '{"msg":"lost"}\n']) log.write(line);
  room = Number.POSITIVE_INFINITY;
  log.write('{"msg":"after"}\n');
  log.write('{"msg":"last"}\n');
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
  t.deepEqual(lines.toSpliced(2, 1), ['{"msg":"before"}', '{"msg', '{"msg":"after"}', '{"msg":"last"}']);
  t.like(JSON.parse(lines[2]!), { lines: 3, msg: 'lines of this log could not be written' });
});

test('a log that cannot be renamed, as its folder is gone, does not end the daemon', (t) => {
  const path = place(t);
  writeFileSync(path, 'x'.repeat(FULL));
  const log = new RotatingLog(path);
  rmSync(join(path, '..'), { recursive: true });
  t.notThrows(() => log.write('nobody reads this\n'));
});

test('a new log that cannot be opened at once costs none of the old ones', (t) => {
  const path = place(t);
  for (const i of [1, 2, 3]) writeFileSync(`${path}.${i}`, `old ${i}\n`);
  writeFileSync(path, 'x'.repeat(FULL));
  let free = false;
  let opened = 0;
  const log = new RotatingLog(path, writeSync, () => {
    if (opened++ > 0 && !free) throw new Error('EMFILE');
    return openSync(path, 'a', 0o600);
  });
  for (const line of ['one\n', 'two\n', 'three\n']) log.write(line);
  t.true(readFileSync(`${path}.1`, 'utf8').endsWith('xone\ntwo\nthree\n'));
  t.deepEqual(
    [2, 3].map((i) => readFileSync(`${path}.${i}`, 'utf8')),
    ['old 1\n', 'old 2\n'],
  );
  free = true;
  log.write('four\n');
  t.is(readFileSync(path, 'utf8'), 'four\n');
});
