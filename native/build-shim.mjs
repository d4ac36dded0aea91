/**
 * Builds the program that `weave-ts cni install` puts into /opt/cni/bin: static, so that it runs wherever the runtime
 * does; with musl (Debian: musl-tools) it is a tenth of the size. `CC` names another compiler.
 * `--times PATIENCE DEADLINE FILE` builds one for tests to FILE, which waits so many milliseconds.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fail, here, warnings } from './toolchain.mjs';

const compilers = [process.env.CC, 'musl-gcc', 'cc'].filter((name) => name !== undefined);
const compiler = compilers.find((name) => spawnSync(name, ['--version']).error === undefined);
if (compiler === undefined) fail(`there is no C compiler: install gcc or clang (Debian: apt install gcc).`);

const timesAt = process.argv.indexOf('--times');
const [patience, deadline, timedOutput] = timesAt < 0 ? [] : process.argv.slice(timesAt + 1);
const folder = join(here, 'shim');
const output = timedOutput ?? join(here, 'build', 'weave-ts-cni');
const unfinished = `${output}.${process.pid}`;
mkdirSync(dirname(output), { recursive: true });
const { status } = spawnSync(
  compiler,
  [
    '-std=gnu11',
    '-D_GNU_SOURCE',
    '-Os',
    '-s',
    '-static',
    '-ffunction-sections',
    '-Wl,--gc-sections',
    ...(patience === undefined ? [] : [`-DPATIENCE=${patience}`, `-DDEADLINE=${deadline}`]),
    ...warnings,
    ...readdirSync(folder)
      .filter((name) => name.endsWith('.c'))
      .sort()
      .map((name) => join(folder, name)),
    '-o',
    unfinished,
  ],
  { stdio: 'inherit' },
);
if (status !== 0) {
  rmSync(unfinished, { force: true });
  fail('the CNI program did not compile.');
}
renameSync(unfinished, output);
