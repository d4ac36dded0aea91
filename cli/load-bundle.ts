import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { constants, Script } from 'node:vm';

type Body = (
  exports: unknown,
  require: NodeJS.Require,
  module: { exports: unknown },
  filename: string,
  folder: string,
) => void;

/** Where the compiled form of a file of the bundle is. V8 takes that of another version of its own for what it is not. */
export function cachePath(body: string): string {
  return body.replace(/\.js$/, `.${process.version}-${process.arch}.cache`);
}

/**
 * The CommonJS module in `body`, a path, as a script. Where there is no cache, or V8 does not take it, as it is started with
 * other flags, it is compiled as any other.
 */
export function compileBody(body: string, cachedData: Buffer | undefined): Script {
  // Latin-1 is read as it is, and esbuild writes ASCII.
  const source = readFileSync(body, 'latin1');
  return new Script(`(function (exports, require, module, __filename, __dirname) {${source}\n})`, {
    filename: body,
    cachedData,
    importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  });
}

/** Runs the program, or the thread, in `body`. */
export function loadBody(body: string): void {
  const run = compileBody(body, cacheOf(body)).runInThisContext() as Body;
  const module = { exports: {} };
  run(module.exports, createRequire(body), module, body, dirname(body));
}

function cacheOf(body: string): Buffer | undefined {
  try {
    return readFileSync(cachePath(body));
  } catch {
    return undefined;
  }
}
