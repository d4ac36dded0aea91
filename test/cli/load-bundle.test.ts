import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { cachePath, compileBody, loadBody } from '../../cli/load-bundle.ts';

const DIST = fileURLToPath(new URL('../../', import.meta.url));
/** In a process of its own: flags are of the whole process. Prints each body that V8 takes the compiled form of. */
const PROBE = `
  import { readFileSync } from 'node:fs';
  const [dist, ...bodies] = process.argv.slice(1);
  const { cachePath, compileBody } = await import(dist + 'cli/load-bundle.js');
  const { optimizeLater } = await import(dist + 'cli/compiler-pace.js');
  for (const body of bodies) {
    if (body.includes('-thread-')) optimizeLater();
    if (compileBody(body, readFileSync(cachePath(body))).cachedDataRejected === false) console.log(body);
  }`;

test('V8 takes the compiled form of every program and thread of the bundle', (t) => {
  const names = readdirSync(join(DIST, 'bundle')).filter((name) =>
    /^(?!load-).*-[A-Z0-9]{8}\.js$/.test(name),
  );
  const programs = names.filter((name) => !name.includes('-thread-'));
  const threads = names.filter((name) => name.includes('-thread-'));
  t.is(programs.length, 2);
  t.is(threads.length, 2);
  const bodies = [...programs, ...threads].map((name) => join(DIST, 'bundle', name));
  const taken = execFileSync(process.execPath, ['--input-type=module', '-e', PROBE, DIST, ...bodies]);
  t.deepEqual(taken.toString().trim().split('\n'), bodies);
});

for (const [what, cache] of [
  ['without a compiled form', undefined],
  ['with one that was cut off', 'cut'],
  ['with one that is something else', 'else'],
] as const) {
  test(`a body ${what} runs all the same`, (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'weave-ts-bundle-'));
    t.teardown(() => rmSync(folder, { recursive: true }));
    const [body, other, told] = ['body.js', 'other.js', 'told'].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ];
    writeFileSync(body, `require('node:fs').writeFileSync(${JSON.stringify(told)}, __dirname)`);
    writeFileSync(other, 'exports.x = 1;');
    // Of another body: V8 remembers what it has compiled, and does not look at what it is given then.
    const whole = compileBody(other, undefined).createCachedData();
    const bytes = cache === 'cut' ? whole.subarray(0, whole.length >> 1) : Buffer.from('something else');
    if (cache !== undefined) writeFileSync(cachePath(body), bytes);
    loadBody(body);
    t.is(readFileSync(told, 'utf8'), folder);
  });
}
