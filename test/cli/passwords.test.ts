import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { BadValue, UsageError } from '../../cli/exit.ts';
import { readPasswords, readRegularPasswordFile } from '../../cli/passwords.ts';

const none = { file: undefined, flag: undefined, environment: undefined };

function file(t: ExecutionContext, text: string, mode = 0o600): string {
  const dir = mkdtempSync(join(tmpdir(), 'weave-ts-password-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const path = join(dir, 'password');
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

test('no source, or an empty WEAVE_PASSWORD, means no password', (t) => {
  t.deepEqual(readPasswords(none).accepted, []);
  t.deepEqual(readPasswords({ ...none, environment: '' }).accepted, []);
});

test('a password keeps its blanks, and only line ends are trimmed', (t) => {
  t.deepEqual(readPasswords({ ...none, file: file(t, ' a b \r\n\n  \nc\n') }).accepted, [' a b ', 'c']);
  for (const environment of [' x ', ' x \n', ' x \r\n']) {
    t.deepEqual(readPasswords({ ...none, environment }).accepted, [' x ']);
  }
  t.deepEqual(readPasswords({ ...none, environment: '\n' }).accepted, []);
});

test('two sources contradict each other', (t) => {
  t.throws(() => readPasswords({ ...none, flag: 'a', environment: 'b' }), { instanceOf: UsageError });
  t.throws(() => readPasswords({ ...none, flag: 'a', file: '/x' }), { instanceOf: UsageError });
});

test('an absent file, a directory, an empty file and one of three lines are refused by name', (t) => {
  t.throws(() => readPasswords({ ...none, file: '/nonexistent/x' }), {
    instanceOf: BadValue,
    message: 'cannot read the password file "/nonexistent/x": there is no such file',
  });
  t.throws(() => readPasswords({ ...none, file: tmpdir() }), {
    instanceOf: BadValue,
    message: /it is a directory/,
  });
  t.throws(() => readPasswords({ ...none, file: file(t, '\n \n') }), {
    instanceOf: BadValue,
    message: /is empty/,
  });
  t.throws(() => readPasswords({ ...none, file: file(t, 'a\nb\nc\n') }), {
    instanceOf: BadValue,
    message: /3 passwords/,
  });
  t.throws(() => readPasswords({ ...none, flag: '' }), { instanceOf: BadValue });
});

test('a variable that is not UTF-8 is refused too', (t) => {
  t.throws(() => readPasswords({ ...none, environment: 'p\u{fffd}ss' }), {
    instanceOf: BadValue,
    message: 'WEAVE_PASSWORD is not UTF-8 text: write the password in that encoding',
  });
});

test('a file that is not UTF-8 is refused by name, whatever its bad bytes would be read as', (t) => {
  const path = file(t, '');
  for (const bytes of [[0x61, 0xff, 0x0a], [0x70, 0xe4, 0x73, 0x73], [0xc3]]) {
    writeFileSync(path, Uint8Array.from(bytes));
    t.throws(() => readPasswords({ ...none, file: path }), {
      instanceOf: BadValue,
      message: `the password file ${path} is not UTF-8 text: write the password in that encoding`,
    });
  }
  writeFileSync(path, '\u{feff}pässwört\n');
  t.deepEqual(readPasswords({ ...none, file: path }).accepted, ['\u{feff}pässwört']);
});

test('the same password twice is refused by name', (t) => {
  const path = file(t, 'a\r\na\n');
  t.throws(() => readPasswords({ ...none, file: path }), {
    instanceOf: BadValue,
    message: `both lines of ${path} are the same password`,
  });
});

test('a file that others can read is used, with a warning', (t) => {
  t.regex(readPasswords({ ...none, file: file(t, 'a\n', 0o644) }).warning ?? '', /can be read by others/);
  t.is(readPasswords({ ...none, file: file(t, 'a\n') }).warning, undefined);
});

test('a daemon reads passwords again from a regular file only, and waits for no pipe', (t) => {
  const path = file(t, 'secret\n');
  t.deepEqual(readRegularPasswordFile(path).accepted, ['secret']);
  const pipe = `${path}.pipe`;
  execFileSync('mkfifo', [pipe]);
  t.throws(() => readRegularPasswordFile(pipe), {
    instanceOf: BadValue,
    message: /pipe": it is no regular file/,
  });
});
