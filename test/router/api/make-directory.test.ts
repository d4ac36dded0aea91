import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import {
  makeDirectory,
  makePrivateDirectory,
  othersWho,
  renamersIn,
} from '../../../router/api/make-directory.ts';

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

test('a directory for keys is made private; one with files is left alone, and refused if others may put theirs there', (t) => {
  const top = mkdtempSync(join(tmpdir(), 'weave-ts-directory-'));
  t.teardown(() => rmSync(top, { recursive: true }));
  const path = join(top, 'state');
  const make = () => makePrivateDirectory(path, '--state-dir');
  const mode = () => statSync(path).mode & 0o7777;
  make();
  t.is(mode(), 0o700);
  for (const open of [0o1777, 0o755, 0o710]) {
    chmodSync(path, open);
    make();
    t.is(mode(), 0o700, `it was empty and ${open.toString(8)}`);
  }
  writeFileSync(join(path, 'data.mdb'), '');
  chmodSync(path, 0o755);
  make();
  t.is(mode(), 0o755);
  chmodSync(path, 0o1777);
  t.throws(make, { message: /state is not safe for keys, as everybody may put .*another --state-dir, or/ });
  t.is(mode(), 0o1777);
  chmodSync(path, 0o700);
  chmodSync(top, 0o777);
  t.throws(make, {
    message: /state is not safe for keys, as everybody may rename .*--state-dir, or chmod go-w/,
  });
  chmodSync(top, 0o1777);
  make();
});

test('the group counts unless it is that of root, and another owner always', (t) => {
  const me = process.geteuid!();
  for (const [mode, uid, gid, expected] of [
    [0o700, me, 4_711, undefined],
    [0o2775, me, 4_711, 'its group'],
    [0o775, 0, 0, undefined],
    [0o777, 0, 0, 'everybody'],
    [0o700, me + 4_711, 0, `the user ${me + 4_711}`],
  ] as const) {
    t.is(othersWho({ mode, uid, gid }), expected, mode.toString(8));
  }
  t.is(renamersIn({ mode: 0o1777, gid: 4_711 }), undefined);
  t.is(renamersIn({ mode: 0o775, gid: 4_711 }), 'its group');
});
