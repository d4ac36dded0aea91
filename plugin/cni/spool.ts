import { readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from '../../core/log.ts';
import { messageOf } from '../host/host-error.ts';
import type { CniAnswer } from './cni-plugin.ts';

/** What the shim queues: bodies of calls (call-body.ts), each written to a name with a dot first and then renamed. */
const SUFFIX = '.del';
/** Calls that were refused are kept under this for the operator to look at. */
const REFUSED = '.refused';

/** The DELs that came while no daemon was there. */
export class Spool {
  readonly #directory: string;
  readonly #call: (body: Buffer) => Promise<CniAnswer>;
  readonly #log: Log;
  #running: Promise<void> | undefined;

  constructor(directory: string, call: (body: Buffer) => Promise<CniAnswer>, log: Log) {
    this.#directory = directory;
    this.#call = call;
    this.#log = log;
  }

  /** Does all that is queued, oldest first by name. Whoever asks meanwhile waits for the same run. */
  replay(): Promise<void> {
    this.#running ??= this.#replay().finally(() => (this.#running = undefined));
    return this.#running;
  }

  async #replay(): Promise<void> {
    const names = await readdir(this.#directory).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    });
    for (const name of names.filter((one) => one.endsWith(SUFFIX) && !one.startsWith('.')).sort()) {
      await this.#replayOne(join(this.#directory, name));
    }
  }

  async #replayOne(path: string): Promise<void> {
    try {
      const answer = await this.#call(await readFile(path));
      if (!answer.failed) return await rm(path, { force: true });
      this.#log.log('warn', 'a queued CNI DEL was refused', { path, answer: answer.output });
      await rename(path, path + REFUSED);
    } catch (error) {
      this.#log.log('warn', 'a queued CNI DEL could not be done', { path, error: messageOf(error) });
    }
  }
}
