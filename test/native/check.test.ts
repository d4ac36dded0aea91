import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { run } from '../../scripts/run.ts';

/** The package, from dist/test/native. */
const NATIVE = fileURLToPath(new URL('../../../native/', import.meta.url));
const SOURCES = [
  'checksum',
  'cut',
  'flow_table',
  'frame_layout',
  'join',
  'link_news',
  'replay_window',
  'segment',
  'stand_in',
  'tap_writer',
  'u32_map',
];

const { nodeHeaders } = (await import(new URL('toolchain.mjs', `file://${NATIVE}`).href)) as {
  nodeHeaders: () => string;
};

test('replay window and tables in C do as slow models, no frame is read beyond its end, and no message to a loop is lost', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'weave-native-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const program = join(folder, 'check');
  const compiled = await run([
    process.env['CC'] ?? 'cc',
    ...['-std=gnu11', '-D_GNU_SOURCE', '-O1', '-g', '-Wall', '-Wextra', '-Werror'],
    ...['-isystem', nodeHeaders()],
    ...['-fsanitize=address,undefined', '-fno-sanitize-recover=undefined'],
    ...['check', 'check_cipher'].map((name) => join(NATIVE, 'test', `${name}.c`)),
    ...SOURCES.map((name) => join(NATIVE, 'src', `${name}.c`)),
    ...['-o', program],
  ]);
  t.is(compiled.stderr, '');
  const { stdout, stderr, code } = await run([program]);
  t.is(stderr, '');
  const wide = stdout.replace('this processor cannot run the wide cipher\n', '');
  if (wide !== stdout) t.log('the wide cipher was not checked: this processor has no AVX-512 IFMA');
  t.is(wide, 'all of it holds\n');
  t.is(code, 0);
});
