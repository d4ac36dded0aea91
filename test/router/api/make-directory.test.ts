import { chmodSync, chownSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { makeDirectory, makePrivateDirectory } from '../../../router/api/make-directory.ts';

test('a directory is made with what is missing above it, and one that is there is left alone', (t) => {
  const top = mkdtempSync(join(tmpdir(), 'weave-ts-directory-'));
  t.teardown(() => rmSync(top, { recursive: true }));
  const path = join(top, 'a', 'b', 'c');
  makeDirectory(path, 0o700);
  makeDirectory(path, 0o755);
  t.is(statSync(path).mode & 0o777, 0o700);
  writeFileSync(join(top, 'file'), '');
  for (const bad of ['file', 'file/below']) {
    t.throws(() => makeDirectory(join(top, bad)), {
      message: /^the directory .*file cannot be made: something else .* \(EEXIST\); choose/,
    });
  }
});

test('where no directory can be made, as below /proc, it is said at once and names the path', (t) => {
  t.throws(() => makeDirectory('/proc/weave-ts/state'), {
    message:
      'the directory /proc/weave-ts cannot be made: there is no such place (ENOENT); choose another place',
  });
});

test('a directory for keys is made private; one that is there is refused if others may put files there', (t) => {
  const top = mkdtempSync(join(tmpdir(), 'weave-ts-directory-'));
  t.teardown(() => rmSync(top, { recursive: true }));
  const path = join(top, 'state');
  makePrivateDirectory(path);
  t.is(statSync(path).mode & 0o777, 0o700);
  for (const [mode, who] of [
    [0o755, undefined],
    [0o775, 'its group'],
    [0o1777, 'everybody'],
  ] as const) {
    chmodSync(path, mode);
    if (who === undefined) makePrivateDirectory(path);
    else t.throws(() => makePrivateDirectory(path), { message: new RegExp(`${path} .*, as ${who} may put`) });
    t.is(statSync(path).mode & 0o7777, mode, 'it is left as it is');
  }
  chmodSync(path, 0o700);
  if (process.geteuid?.() !== 0) return;
  chownSync(path, 4_711, 4_711);
  t.throws(() => makePrivateDirectory(path), { message: /as the user 4711 may put files there: choose one/ });
});
