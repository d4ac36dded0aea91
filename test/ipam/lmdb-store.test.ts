import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { open } from 'lmdb';
import { utf8 } from '../../core/bytes.ts';
import { fileProblem } from '../../ipam/lmdb-file.ts';
import { openLmdbStore, reserveFor, StoreError } from '../../ipam/lmdb-store.ts';

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
      const value = Buffer.from(String(i));
      await store.commit([{ key: 'n', value }, { key: 'copy-' + i, value }]);
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
  // It may have gone far on until the signal came.
  t.true(Number(Buffer.from(stored.get('n')!).toString()) >= last);
  for (let i = 0; i <= last; i++) t.deepEqual(stored.get(`copy-${i}`), utf8(`${i}`));
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

for (const name of ['store.mdb', 'store.mdb-lock']) {
  test(`a directory or a FIFO in place of ${name} is refused, where LMDB would wait or die`, (t) => {
    const path = directory(t);
    const message = `cannot use ${join(path, name)}: it is no regular file; mend that, or choose another --state-dir`;
    for (const make of [(file: string) => mkdirSync(file), (file: string) => spawnSync('mkfifo', [file])]) {
      make(join(path, name));
      const error = t.throws(() => openLmdbStore(path), { instanceOf: StoreError });
      t.true(error.message.startsWith(message), error.message);
      rmSync(join(path, name), { recursive: true });
    }
  });
}

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

/** A store with values of all sizes, deleted and written again until free pages lie between used ones. */
async function fullStore(path: string): Promise<Buffer> {
  const store = openLmdbStore(path);
  for (let round = 0; round < 40; round++) {
    const changes = Array.from({ length: 12 }, (_, i) => ({
      key: `key-${(7 * round + i) % 60}`,
      value: (round + i) % 3 === 0 ? undefined : new Uint8Array((round * i * 97) % 9_000).fill(i),
    }));
    await store.commit(changes);
  }
  await store.close();
  return readFileSync(join(path, 'store.mdb'));
}

test('a store is refused at every length that a used page is missing at, and read at every other', async (t) => {
  const path = directory(t);
  const whole = await fullStore(path);
  const file = join(path, 'store.mdb');
  t.is(fileProblem(file), undefined);
  let refused = 0;
  for (let length = 0; length < whole.length; length += 1_024) {
    writeFileSync(file, whole.subarray(0, length));
    if (fileProblem(file) !== undefined) refused++;
  }
  t.true(refused > (whole.length / 1_024) * 0.9, `${refused}`);
});

for (const [what, length] of [
  ['an empty file', () => 0],
  ['half a page', () => 2_048],
  ['one page', () => 4_096],
  ['both first pages', () => 8_192],
  ['half of the store', (whole: number) => Math.floor(whole / 2)],
  ['all but the last page', (whole: number) => whole - 4_096],
] as const) {
  test(`a store of which only ${what} is left is refused, naming it and how to go on`, async (t) => {
    const path = directory(t);
    const store = openLmdbStore(path);
    await store.commit([{ key: 'a', value: new Uint8Array(30_000) }]);
    await store.close();
    const file = join(path, 'store.mdb');
    const rest = readFileSync(file).subarray(0, length(readFileSync(file).length));
    writeFileSync(file, rest);
    const error = t.throws(() => openLmdbStore(path), { instanceOf: StoreError });
    t.true(error.message.startsWith(`${file} is damaged: it `), error.message);
    t.regex(error.message, /move .* away, launch, and weave-ts rmpeer/);
    t.deepEqual(readFileSync(file), rest);
  });
}

test('a page that was overwritten is noticed before LMDB maps it', async (t) => {
  const path = directory(t);
  const whole = await fullStore(path);
  const file = join(path, 'store.mdb');
  let noticed = 0;
  for (let page = 2; page < whole.length / 4_096; page++) {
    writeFileSync(file, Buffer.from(whole).fill(0, page * 4_096, (page + 1) * 4_096));
    if (fileProblem(file) !== undefined) noticed++;
  }
  t.true(noticed > 1, `${noticed}`);
});

test('the free space that a transaction asks for grows with what it writes', (t) => {
  const change = (bytes: number) => ({ key: 'k', value: new Uint8Array(bytes) });
  const small = reserveFor([change(10)]);
  t.true(small >= 512 * 1_024);
  t.true(reserveFor([change(3_000_000)]) >= 6_000_000);
  t.true(reserveFor(Array.from({ length: 1_000 }, () => change(1))) >= small + 999 * 4_096);
});
