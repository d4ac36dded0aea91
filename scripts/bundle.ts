import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { build } from 'esbuild';
import { optimizeLater } from '../cli/compiler-pace.ts';
import { cachePath, compileBody, sealed } from '../cli/load-bundle.ts';

/**
 * Puts what is built into a few files in dist/bundle, which are what is launched: Node.js takes longer to find and load
 * some three hundred modules than to run them, and V8 as long to compile them (docs/adr/0019-bundle.md,
 * docs/adr/0027-compiled-bundle.md). Each entry is a body under a name of its own for each content, its compiled form, and
 * a stub under the name by which it is started. Part of `npm run build:ts`.
 */
const DIST = fileURLToPath(new URL('../', import.meta.url));
const BUNDLE = join(DIST, 'bundle');
/** What tells whether the bundle is of the last build, so it is written last: scripts/built-cli.ts. */
const MAIN = 'main';
const LOADER = 'load-bundle';
const PROGRAMS = ['cli/daemon-process.js', 'cli/main.js'];
/** They start when the program has set how V8 optimizes, which is part of what their compiled form is made for. */
const THREADS = ['router/loop/data-thread.js', 'router/loop/lane-thread.js'];
/** It loads native code, which it finds by where it lies. */
const NOT_BUNDLED = ['lmdb', 'msgpackr-extract'];

const { outputFiles } = await build({
  entryPoints: [`cli/${LOADER}.js`, ...THREADS, ...PROGRAMS].map((path) => join(DIST, path)),
  outdir: BUNDLE,
  entryNames: '[name]-[hash]',
  bundle: true,
  format: 'cjs',
  platform: 'node',
  target: 'node20.19',
  minifyWhitespace: true,
  // So that the place in a stack trace says something.
  lineLimit: 200,
  external: NOT_BUNDLED,
  define: { 'import.meta.url': 'moduleUrl' },
  // As in the modules that it is made of.
  banner: { js: "'use strict';const moduleUrl=require('node:url').pathToFileURL(__filename).href;" },
  logLevel: 'warning',
  write: false,
});

const bodies = new Map(
  outputFiles.map(({ path, text }) => [basename(path).replace(/-[^-]*$/, ''), { path, text }]),
);
const made = new Set(['package.json']);
mkdirSync(BUNDLE, { recursive: true });
write(join(BUNDLE, 'package.json'), '{ "type": "commonjs" }\n');
for (const { path, text } of bodies.values()) write(path, text.replace(/^#!.*/, ''));
for (const entry of PROGRAMS) compile(bodies.get(basename(entry, '.js'))!.path);
optimizeLater();
for (const entry of THREADS) compile(bodies.get(basename(entry, '.js'))!.path);
const loader = basename(bodies.get(LOADER)!.path);
for (const name of [...THREADS, ...PROGRAMS].map((path) => basename(path, '.js'))) {
  const body = basename(bodies.get(name)!.path);
  const stub = `#!/usr/bin/env node\nrequire('./${loader}').loadBody(require('node:path').join(__dirname, '${body}'));\n`;
  write(join(BUNDLE, `${name}.js`), stub, name === MAIN);
}
for (const name of readdirSync(BUNDLE)) if (!made.has(name)) rmSync(join(BUNDLE, name));

/** All functions, called or not: what a daemon runs once at its start is most of what there is. */
function compile(body: string): void {
  setFlagsFromString('--no-lazy');
  const script = compileBody(body, undefined);
  // V8 takes only what was made under the flags that it runs with.
  setFlagsFromString('--lazy');
  write(cachePath(body), sealed(script.createCachedData()), true);
}

/**
 * Whole or not at all, and unless `always` without need not at all: somebody may be starting from it. What has a first line
 * for the system can be executed, as `npm link` sees to that only once.
 */
function write(path: string, contents: string | Buffer, always = false): void {
  made.add(basename(path));
  if (!always && existsSync(path) && readFileSync(path, 'latin1') === contents) return;
  const fresh = `${path}.${process.pid}`;
  const isProgram = typeof contents === 'string' && contents.startsWith('#!');
  writeFileSync(fresh, contents, { flush: true, mode: isProgram ? 0o755 : 0o644 });
  renameSync(fresh, path);
}
