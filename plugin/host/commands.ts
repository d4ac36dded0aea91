import { readFile, writeFile } from 'node:fs/promises';
import { CommandError, runProgram } from './run.ts';
import type { RunOptions } from './run.ts';

/**
 * Where commands run: the daemon's own network namespace, or another one by path. Only the network namespace differs;
 * files and processes are those of the daemon.
 */
export class HostCommands {
  /** Undefined = the daemon's own. */
  readonly netns: string | undefined;

  constructor(netns?: string) {
    this.netns = netns;
  }

  /** The same host seen from another network namespace. */
  inside(netns: string): HostCommands {
    return new HostCommands(netns);
  }

  run(program: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
    if (this.netns === undefined) return runProgram(program, args, options);
    return runProgram('nsenter', [`--net=${this.netns}`, '--', program, ...args], options);
  }

  /** The content of a file under /proc that depends on the network namespace; undefined if there is none. */
  async readProc(path: string): Promise<string | undefined> {
    try {
      return await (this.netns === undefined ? readFile(path, 'utf8') : this.run('cat', [path]));
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  /** Writes a kernel setting such as /proc/sys/net/ipv4/ip_forward. One that does not exist is passed over. */
  async writeProc(path: string, value: string): Promise<void> {
    if (this.netns === undefined) return writeExisting(path, value);
    await this.run('tee', [path], { input: value }).catch((error: unknown) => {
      if (!isMissing(error)) throw error;
    });
  }
}

async function writeExisting(path: string, value: string): Promise<void> {
  await writeFile(path, value, { flag: 'r+' }).catch((error: unknown) => {
    if (!isMissing(error)) throw error;
  });
}

function isMissing(error: unknown): boolean {
  if (error instanceof CommandError) return error.stderr.includes('No such file or directory');
  return (error as NodeJS.ErrnoException).code === 'ENOENT';
}
