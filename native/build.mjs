/**
 * Builds the addon with the C compiler alone: `node native/build.mjs [--sanitize]`.
 * Node carries OpenSSL and libuv and ships their headers beside its own, so there is nothing to link.
 * `--sanitize` builds native/build/weave_ts.asan.node for AddressSanitizer and UndefinedBehaviorSanitizer.
 * `--counter-limit N FILE` builds one for tests to FILE, whose keys seal N datagrams; `--cipher-by-evp FILE` one that does
 * without what some builds of Node hide.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { compile, fail, here, nodeHeaders } from './toolchain.mjs';

const sanitize = process.argv.includes('--sanitize');
const limitAt = process.argv.indexOf('--counter-limit');
const [counterLimit, limitedOutput] = limitAt < 0 ? [] : process.argv.slice(limitAt + 1);
const evpAt = process.argv.indexOf('--cipher-by-evp');
const evpOutput = evpAt < 0 ? undefined : process.argv[evpAt + 1];
const compiler = process.env.CC ?? 'cc';
const mode = sanitize
  ? [
      '-O1',
      '-g',
      '-fno-omit-frame-pointer',
      '-fsanitize=address,undefined',
      '-fno-sanitize-recover=undefined',
    ]
  : ['-O3', '-g'];

if (process.platform !== 'linux') fail('the addon is for Linux.');
if (spawnSync(compiler, ['--version']).error !== undefined) {
  fail(
    `there is no C compiler "${compiler}": install gcc or clang (Debian: apt install gcc), or name one in CC.`,
  );
}

const output =
  limitedOutput ?? evpOutput ?? join(here, 'build', sanitize ? 'weave_ts.asan.node' : 'weave_ts.node');
const options = [
  ...mode,
  '-fPIC',
  '-shared',
  '-fvisibility=hidden',
  '-DNAPI_VERSION=8',
  ...(counterLimit === undefined ? [] : [`-DCOUNTER_LIMIT=${counterLimit}`]),
  ...(evpOutput === undefined ? [] : ['-DCIPHER_BY_EVP']),
  // Not ours to warn about.
  '-isystem',
  nodeHeaders(),
];
compile(compiler, options, 'src', output, 'the addon');
