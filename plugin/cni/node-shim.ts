import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { dirname, join } from 'node:path';
import { setTimeout as startTimer } from 'node:timers';
import { setTimeout } from 'node:timers/promises';
import { encodeCallBody } from './call-body.ts';
import { CNI_CODES } from './cni-error.ts';
import { COMMANDS } from './invocation.ts';
import { isSupported, NEWEST_VERSION, SUPPORTED_VERSIONS } from './spec-version.ts';

/**
 * The program in /opt/cni/bin where no C compiler was at hand (`weave-ts cni install --node`). It does what
 * native/shim does, in the time that Node takes to start.
 */

const DEFAULT_SOCKET = '/run/weave-ts/api.sock';
const INPUT_LIMIT = 4 << 20;
const ANSWER_LIMIT = 16 << 20;
/** Milliseconds: how long an absent daemon is waited for, and how long the answer. */
const TIMES = { patience: 10_000, deadline: 30_000 };
const RETRY_MS = 50;
const PASSED_ON = ['CNI_COMMAND', 'CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME', 'CNI_ARGS', 'CNI_PATH'];

type Fail = (code: number, msg: string, details?: string) => void;

type Input =
  | { readonly type: 'read'; readonly text: string }
  | { readonly type: 'unreadable'; readonly reason: string }
  | { readonly type: 'too-long' };

type Outcome =
  | { readonly type: 'answered'; readonly status: number; readonly output: string }
  | { readonly type: 'absent' | 'late' | 'broken' | 'strange' }
  | { readonly type: 'impossible'; readonly reason: string };

/** What waits for nobody, such as the writing of an answer that nobody reads, is cut off so much later. */
const GRACE_MS = 2_000;
/** Whoever asks for the state of a daemon that hangs wants to know that soon. */
const STATUS_DEADLINE = 3_000;

/** `program` is the name under which it is installed. Ends the process. */
export async function runNodeShim(program: string, times = TIMES): Promise<void> {
  const began = performance.now();
  // Whatever becomes of who started it: it does not stay.
  startTimer(() => process.exit(1), times.deadline + GRACE_MS).unref();
  const command = process.env['CNI_COMMAND'] ?? '';
  if (command === '') {
    process.stderr.write(`weave-ts CNI plugin; protocol versions ${SUPPORTED_VERSIONS.join(', ')}\n`, () =>
      process.exit(0),
    );
    return;
  }
  const longest = command === 'STATUS' ? Math.min(times.deadline, STATUS_DEADLINE) : times.deadline;
  const deadline = began + longest;
  const input = await readInput(deadline);
  const text = input.type === 'read' ? input.text : '';
  const fields = textFields(text);
  const fail: Fail = (code, msg, details) => {
    const cniVersion = isSupported(fields.cniVersion ?? '') ? fields.cniVersion : NEWEST_VERSION;
    finish(true, JSON.stringify({ cniVersion, code, msg, details }) + '\n');
  };
  const refusal = refusalOf(command, input, fields);
  if (refusal !== undefined) {
    fail(...refusal);
  } else if (command === 'VERSION') {
    const cniVersion = fields.cniVersion ?? NEWEST_VERSION;
    finish(false, JSON.stringify({ cniVersion, supportedVersions: SUPPORTED_VERSIONS }) + '\n');
  } else {
    const socket = fields.socket ?? (process.env['WEAVE_TS_SOCKET'] || DEFAULT_SOCKET);
    await ask(command, socket, makeBody(program, text), { patience: times.patience, deadline }, fail);
  }
}

/** What is wrong before anybody is asked. */
function refusalOf(command: string, input: Input, fields: TextFields): Parameters<Fail> | undefined {
  if (input.type === 'too-long') return [CNI_CODES.undecodable, 'the configuration is longer than 4 MiB'];
  if (input.type === 'unreadable')
    return [CNI_CODES.inputOutput, 'standard input cannot be read', input.reason];
  if (!COMMANDS.some((known) => known === command))
    return [CNI_CODES.badEnvironment, `CNI_COMMAND is none of ${COMMANDS.join(', ')}`, command];
  if (command !== 'VERSION' && fields.hasBadSocket)
    return [CNI_CODES.badConfiguration, 'socket must be a path in plain characters'];
  return undefined;
}

async function ask(
  command: string,
  socket: string,
  body: Buffer,
  { patience, deadline }: typeof TIMES,
  fail: Fail,
): Promise<void> {
  const waits = command !== 'STATUS' && command !== 'DEL';
  const outcome = await callPatiently(socket, body, waits ? patience : 0, deadline);
  if (outcome.type === 'answered' && (outcome.status === 200 || outcome.status === 422)) {
    finish(outcome.status === 422, outcome.output);
    return;
  }
  if (outcome.type === 'impossible') {
    fail(CNI_CODES.inputOutput, `the socket ${socket} cannot be opened`, outcome.reason);
    return;
  }
  const why = reasonOf(outcome.type, socket);
  if (outcome.type === 'answered' || outcome.type === 'strange') fail(CNI_CODES.failed, why);
  else if (command === 'DEL') keepForLater(socket, body, why, fail);
  else fail(command === 'STATUS' ? CNI_CODES.unavailable : CNI_CODES.tryLater, why);
}

function reasonOf(type: Exclude<Outcome['type'], 'impossible'>, socket: string): string {
  switch (type) {
    case 'absent':
      return `no daemon answers on ${socket}: start one with "weave-ts launch"`;
    case 'late':
      return `the daemon on ${socket} did not answer in time`;
    case 'broken':
      return `the daemon on ${socket} broke off its answer`;
    case 'answered':
    case 'strange':
      return `what answers on ${socket} is not this daemon, or one of another version`;
  }
}

async function callPatiently(
  socket: string,
  body: Buffer,
  patience: number,
  deadline: number,
): Promise<Outcome> {
  const until = performance.now() + patience;
  for (;;) {
    const outcome = await callOnce(socket, body, deadline);
    if (outcome.type !== 'absent' || performance.now() >= until) return outcome;
    await setTimeout(RETRY_MS);
  }
}

function callOnce(socketPath: string, body: Buffer, deadline: number): Promise<Outcome> {
  return new Promise((resolve) => {
    const limit = AbortSignal.timeout(Math.max(1, Math.ceil(deadline - performance.now())));
    const headers = { 'content-type': 'application/x-weave-ts-cni', 'content-length': body.length };
    const options = { socketPath, method: 'POST', path: '/cni', headers, agent: false, signal: limit };
    const call = request(options, (response) => {
      const chunks: Buffer[] = [];
      let length = 0;
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        length += chunk.length;
        if (length > ANSWER_LIMIT) resolve({ type: 'strange' });
      });
      response.on('error', () => resolve({ type: limit.aborted ? 'late' : 'broken' }));
      response.on('end', () => {
        const output = Buffer.concat(chunks).toString();
        if (!response.complete) resolve({ type: 'broken' });
        else resolve({ type: 'answered', status: response.statusCode ?? 0, output });
      });
    });
    call.on('error', (error: NodeJS.ErrnoException) => {
      resolve(limit.aborted ? { type: 'late' } : failedCall(error));
    });
    call.end(body);
  });
}

function failedCall(error: NodeJS.ErrnoException): Outcome {
  const code = error.code ?? '';
  if (['ENOENT', 'ECONNREFUSED', 'EAGAIN', 'ENOTDIR'].includes(code)) return { type: 'absent' };
  if (code.startsWith('HPE_')) return { type: 'strange' };
  if (error.syscall === 'connect') return { type: 'impossible', reason: error.message };
  return { type: 'broken' };
}

function keepForLater(socket: string, body: Buffer, why: string, fail: Fail): void {
  const directory = `${socket.replace(/\.sock$/, '')}.cni-spool`;
  const name = `${String(Date.now()).padStart(15, '0')}000000-${process.pid}-${randomBytes(4).toString('hex')}`;
  const unfinished = join(directory, `.${name}`);
  try {
    for (const folder of [dirname(directory), directory]) {
      if (!existsSync(folder)) mkdirSync(folder, { mode: 0o700 });
    }
    writeFileSync(unfinished, body, { flag: 'wx', mode: 0o600, flush: true });
    renameSync(unfinished, join(directory, `${name}.del`));
    finish(false, '');
  } catch (error) {
    if (existsSync(unfinished)) rmSync(unfinished);
    fail(CNI_CODES.inputOutput, `${why}, and the DEL could not be kept for later`, (error as Error).message);
  }
}

function makeBody(program: string, input: string): Buffer {
  const environment = new Map<string, string>();
  for (const name of PASSED_ON) {
    const value = process.env[name];
    if (value !== undefined) environment.set(name, value);
  }
  environment.set('WEAVE_TS_PROGRAM', program);
  return encodeCallBody({ environment, input });
}

/** An input that neither ends nor fails before `deadline` counts as one that cannot be read. */
async function readInput(deadline: number): Promise<Input> {
  const chunks: Buffer[] = [];
  let length = 0;
  const limit = AbortSignal.timeout(Math.max(1, Math.ceil(deadline - performance.now())));
  limit.addEventListener('abort', () => process.stdin.destroy());
  try {
    for await (const chunk of process.stdin) {
      chunks.push(chunk as Buffer);
      length += (chunk as Buffer).length;
      if (length > INPUT_LIMIT) return { type: 'too-long' };
    }
  } catch (error) {
    if (!limit.aborted) return { type: 'unreadable', reason: (error as Error).message };
  }
  if (limit.aborted) return { type: 'unreadable', reason: 'it did not end in time' };
  return { type: 'read', text: Buffer.concat(chunks).toString() };
}

interface TextFields {
  readonly cniVersion?: string;
  readonly socket?: string;
  /** There is something under `socket` that cannot be one. */
  readonly hasBadSocket: boolean;
}

function textFields(input: string): TextFields {
  let value: unknown;
  try {
    value = JSON.parse(input);
  } catch {
    return { hasBadSocket: false };
  }
  if (typeof value !== 'object' || value === null) return { hasBadSocket: false };
  const { cniVersion, socket } = value as Record<string, unknown>;
  return {
    ...(typeof cniVersion === 'string' && cniVersion !== '' ? { cniVersion } : {}),
    ...(typeof socket === 'string' && socket !== '' ? { socket } : {}),
    hasBadSocket: socket !== undefined && socket !== null && !isPath(socket),
  };
}

function isPath(socket: unknown): boolean {
  return typeof socket === 'string' && !socket.includes('\0');
}

/** Whatever is still under way ends with the process. */
function finish(failed: boolean, output: string): void {
  const code = failed ? 1 : 0;
  process.stdout.on('error', () => process.exit(1));
  process.stdout.write(output, (error) => process.exit(error ? 1 : code));
}
