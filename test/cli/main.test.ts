import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import test from 'ava';

const MAIN = fileURLToPath(new URL('../../cli/main.js', import.meta.url));
const GENERAL = 'weave-ts --help lists commands and flags';

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The program with these words and, of the environment, only PATH and what is given. */
async function weave(args: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<Outcome> {
  const env = { PATH: process.env['PATH'], ...environment };
  const child = spawn(process.execPath, [MAIN, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise<number>((resolve) => child.on('close', (code) => resolve(code ?? -1)));
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  return { code, stdout, stderr };
}

for (const [args, sentence, hint] of [
  [['bogus'], "unknown command 'bogus'", GENERAL],
  [['bogus', '--help'], "unknown command 'bogus'", GENERAL],
  [['help', 'bogus'], "unknown command 'bogus'", GENERAL],
  [[], 'a command is missing', GENERAL],
  [['--socket', '/x'], 'a command is missing', GENERAL],
  [['--socket=/x'], 'a command is missing', GENERAL],
  [['--bogus'], "unknown option '--bogus'", GENERAL],
  [['--socket'], "option '--socket <path>' argument missing", GENERAL],
  [['cni', '-x'], "unknown option '-x'", 'weave-ts cni --help lists commands and flags'],
  [['statsu'], "unknown command 'statsu' (Did you mean status?)", GENERAL],
  [['cni', 'bogus', '-h'], "unknown command 'bogus'", 'weave-ts cni --help lists commands and flags'],
  [
    ['--socket', '/x', 'ipam'],
    'a command is missing after "weave-ts ipam"',
    'weave-ts ipam --help lists commands and flags',
  ],
  [['status', '--bogus'], "unknown option '--bogus'", 'weave-ts status --help lists its arguments and flags'],
  [['attach'], "missing required argument 'target'", 'weave-ts attach --help lists its arguments and flags'],
  [
    ['ps', 'surplus'],
    "too many arguments for 'ps'. Expected 0 arguments but got 1.",
    'weave-ts ps --help lists its arguments and flags',
  ],
] as const) {
  test(`"${args.join(' ')}" exits 2 with one line: ${sentence}`, async (t) => {
    t.deepEqual(await weave(args), { code: 2, stdout: '', stderr: `weave-ts: ${sentence} (${hint})\n` });
  });
}

test('an empty argument exits 1 and is named', async (t) => {
  const empty = await weave(['rmpeer', 'host1', '']);
  t.deepEqual(empty, {
    code: 1,
    stdout: '',
    stderr: 'weave-ts: the argument "peer" is empty: name it, or leave it out\n',
  });
});

test('help and version are answers, however they are asked for', async (t) => {
  const [help, flag, version, versionFlag, shortFlag] = await Promise.all(
    [['help', 'launch'], ['launch', '--help'], ['version'], ['--version'], ['-V']].map((args) => weave(args)),
  );
  t.regex(help!.stdout, /Usage: weave-ts launch/);
  t.deepEqual(help, flag);
  t.notRegex(help!.stdout, /WEAVE_TS_(HELP|VERSION|PASSWORD)\b/, 'variables that nobody reads');
  t.deepEqual(version, versionFlag);
  t.deepEqual(version, shortFlag);
  t.regex(version!.stdout, /^weave-ts \d+\.\d+\.\d+\n$/);
  t.is(version!.code, 0);
  const json = await weave(['version', '--json']);
  t.deepEqual(JSON.parse(json.stdout), { version: version!.stdout.trim().split(' ')[1] });
});

test('the environment reaches the program and its commands, and a bad variable exits 1', async (t) => {
  const socket = { WEAVE_TS_SOCKET: '/nonexistent/api.sock' };
  const absent = await weave(['status'], socket);
  t.deepEqual([absent.code, absent.stdout], [3, '']);
  t.regex(absent.stderr, /^weave-ts: .*\/nonexistent\/api\.sock.*\n$/);
  t.deepEqual(await weave(['stop'], { ...socket, WEAVE_TS_CLEAN: 'maybe' }), {
    code: 1,
    stdout: '',
    stderr: 'weave-ts: WEAVE_TS_CLEAN "maybe" is neither yes nor no: write 1 or 0\n',
  });
  t.regex((await weave(['attach', '--help'])).stdout, /WEAVE_TS_DEFAULT_ROUTE/);
});

test('help of the program and of each group of commands ends with examples', async (t) => {
  for (const args of [['--help'], ['cni', '--help'], ['ipam', '--help']]) {
    t.regex((await weave(args)).stdout, /\nExamples?:\n {2}weave-ts /, args.join(' '));
  }
});

test('a socket path that no socket can have is a bad value', async (t) => {
  const path = `/${'x'.repeat(107)}`;
  t.deepEqual(await weave(['--socket', path, 'status']), {
    code: 1,
    stdout: '',
    stderr: `weave-ts: the socket path ${path} is too long: choose a --socket of at most 107 bytes\n`,
  });
});

test('words that are not UTF-8 are refused by their position, as two that differ would look the same', async (t) => {
  const shell = spawn('bash', ['-c', `exec "$0" "$1" release $'\\xff'`, process.execPath, MAIN]);
  const ended = new Promise((resolve) => shell.on('close', resolve));
  t.is(await text(shell.stderr), 'weave-ts: argument 2 is not UTF-8 text: write it in that encoding\n');
  t.is(await ended, 1);
});

test('a bad subnet is a bad value, told with what would be right', async (t) => {
  t.deepEqual(await weave(['allocate', 'a', '10.32.0.0/24']), {
    code: 1,
    stdout: '',
    stderr: 'weave-ts: "10.32.0.0/24" is not a subnet: write net:A.B.C.D/N or net:default\n',
  });
});

test('the exit code says what was wrong even where the sentence cannot be written', async (t) => {
  const full = openSync('/dev/full', 'w');
  t.teardown(() => closeSync(full));
  for (const [args, code] of [
    [['bogus'], 2],
    [['--socket', '/nonexistent/api.sock', 'status'], 3],
  ] as const) {
    const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'ignore', full] });
    t.is(await new Promise((resolve) => child.on('close', resolve)), code);
  }
});

test('output that cannot be written exits 1 with one line', async (t) => {
  const full = openSync('/dev/full', 'w');
  t.teardown(() => closeSync(full));
  const child = spawn(process.execPath, [MAIN, 'version'], { stdio: ['ignore', full, 'pipe'] });
  const ended = new Promise((resolve) => child.on('close', resolve));
  t.is(await text(child.stderr!), 'weave-ts: cannot write the output (ENOSPC)\n');
  t.is(await ended, 1);
});
