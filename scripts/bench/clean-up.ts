import { existsSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { Lab } from '../lab.ts';
import { must, run } from '../run.ts';

const INTERRUPTIONS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** What ends a run before its time. */
export interface Stop {
  /** Its reason is "interrupted", or says which limit was reached. */
  readonly signal: AbortSignal;
  /** Takes no signals any more and stops the clock. */
  release(): void;
}

/**
 * Aborts at SIGINT, SIGTERM, SIGHUP and after `limitSeconds`; ends what runs in the namespaces of `prefix` at once,
 * so that the command that the run waits for fails.
 */
export function stopSignal(prefix: string, limitSeconds: number): Stop {
  const controller = new AbortController();
  const stop = (reason: string) => {
    if (controller.signal.aborted) return;
    controller.abort(reason);
    void endProcesses(prefix);
  };
  const interrupted = () => stop('interrupted');
  for (const name of INTERRUPTIONS) process.on(name, interrupted);
  const timer = setTimeout(() => stop(`the limit of ${limitSeconds} s was reached`), limitSeconds * 1_000);
  const release = () => {
    clearTimeout(timer);
    for (const name of INTERRUPTIONS) process.off(name, interrupted);
  };
  return { signal: controller.signal, release };
}

/** Ends what runs in the namespaces of a prefix, by process id. Never rejects: the run may be removing them, too. */
async function endProcesses(prefix: string): Promise<void> {
  const { stdout } = await run(['ip', 'netns', 'list']);
  for (const name of stdout.split(/\s+/).filter((word) => word.startsWith(`${prefix}-`))) {
    const pids = (await run(['ip', 'netns', 'pids', name])).stdout.split('\n').filter((line) => line !== '');
    for (const pid of pids.map(Number)) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has ended already.
      }
    }
  }
}

/** Prefix of the files that outlive a single lab. */
export function scratchPrefix(prefix: string): string {
  return `${prefix}s`;
}

/** Removes all that has a run's prefix. Never rejects; what fails goes to stderr. */
export async function removeAll(prefix: string): Promise<void> {
  for (const one of [prefix, scratchPrefix(prefix)]) {
    await Lab.sweep(one).catch((error: unknown) => process.stderr.write(`bench: ${String(error)}\n`));
  }
}

/** Removes what runs that were killed left behind: names that begin with `word` and the id of no living process. */
export async function removeAbandoned(word: string): Promise<void> {
  const names = [...(await must(['ip', 'netns', 'list'])).split('\n'), ...readdirSync(tmpdir())];
  const pids = names.map((name) => new RegExp(`^${word}(\\d+)s?-`).exec(name)?.[1]);
  for (const pid of new Set(pids)) {
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) await removeAll(`${word}${pid}`);
  }
}
