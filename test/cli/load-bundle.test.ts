import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { cachePath, compileBody, compiledForm, loadBody, sealed } from '../../cli/load-bundle.ts';

const DIST = fileURLToPath(new URL('../../', import.meta.url));
/** In a process of its own: flags are of the whole process. Prints each body that V8 takes the compiled form of. */
const PROBE = `
  const [dist, ...bodies] = process.argv.slice(1);
  const { compileBody, compiledForm } = await import(dist + 'cli/load-bundle.js');
  const { optimizeLater } = await import(dist + 'cli/compiler-pace.js');
  for (const body of bodies) {
    if (body.includes('-thread-')) optimizeLater();
    if (compileBody(body, compiledForm(body)).cachedDataRejected === false) console.log(body);
  }`;

function bodies(): string[] {
  const names = readdirSync(join(DIST, 'bundle')).filter((name) =>
    /^(?!load-).*-[A-Z0-9]{8}\.js$/.test(name),
  );
  const programs = names.filter((name) => !name.includes('-thread-'));
  const threads = names.filter((name) => name.includes('-thread-'));
  return [...programs, ...threads].map((name) => join(DIST, 'bundle', name));
}

test('V8 takes the compiled form of every program and thread of the bundle', (t) => {
  t.is(bodies().length, 4);
  const taken = execFileSync(process.execPath, ['--input-type=module', '-e', PROBE, DIST, ...bodies()]);
  t.deepEqual(taken.toString().trim().split('\n'), bodies());
});

test('what is bundled is as strict as the modules that it is made of', (t) => {
  for (const body of bodies()) t.regex(readFileSync(body, 'latin1'), /^\n?['"]use strict['"];/, body);
});

interface Damage {
  readonly what: string;
  /** What lies where the compiled form should, given a right one; undefined: nothing. */
  readonly of: (file: Buffer) => Buffer | undefined;
}

const damages: readonly Damage[] = [
  { what: 'no compiled form', of: () => undefined },
  { what: 'an empty one', of: () => Buffer.alloc(0) },
  { what: 'one that was cut off', of: (file) => file.subarray(0, file.length >> 1) },
  {
    what: 'one whose end is zeros',
    of: (file) => Buffer.concat([file.subarray(0, 200), Buffer.alloc(file.length - 200)]),
  },
  {
    what: 'one with a bit that fell over',
    of: (file) => file.map((byte, i) => (i === file.length >> 1 ? byte ^ 1 : byte)) as Buffer,
  },
  {
    what: 'one of another build of Node.js',
    of: (file) => file.map((byte, i) => (i === 0 ? byte ^ 1 : byte)) as Buffer,
  },
];

for (const { what, of } of damages) {
  test(`a body with ${what} runs, compiled afresh`, (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'weave-ts-bundle-'));
    t.teardown(() => rmSync(folder, { recursive: true }));
    const [body, told] = [join(folder, 'body.js'), join(folder, 'told')];
    writeFileSync(body, `require('node:fs').writeFileSync(${JSON.stringify(told)}, __dirname)`);
    const file = sealed(compileBody(body, undefined).createCachedData());
    writeFileSync(cachePath(body), file);
    t.deepEqual(compiledForm(body), file.subarray(4));
    const damaged = of(file);
    if (damaged === undefined) rmSync(cachePath(body));
    else writeFileSync(cachePath(body), damaged);
    t.is(compiledForm(body), undefined);
    loadBody(body);
    t.is(readFileSync(told, 'utf8'), folder);
  });
}
