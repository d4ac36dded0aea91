import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { constants, Script } from 'node:vm';
import { crc32 } from 'node:zlib';

type Body = (
  exports: unknown,
  require: NodeJS.Require,
  module: { exports: unknown },
  filename: string,
  folder: string,
) => void;

const CHECKSUM_BYTES = 4;

/** Where the compiled form of a file of the bundle is. */
export function cachePath(body: string): string {
  return body.replace(/\.js$/, '.cache');
}

/**
 * The CommonJS module in `body`, a path, as a script. Without `compiled`, or where V8 does not take it, as it was started with
 * other flags, it is compiled as any other.
 */
export function compileBody(body: string, compiled: Buffer | undefined): Script {
  // Latin-1 is read as it is, and esbuild writes ASCII.
  const source = readFileSync(body, 'latin1');
  return new Script(`(function (exports, require, module, __filename, __dirname) {${source}\n})`, {
    filename: body,
    cachedData: compiled,
    importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  });
}

/** Runs the program, or the thread, in `body`. */
export function loadBody(body: string): void {
  const run = compileBody(body, compiledForm(body)).runInThisContext() as Body;
  const module = { exports: {} };
  run(module.exports, createRequire(body), module, body, dirname(body));
}

/** What a file with the compiled form of a body holds: a checksum, u32 LE, and what V8 made. */
export function sealed(compiled: Buffer): Buffer {
  const checksum = Buffer.alloc(CHECKSUM_BYTES);
  checksum.writeUInt32LE(checksumOf(compiled));
  return Buffer.concat([checksum, compiled]);
}

/**
 * The compiled form of a body; undefined if there is none that this very build of Node.js made, whole: V8 looks at its own
 * version and at lengths, and where the rest is damaged it ends the process.
 */
export function compiledForm(body: string): Buffer | undefined {
  try {
    const file = readFileSync(cachePath(body));
    const compiled = file.subarray(CHECKSUM_BYTES);
    return file.readUInt32LE(0) === checksumOf(compiled) ? compiled : undefined;
  } catch {
    return undefined;
  }
}

/** Of the build of Node.js, too. */
function checksumOf(compiled: Buffer): number {
  const build = JSON.stringify([process.version, process.arch, process.config.variables]);
  return crc32(compiled, crc32(build));
}
