import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { systemReason } from '../core/system-error.ts';
import { makePrivateDirectory } from '../router/api/make-directory.ts';
import { BadValue } from './exit.ts';
import { filesBeside } from './daemon-files.ts';
import type { LaunchSettings } from './settings.ts';

/** The state directory's lock may take 10 s of it. */
const READY_LIMIT_MS = 60_000;

/** What the parent writes to the daemon's standard input. */
export interface DaemonInput {
  readonly settings: LaunchSettings;
  readonly passwords: readonly string[];
}

/** What the daemon writes to its descriptor 3 once: it is ready, or why not. */
export type DaemonReport = { readonly ready: string } | { readonly failed: string };

/**
 * Starts the daemon in its own session and resolves with its name once its API answers. Rejects with the daemon's
 * own sentence if it could not start. The passwords go through a pipe: they are in no argument and no environment.
 */
export async function startDetached(settings: LaunchSettings, passwords: readonly string[]): Promise<string> {
  const files = filesBeside(settings.socket);
  makePrivateDirectory(dirname(settings.socket), '--socket');
  const log = openLog(files.log);
  const child = spawn(process.execPath, [fileURLToPath(new URL('daemon-process.js', import.meta.url))], {
    detached: true,
    stdio: ['pipe', log, log, 'pipe'],
    cwd: '/',
  });
  closeSync(log);
  const failed = startFailure(child);
  if (child.pid === undefined) return failed;
  const input: DaemonInput = { settings, passwords };
  (child.stdin as Writable).on('error', () => undefined).end(JSON.stringify(input));
  const giveUp = setTimeout(() => child.kill('SIGKILL'), READY_LIMIT_MS);
  const report = await readReport(child.stdio[3] as Readable);
  clearTimeout(giveUp);
  child.unref();
  if (report === undefined) throw new BadValue(`the daemon ended before it was ready: see ${files.log}`);
  if ('failed' in report) throw new BadValue(report.failed);
  return report.ready;
}

function openLog(path: string): number {
  try {
    return openSync(path, 'a', 0o600);
  } catch (error) {
    throw new BadValue(
      `cannot write the log ${path}: ${systemReason(error)}; mend that, or choose another --socket`,
    );
  }
}

/** Rejects, if it does not start, with one sentence. */
function startFailure(child: ChildProcess): Promise<never> {
  const failure = new Promise<never>((_resolve, reject) => {
    child.on('error', ({ message }) =>
      reject(new BadValue(`the daemon's process cannot be started: ${message}`)),
    );
  });
  // One that runs may still be told what it does not hear.
  failure.catch(() => undefined);
  return failure;
}

async function readReport(stream: Readable): Promise<DaemonReport | undefined> {
  let text = '';
  for await (const chunk of stream) {
    text += String(chunk);
    if (text.includes('\n')) break;
  }
  return text.includes('\n') ? (JSON.parse(text) as DaemonReport) : undefined;
}
