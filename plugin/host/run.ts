import { spawn } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import { join } from 'node:path';
import type { ChildProcessWithoutNullStreams } from 'node:child_process';

export interface RunOptions {
  /** Written to standard input, which is then closed. */
  readonly input?: string;
  readonly timeoutMs?: number;
  /** Bytes of standard output that are accepted. */
  readonly maxOutput?: number;
}

const DEFAULT_TIMEOUT_MS = 20_000;
const DEFAULT_MAX_OUTPUT = 64 * 1024 * 1024;
const MAX_STDERR = 64 * 1024;

/** Why a program did not do its work; the message carries the first line of its standard error. */
export class CommandError extends Error {
  override name = 'CommandError';
  readonly program: string;
  /** Exit code, or undefined if it could not be started, was killed, or ran out of time. */
  readonly code: number | undefined;
  /** The errno of a start that failed ('ENOENT': no such program). */
  readonly errno: string | undefined;
  /** At most 64 KiB. */
  readonly stderr: string;

  constructor(program: string, reason: string, details: Partial<CommandError>) {
    super(`${program}: ${reason}`);
    this.program = program;
    this.code = details.code;
    this.errno = details.errno;
    this.stderr = details.stderr ?? '';
  }
}

/**
 * Runs a program by its argument list, never through a shell, with a clean environment (no passwords in it) and
 * bounded time and output. Resolves to standard output; rejects with {@link CommandError}.
 */
export function runProgram(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, [...args], { stdio: 'pipe', env: commandEnvironment() });
    child.on('error', (error: NodeJS.ErrnoException) => {
      reject(new CommandError(program, startFailure(error), { errno: error.code }));
    });
    // It did not start; where no descriptors are left it has no pipes either.
    if (child.pid === undefined) return;
    const output = new BoundedOutput(child, options.maxOutput ?? DEFAULT_MAX_OUTPUT);
    let failure: string | undefined;
    const timer = setTimeout(() => {
      failure = 'no answer in time';
      child.kill('SIGKILL');
    }, options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
    child.on('close', (code) => {
      clearTimeout(timer);
      const stderr = output.stderr();
      const reason = failure ?? output.failure ?? (code === 0 ? undefined : describeExit(code, stderr));
      if (reason === undefined) resolve(output.stdout());
      else reject(new CommandError(program, reason, { code: code ?? undefined, stderr }));
    });
    // A program that exits without reading its input is judged by its exit code alone.
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.input ?? '');
  });
}

/** Whether {@link runProgram} would find the program, without starting it. */
export async function findProgram(
  program: string,
  path = commandEnvironment()['PATH'],
): Promise<'there' | 'missing' | 'not executable'> {
  let found: 'missing' | 'not executable' = 'missing';
  for (const folder of (path ?? '').split(':')) {
    try {
      await access(join(folder, program), constants.X_OK);
      return 'there';
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EACCES') found = 'not executable';
    }
  }
  return found;
}

/** Collects what a child writes, and kills it when that is too much. */
class BoundedOutput {
  failure: string | undefined;
  readonly #stdout: Buffer[] = [];
  readonly #stderr: Buffer[] = [];

  constructor(child: ChildProcessWithoutNullStreams, maxOutput: number) {
    let size = 0;
    child.stdout.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= maxOutput) return void this.#stdout.push(chunk);
      this.failure = 'too much output';
      child.kill('SIGKILL');
    });
    let errorSize = 0;
    child.stderr.on('data', (chunk: Buffer) => {
      errorSize += chunk.length;
      if (errorSize <= MAX_STDERR) this.#stderr.push(chunk);
    });
  }

  stdout(): string {
    return Buffer.concat(this.#stdout).toString('utf8');
  }

  stderr(): string {
    return Buffer.concat(this.#stderr).toString('utf8');
  }
}

/**
 * The system folders go first: npm puts the commands of packages, one named "nft" among them, before them. They are
 * there at all because a daemon started by cron or su may not have them in its PATH.
 */
function commandEnvironment(): NodeJS.ProcessEnv {
  const inherited = process.env['PATH'] ?? '';
  const system = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
  return { PATH: inherited === '' ? system : `${system}:${inherited}`, LC_ALL: 'C' };
}

function startFailure(error: NodeJS.ErrnoException): string {
  return error.code === 'ENOENT' ? 'no such program' : error.message;
}

function describeExit(code: number | null, stderr: string): string {
  const first = stderr
    .split('\n')
    .map((line) => line.trim())
    .find((line) => line !== '');
  return first ?? (code === null ? 'killed' : `exit code ${code}`);
}
