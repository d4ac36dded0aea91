import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { makeDirectory } from '../../../router/api/make-directory.ts';

test('a directory is made with what is missing above it, and one that is there is left alone', (t) => {
  const top = mkdtempSync(join(tmpdir(), 'weave-ts-directory-'));
  t.teardown(() => rmSync(top, { recursive: true }));
  const path = join(top, 'a', 'b', 'c');
  makeDirectory(path, 0o700);
  makeDirectory(path, 0o755);
  t.is(statSync(path).mode & 0o777, 0o700);
  writeFileSync(join(top, 'file'), '');
  for (const bad of ['file', 'file/below']) {
    t.throws(() => makeDirectory(join(top, bad)), { message: /^the directory .*file.* cannot be made \(E/ });
  }
});

test('where no directory can be made, as below /proc, it is said at once and names the path', (t) => {
  t.throws(() => makeDirectory('/proc/weave-ts/state'), {
    message: 'the directory /proc/weave-ts cannot be made (ENOENT): choose another place',
  });
});
