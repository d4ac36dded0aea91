/**
 * Fuzzes what the addon parses with libFuzzer: `node native/fuzz.mjs [--seconds N]`. Needs clang and its runtime.
 * What it finds lies in fuzz-finds/ and is run again by `native/build/fuzz FILE`.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { fail, here, nodeHeaders, warnings } from './toolchain.mjs';

const SOURCES = [
  ...['checksum', 'cut', 'endpoint', 'engine_state', 'event_log', 'flow_table', 'frame_layout'],
  ...['host_frames', 'join', 'replay_window', 'segment', 'send', 'send_queue', 'tap_writer', 'u32_map'],
];
const { values } = parseArgs({ options: { seconds: { type: 'string', default: '60' } } });
const program = join(here, 'build', 'fuzz');

function compile() {
  if (spawnSync('clang', ['--version']).error !== undefined) {
    fail('there is no clang: install it with its runtime (Debian: apt install clang libclang-rt-dev).');
  }
  mkdirSync(join(here, 'build'), { recursive: true });
  const sanitizers = ['-fsanitize=fuzzer,address,undefined', '-fno-sanitize-recover=undefined'];
  const sources = SOURCES.map((name) => join(here, 'src', `${name}.c`));
  const options = [
    '-std=gnu11',
    '-D_GNU_SOURCE',
    '-O1',
    '-g',
    '-DNAPI_VERSION=8',
    ...warnings,
    ...sanitizers,
  ];
  const unused = ['-Wno-unused-function', '-isystem', nodeHeaders()];
  const all = [...options, ...unused, join(here, 'test', 'fuzz.c'), ...sources, '-o', program];
  if (spawnSync('clang', all, { stdio: 'inherit' }).status !== 0) fail('the fuzz target did not compile.');
}

/** TCP over IPv4 and IPv6, datagrams of each kind, and changes of the state: from these the fuzzer goes on. */
function seeds() {
  const tcp = [0, 80, 0, 81, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x10, 1, 0, 0, 0, 0, 0, ...Array(80).fill(5)];
  const macs = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
  const v4 = [...macs, 8, 0, 0x45, 0, 0, 120, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, ...tcp];
  const v6 = [...macs, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 100, 6, 64, ...Array(32).fill(1), ...tcp];
  const udp = [0, 80, 0, 53, 0, 28, 0, 0, ...Array(20).fill(5)];
  const datagram = [...macs, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 28, 17, 64, ...Array(32).fill(1), ...udp];
  const tagged = [...macs, 0x81, 0, 0, 5, ...v6.slice(12)];
  const sealed = [1, 0, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, ...Array(40).fill(0)];
  const plain = [
    2,
    0,
    0,
    0,
    5,
    0,
    0,
    0,
    1,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    ...Array(24).fill(3),
    7,
    ...Array(15).fill(0),
  ];
  const relayed = [1, 0, 0, 0, 6, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, ...Array(40).fill(0)];
  const changes = [
    0, 3, 1, 2, 3, 0, 6, 2, 3, 13, 2, 0, 8, 2, 4, 10, 4, 2, 13, 4, 0, 1, 3, 0, 13, 2, 0, 12, 0, 0,
  ];
  /** One that asks, a decision to repeat (whole, from its source), and two that go by it. */
  const flow = (what, bytes) => {
    const arrival = [what, 0, 0, 0, 46, bytes.length, ...bytes];
    const decision = [what + 1, what === 0 ? 0 : 17, 0, 2, 0, 0];
    return [...arrival, ...decision, ...arrival, ...arrival];
  };
  return [
    ...[v4, v6, tagged, datagram].flatMap((frame) => [
      [0, 0, 90, ...frame],
      [1, 1, 0, frame.length, ...frame, 1, 0, frame.length, ...frame],
    ]),
    ...[sealed, plain, relayed].map((datagram) => [2, 0, 0, ...datagram]),
    [2, 0, 56, ...sealed, ...plain, ...relayed],
    [3, ...changes],
    [4, ...flow(0, v4.slice(0, 60)), ...flow(2, [1, 0, ...v4.slice(0, 60)])],
  ];
}

compile();
const corpus = mkdtempSync(join(tmpdir(), 'weave-fuzz-'));
const finds = join(here, '..', 'fuzz-finds');
mkdirSync(finds, { recursive: true });
for (const [i, seed] of seeds().entries()) writeFileSync(join(corpus, `seed${i}`), Uint8Array.from(seed));
const limits = [`-max_total_time=${values.seconds}`, '-max_len=4096', '-rss_limit_mb=1024', '-timeout=10'];
const { status } = spawnSync(
  program,
  [...limits, '-print_final_stats=1', `-artifact_prefix=${finds}/`, corpus],
  {
    stdio: 'inherit',
  },
);
rmSync(corpus, { recursive: true });
process.exit(status ?? 1);
