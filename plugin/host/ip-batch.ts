import type { HostCommands } from './commands.ts';
import { CommandError } from './run.ts';

/** One line of `ip -batch`, in words: ['link', 'set', 'dev', 'weave', 'up']. */
export type IpCommand = readonly string[];

/** Which line of a batch failed, and what the kernel said: the lines before it have been done. */
export class IpBatchError extends Error {
  override name = 'IpBatchError';
  /** Position of the line that failed. */
  readonly failedAt: number;
  /** As of RTNETLINK: "File exists", "No such device", "Cannot find device "x"". */
  readonly reason: string;

  constructor(failedAt: number, command: IpCommand, reason: string) {
    super(`ip ${command.join(' ')}: ${reason}`);
    this.failedAt = failedAt;
    this.reason = reason;
  }
}

/** Does the commands in order with one process and stops at the first that fails ({@link IpBatchError}). */
export async function ipBatch(host: HostCommands, batch: readonly IpCommand[]): Promise<void> {
  if (batch.length === 0) return;
  const input = formatBatch(batch);
  try {
    await host.run('ip', ['-batch', '-'], { input });
  } catch (error) {
    throw error instanceof CommandError ? (explainBatchFailure(batch, error.stderr) ?? error) : error;
  }
}

/**
 * The text that `ip -batch` reads. A word that its reader would split or drop is a bug of the caller, who has
 * checked what came from outside, and throws.
 */
export function formatBatch(batch: readonly IpCommand[]): string {
  for (const word of batch.flat()) {
    if (!/^[^\s"'\\#]+$/.test(word))
      throw new Error(`not one word of an ip command: ${JSON.stringify(word)}`);
  }
  return batch.map((command) => `${command.join(' ')}\n`).join('');
}

/** iproute2 prints the reason and then "Command failed -:LINE"; undefined if `stderr` is not of that shape. */
export function explainBatchFailure(batch: readonly IpCommand[], stderr: string): IpBatchError | undefined {
  const line = Number(/^Command failed -:(\d+)/m.exec(stderr)?.[1]);
  const command = batch[line - 1];
  if (command === undefined) return undefined;
  const reason = stderr
    .split('\n')
    .map((text) => text.trim().replace(/^(RTNETLINK answers|Error): /, ''))
    .find((text) => text !== '' && !text.startsWith('Command failed'));
  return new IpBatchError(line - 1, command, reason ?? 'failed');
}
