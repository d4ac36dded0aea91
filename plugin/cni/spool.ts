import { readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from '../../core/log.ts';
import { messageOf } from '../host/host-error.ts';
import { CNI_CODES } from './cni-error.ts';
import type { CniAnswer } from './cni-plugin.ts';

/** What the shim queues: bodies of calls (call-body.ts), each written to a name with a dot first and then renamed. */
const SUFFIX = '.del';
/** Calls that can never be done are kept under this for the operator to look at. */
const REFUSED = '.refused';
const AT_ONCE = 8;

/** What is wrong with the call itself; everything else passes. */
const HOPELESS: ReadonlySet<unknown> = new Set([
  CNI_CODES.incompatibleVersion,
  CNI_CODES.unsupportedField,
  CNI_CODES.badEnvironment,
  CNI_CODES.undecodable,
  CNI_CODES.badConfiguration,
]);

/** The DELs that came while no daemon was there. */
export class Spool {
  readonly #directory: string;
  readonly #call: (body: Buffer) => Promise<CniAnswer>;
  readonly #log: Log;
  #last: Promise<unknown> = Promise.resolve();
  /** A run that has not begun. */
  #next: Promise<readonly Buffer[]> | undefined;

  constructor(directory: string, call: (body: Buffer) => Promise<CniAnswer>, log: Log) {
    this.#directory = directory;
    this.#call = call;
    this.#log = log;
  }

  /**
   * Does all that is queued now: a run that is under way may have passed over it, so those who ask meanwhile share a
   * further one. Resolves to what could not be done and will be tried again.
   */
  replay(): Promise<readonly Buffer[]> {
    this.#next ??= this.#after(this.#last);
    return this.#next;
  }

  #after(before: Promise<unknown>): Promise<readonly Buffer[]> {
    const run = before.then(() => {
      this.#next = undefined;
      return this.#replay();
    });
    this.#last = run.catch(() => undefined);
    return run;
  }

  async #replay(): Promise<readonly Buffer[]> {
    const names = await readdir(this.#directory).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    });
    const queue = names.filter((one) => one.endsWith(SUFFIX) && !one.startsWith('.')).sort();
    const left: Buffer[] = [];
    const work = async (): Promise<void> => {
      for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
        const body = await this.#replayOne(join(this.#directory, name));
        if (body !== undefined) left.push(body);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    return left;
  }

  /** Resolves to the body if the file stays. */
  async #replayOne(path: string): Promise<Buffer | undefined> {
    let body: Buffer | undefined;
    try {
      body = await readFile(path);
      const answer = await this.#call(body);
      if (!answer.failed) await rm(path, { force: true });
      else if (!(await this.#setAside(path, answer))) return body;
      return undefined;
    } catch (error) {
      this.#log.log('warn', 'a queued CNI DEL could not be done', { path, error: messageOf(error) });
      return body;
    }
  }

  /** True if the call is hopeless. */
  async #setAside(path: string, { output }: CniAnswer): Promise<boolean> {
    const isHopeless = HOPELESS.has((JSON.parse(output) as { code?: unknown }).code);
    const what = isHopeless ? 'a queued CNI DEL was refused' : 'a queued CNI DEL failed and is tried again';
    this.#log.log('warn', what, { path, answer: output });
    if (isHopeless) await rename(path, path + REFUSED);
    return isHopeless;
  }
}
