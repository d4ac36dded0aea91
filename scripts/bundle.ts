import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

/**
 * Puts what is built into a few files in dist/bundle, which are what is launched: Node.js takes longer to find and load
 * some three hundred modules than to run them (docs/adr/0019-bundle.md). Beside the program itself only files that it
 * looks for by their place have an entry. Part of `npm run build:ts`.
 */
const DIST = fileURLToPath(new URL('../', import.meta.url));
const BUNDLE = join(DIST, 'bundle');
/** What tells whether the bundle is of the last build, so it is written last: scripts/built-cli.ts. */
const MAIN = 'main.js';

const ENTRIES = [
  'cli/main.js',
  'cli/daemon-process.js',
  'router/loop/data-thread.js',
  'router/loop/lane-thread.js',
];
/** They load native code, which they find by where they lie. */
const NOT_BUNDLED = ['lmdb', 'msgpackr-extract'];
/** CommonJS inside the bundle asks for Node's own modules. */
const REQUIRE =
  "import { createRequire as makeRequire } from 'node:module';const require=makeRequire(import.meta.url);";

const { outputFiles } = await build({
  entryPoints: ENTRIES.map((path) => join(DIST, path)),
  outdir: BUNDLE,
  entryNames: '[name]',
  chunkNames: 'shared-[hash]',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  minifyWhitespace: true,
  // So that the place in a stack trace says something.
  lineLimit: 200,
  external: NOT_BUNDLED,
  banner: { js: REQUIRE },
  logLevel: 'warning',
  write: false,
});

mkdirSync(BUNDLE, { recursive: true });
const inOrder = [...outputFiles].sort((a, b) => Number(isMain(a.path)) - Number(isMain(b.path)));
for (const { path, contents } of inOrder) replace(path, contents);
const made = new Set(outputFiles.map(({ path }) => basename(path)));
for (const name of readdirSync(BUNDLE)) if (!made.has(name)) rmSync(join(BUNDLE, name));

function isMain(path: string): boolean {
  return basename(path) === MAIN;
}

/** Whole or not at all, and without need not at all: somebody may be starting from it. */
function replace(path: string, contents: Uint8Array): void {
  if (!isMain(path) && existsSync(path) && readFileSync(path).equals(contents)) return;
  writeFileSync(`${path}.new`, contents);
  renameSync(`${path}.new`, path);
}
