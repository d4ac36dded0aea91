import { spawn, type ChildProcess } from 'node:child_process';

/** How a program ended, with all that it printed. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly input?: string | Uint8Array;
  readonly env?: Readonly<Record<string, string>>;
  /** Milliseconds after which the program is killed and the call rejects. */
  readonly limit?: number;
}

/** npm puts node_modules/.bin first, where programs shadow the system's, `nft` among them. */
const SYSTEM_PATH = `/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:${process.env['PATH'] ?? ''}`;
const STANDARD_LIMIT = 60_000;

/** Runs `argv` to its end without a shell. Rejects only if it cannot be started or exceeds its limit. */
export function run(argv: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = start(argv, options);
    let stdout = '';
    let stderr = '';
    child.stdout?.on('data', (chunk) => (stdout += String(chunk)));
    child.stderr?.on('data', (chunk) => (stderr += String(chunk)));
    const limit = options.limit ?? STANDARD_LIMIT;
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new Error(`${argv.join(' ')}: not done after ${limit / 1_000} s; printed: ${stdout}${stderr}`));
    }, limit);
    child.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ code: code ?? 128, stdout, stderr: signal === null ? stderr : `${stderr}(${signal})` });
    });
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(options.input);
  });
}

/** Like {@link run}, for programs that must succeed: returns standard output, rejects with what was printed. */
export async function must(argv: readonly string[], options: RunOptions = {}): Promise<string> {
  const outcome = await run(argv, options);
  if (outcome.code === 0) return outcome.stdout;
  throw new Error(`${argv.join(' ')}: exit ${outcome.code}: ${outcome.stderr}${outcome.stdout}`);
}

/** Starts `argv` and leaves it running; the caller ends it. */
export function start(argv: readonly string[], options: RunOptions = {}): ChildProcess {
  const env = { ...process.env, PATH: SYSTEM_PATH, ...options.env };
  return spawn(argv[0]!, argv.slice(1), { env, stdio: 'pipe' });
}

/** Ends a process by SIGTERM, then SIGKILL after `grace` ms, and waits until it is gone. */
export async function end(child: ChildProcess, grace = 5_000): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('close', resolve));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), grace);
  await gone;
  clearTimeout(timer);
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/**
 * Polls `condition` every `interval` ms until it is true; rejects after `limit` ms, saying `what` did not come about.
 * Returns the ms waited.
 */
export async function until(
  what: string,
  limit: number,
  condition: () => Promise<boolean>,
  interval = 100,
): Promise<number> {
  const began = performance.now();
  for (;;) {
    if (await condition()) return performance.now() - began;
    if (performance.now() - began > limit) throw new Error(`not within ${limit / 1_000} s: ${what}`);
    await sleep(interval);
  }
}
