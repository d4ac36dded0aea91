import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { open } from 'lmdb';
import { utf8 } from '../../core/bytes.ts';
import { openLmdbStore, StoreError } from '../../ipam/lmdb-store.ts';

function directory(t: { teardown: (undo: () => void) => void }): string {
  const path = mkdtempSync(join(tmpdir(), 'weave-ts-store-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

test('what was committed is there after the store is opened again', async (t) => {
  const path = directory(t);
  const first = openLmdbStore(path);
  await first.commit([
    { key: 'a', value: utf8('1') },
    { key: 'b', value: utf8('2') },
  ]);
  await first.commit([
    { key: 'a', value: undefined },
    { key: 'c', value: new Uint8Array() },
  ]);
  await first.close();
  const second = openLmdbStore(path);
  t.deepEqual(
    [...second.load()],
    [
      ['b', utf8('2')],
      ['c', new Uint8Array()],
    ],
  );
  await second.close();
});

test('a process that is killed at once after a commit was answered loses nothing of it', async (t) => {
  const path = directory(t);
  const script = `
    import { openLmdbStore } from ${JSON.stringify(new URL('../../ipam/lmdb-store.js', import.meta.url).href)};
    const store = openLmdbStore(${JSON.stringify(path)});
    for (let i = 0; ; i++) {
      await store.commit([{ key: 'n', value: Uint8Array.of(i) }, { key: 'copy-' + i, value: Uint8Array.of(i) }]);
      process.stdout.write(i + '\\n');
    }`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script]);
  let told = '';
  child.stdout.on('data', (chunk: Buffer) => {
    told += chunk.toString();
    if (told.split('\n').length > 20) child.kill('SIGKILL');
  });
  await once(child, 'exit');
  const last = Number(told.trim().split('\n').at(-1));
  const store = openLmdbStore(path);
  const stored = store.load();
  t.true(last >= 19);
  t.true(stored.get('n')![0]! >= last);
  for (let i = 0; i <= last; i++) t.deepEqual(stored.get(`copy-${i}`), Uint8Array.of(i));
  await store.close();
});

test('a file that is no store is refused by its name, and left as it is', (t) => {
  const path = directory(t);
  const file = join(path, 'store.mdb');
  const garbage = 'this is not a database\n'.repeat(1_000);
  writeFileSync(file, garbage);
  const error = t.throws(() => openLmdbStore(path), { instanceOf: StoreError });
  t.true(error.message.startsWith(file));
  t.is(readFileSync(file, 'utf8'), garbage);
});

test('a store whose first pages are damaged is refused', async (t) => {
  const path = directory(t);
  const store = openLmdbStore(path);
  await store.commit([{ key: 'a', value: utf8('1') }]);
  await store.close();
  const file = join(path, 'store.mdb');
  writeFileSync(file, readFileSync(file).fill(0x5a, 0, 8_192));
  t.throws(() => openLmdbStore(path), { instanceOf: StoreError, message: /damaged/ });
});

test('the database of another program is refused', async (t) => {
  const path = directory(t);
  const other = open<string, string>({ path: join(path, 'store.mdb'), noSubdir: true });
  await other.put('key', 'value');
  await other.close();
  t.throws(() => openLmdbStore(path), { instanceOf: StoreError, message: /was not written by this version/ });
});
