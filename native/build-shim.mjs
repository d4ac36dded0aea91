/**
 * Builds the program that `weave-ts cni install` puts into /opt/cni/bin: static, so that it runs wherever the runtime
 * does; with musl (Debian: musl-tools) it is a tenth of the size. `CC` names another compiler.
 * `--times PATIENCE DEADLINE FILE` builds one for tests to FILE, which waits so many milliseconds.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { compile, fail, here } from './toolchain.mjs';

const compilers = [process.env.CC, 'musl-gcc', 'cc'].filter((name) => name !== undefined);
const compiler = compilers.find((name) => spawnSync(name, ['--version']).error === undefined);
if (compiler === undefined) fail(`there is no C compiler: install gcc or clang (Debian: apt install gcc).`);

const timesAt = process.argv.indexOf('--times');
const [patience, deadline, timedOutput] = timesAt < 0 ? [] : process.argv.slice(timesAt + 1);
const options = [
  '-Os',
  '-s',
  '-static',
  '-ffunction-sections',
  '-Wl,--gc-sections',
  ...(patience === undefined ? [] : [`-DPATIENCE=${patience}`, `-DDEADLINE=${deadline}`]),
];
const output = timedOutput ?? join(here, 'build', 'weave-ts-cni');
compile(compiler, options, 'shim', output, 'the CNI program');
