import test from 'ava';
import type { ExecutionContext } from 'ava';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { Log } from '../../../core/log.ts';
import { Installation } from '../../../plugin/cni/installation.ts';
import { MemoryStore } from '../host/host-fakes.ts';

const NAME = '10-weave-ts.conflist';

interface Bench {
  readonly store: MemoryStore;
  readonly binDir: string;
  readonly confDir: string;
  readonly settings: { binDir: string; confDir: string; cniVersion: '1.0.0' };
  readonly warnings: string[];
  /** A daemon over the same store. */
  readonly daemon: (isReady?: () => Promise<boolean>, socket?: string) => Installation;
  readonly files: () => string[];
  readonly conflist: () => { cniVersion: string; name: string; plugins: Record<string, unknown>[] };
}

function bench(t: ExecutionContext): Bench {
  const folder = mkdtempSync(join(tmpdir(), 'weave-install-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const [binDir, confDir] = [join(folder, 'bin'), join(folder, 'etc', 'net.d')];
  mkdirSync(binDir);
  const store = new MemoryStore();
  const warnings: string[] = [];
  const log: Log = {
    log: (level, text) => {
      if (level === 'warn') warnings.push(text);
    },
  };
  return {
    store,
    binDir,
    confDir,
    settings: { binDir, confDir, cniVersion: '1.0.0' },
    warnings,
    daemon: (isReady = () => Promise.resolve(true), socket) => {
      const installation = new Installation(store, socket, isReady, log);
      t.teardown(() => installation.close());
      return installation;
    },
    files: () => readdirSync(confDir),
    conflist: () => JSON.parse(readFileSync(join(confDir, NAME), 'utf8')) as ReturnType<Bench['conflist']>,
  };
}

test('the configuration names the socket and the plugins that are there and may be executed', async (t) => {
  const { daemon, settings, binDir, files, conflist } = bench(t);
  writeFileSync(join(binDir, 'portmap'), '', { mode: 0o644 });
  writeFileSync(join(binDir, 'bandwidth'), '', { mode: 0o755 });
  await daemon(undefined, '/run/other.sock').set(settings);
  t.deepEqual(files(), [NAME]);
  const { cniVersion, name, plugins } = conflist();
  t.deepEqual([cniVersion, name], ['1.0.0', 'weave-ts']);
  t.deepEqual(plugins, [
    { type: 'weave-ts', capabilities: { ips: true }, socket: '/run/other.sock' },
    { type: 'bandwidth', capabilities: { bandwidth: true } },
  ]);
});

test('nothing is written before the daemon can serve pods, and then it is', async (t) => {
  const { daemon, settings, files, conflist } = bench(t);
  let ready = false;
  await daemon(() => Promise.resolve(ready)).set(settings);
  t.throws(files);
  ready = true;
  for (let waited = 0; waited < 300 && !hasFile(files); waited++) await setTimeout(50);
  t.is(conflist().plugins.length, 1);
});

test('a restart writes it anew with what is there then; a daemon that was never told writes nothing', async (t) => {
  const { daemon, settings, binDir, conflist, files } = bench(t);
  await daemon().start();
  t.throws(files);
  await daemon().set(settings);
  writeFileSync(join(binDir, 'portmap'), '', { mode: 0o755 });
  await daemon().start();
  t.deepEqual(
    conflist().plugins.map(({ type }) => type),
    ['weave-ts', 'portmap'],
  );
});

test('directories that cannot be remembered are refused, and nothing is written', async (t) => {
  const { daemon, settings, store, files } = bench(t);
  store.failing = true;
  await t.throwsAsync(daemon().set(settings), { message: 'disk full' });
  t.throws(files);
});

test('a directory that cannot be written is told and tried again until the daemon ends', async (t) => {
  const { daemon, settings, confDir, files, warnings } = bench(t);
  mkdirSync(join(confDir, '..'));
  writeFileSync(confDir, 'in the way');
  const first = daemon();
  await first.set(settings);
  await first.start();
  t.deepEqual(warnings, ['the CNI configuration could not be written'], 'the same is said once');
  const ended = daemon();
  await ended.start();
  await ended.close();
  rmSync(confDir);
  for (let waited = 0; waited < 300 && !hasFile(files); waited++) await setTimeout(50);
  t.deepEqual([files(), warnings.length], [[NAME], 2]);
});

test('what is removed stays away from the next start, and to remove nothing is no error', async (t) => {
  const { daemon, settings, files, store } = bench(t);
  await daemon().remove();
  await daemon().set(settings);
  await daemon().remove();
  await daemon().start();
  t.deepEqual([files(), store.values.size], [[], 0]);
});

test('what cannot be removed is told in words with its path, and may be removed later', async (t) => {
  const { daemon, settings, files } = bench(t);
  const path = join(settings.confDir, NAME);
  await daemon().set(settings);
  rmSync(settings.confDir, { recursive: true });
  writeFileSync(settings.confDir, '');
  await t.throwsAsync(daemon().remove(), {
    message: `the CNI configuration ${path} cannot be removed: a part of the path is no directory (ENOTDIR); remove it by hand`,
  });
  rmSync(settings.confDir);
  mkdirSync(settings.confDir);
  writeFileSync(path, '');
  await daemon().remove();
  t.deepEqual(files(), []);
});

test('what is stored and is no installation is passed over', async (t) => {
  const { daemon, settings, store, files } = bench(t);
  await daemon().set(settings);
  const [key, value] = [...store.values][0]!;
  rmSync(join(settings.confDir, NAME));
  for (const bytes of [
    value.subarray(1),
    new Uint8Array(0),
    Uint8Array.of(0xc0),
    Uint8Array.of(0x93, 1, 2, 3),
  ]) {
    store.values.set(key, bytes);
    await daemon().start();
    t.deepEqual(files(), []);
  }
});

function hasFile(files: () => string[]): boolean {
  try {
    return files().includes(NAME);
  } catch {
    return false;
  }
}
