import { chmodSync, existsSync, mkdirSync, statfsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { RootDatabase } from 'lmdb';
import { open } from 'lmdb';
import { utf8 } from '../core/bytes.ts';
import type { StoreChange, StorePort } from '../core/store.ts';
import { systemReason } from '../core/system-error.ts';
import { fileProblem } from './lmdb-file.ts';

/** In the state directory. */
export const STORE_FILE = 'store.mdb';
const FORMAT_KEY = 'format';
const FORMAT = 'weave-ts/1';
/** For what LMDB writes besides the changes: the pages above them, and its list of free ones. */
const SLACK_BYTES = 512 * 1024;
/** A change, however small, may touch a page of its own. */
const PAGE_BYTES = 4_096;

/** A store that cannot be used. The message names the file and says why. */
export class StoreError extends Error {
  override name = 'StoreError';
}

/**
 * The node's state in an LMDB file of `directory`, which is made if it is missing; on a local file system, opened by
 * one process at a time. Throws {@link StoreError} for a file that is damaged, or that another program wrote.
 */
export function openLmdbStore(directory: string): StorePort {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const path = join(directory, STORE_FILE);
  // LMDB waits for ever for what is none, or dies of it.
  for (const file of [path, `${path}-lock`]) guarded(file, () => refuseOther(file));
  refuseDamaged(path);
  const database = guarded(path, () =>
    // Commits resolve only when they are flushed: without overlapping, committed means durable.
    open<Uint8Array, string>({ path, encoding: 'binary', overlappingSync: false, noSubdir: true }),
  );
  guarded(path, () => checkFormat(database, path));
  // The static key is in it, and the directory may have been there before, open to others.
  guarded(path, () => chmodSync(path, 0o600));
  return new LmdbStore(database, path);
}

class LmdbStore implements StorePort {
  readonly #database: RootDatabase<Uint8Array, string>;
  readonly #path: string;

  constructor(database: RootDatabase<Uint8Array, string>, path: string) {
    this.#database = database;
    this.#path = path;
  }

  load(): ReadonlyMap<string, Uint8Array> {
    return guarded(this.#path, () => {
      const out = new Map<string, Uint8Array>();
      for (const { key, value } of this.#database.getRange()) {
        if (key !== FORMAT_KEY) out.set(key, new Uint8Array(value));
      }
      return out;
    });
  }

  async commit(changes: readonly StoreChange[]): Promise<void> {
    this.#refuseFullDisk(reserveFor(changes));
    const copies = changes.map(({ key, value }) => ({ key, bytes: value && Buffer.from(value) }));
    try {
      await this.#database.transaction(() => {
        for (const { key, bytes } of copies) {
          if (bytes === undefined) void this.#database.remove(key);
          else void this.#database.put(key, bytes);
        }
      });
      await this.#database.flushed;
      // The static key is among what is stored.
      for (const { bytes } of copies) bytes?.fill(0);
    } catch (error) {
      // lmdb tells why a commit failed by another promise, which nobody else handles.
      const cause = await (error as { commitError?: Promise<unknown> }).commitError?.then(
        () => undefined,
        (reason: unknown) => reason,
      );
      throw new StoreError(`cannot write ${this.#path}: ${systemReason(cause ?? error)}`);
    }
  }

  /** A transaction that runs into a full disk leaves lmdb with a failure that nobody can catch: it is not begun. */
  #refuseFullDisk(reserve: number): void {
    const { bfree, bsize } = guarded(this.#path, () => statfsSync(this.#path));
    if (bfree * bsize >= reserve) return;
    throw new StoreError(`cannot write ${this.#path}: no space left on its file system`);
  }

  async close(): Promise<void> {
    await this.#database.close();
  }
}

/** Free bytes of the file system without which a transaction is not begun. */
export function reserveFor(changes: readonly StoreChange[]): number {
  const written = changes.reduce((sum, { key, value }) => sum + key.length + (value?.length ?? 0), 0);
  return SLACK_BYTES + 2 * written + PAGE_BYTES * changes.length;
}

function refuseOther(path: string): void {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found !== undefined && !found.isFile()) throw new Error('it is no regular file');
}

/** LMDB maps a file before it looks at it, and dies of what is not there; so the file is looked through first. */
function refuseDamaged(path: string): void {
  if (!existsSync(path)) return;
  const problem = guarded(path, () => fileProblem(path));
  if (problem !== undefined) throw new StoreError(damagedStore(dirname(path), problem));
}

/** A sentence about the store in `directory`, which cannot be used for this reason: where it is, and how to go on. */
export function damagedStore(directory: string, reason: string): string {
  return (
    `${join(directory, STORE_FILE)} is damaged: ${reason}. To go on without it: stop what is attached, move ${directory} away, ` +
    'launch, and weave-ts rmpeer the old name on another host (docs/IPAM.md, "The state directory")'
  );
}

function checkFormat(database: RootDatabase<Uint8Array, string>, path: string): void {
  const format = database.get(FORMAT_KEY);
  if (format !== undefined && Buffer.from(format).toString() === FORMAT) return;
  if (format !== undefined || database.getKeysCount({ limit: 1 }) > 0) {
    throw new StoreError(
      `${path} was not written by this version of weave-ts: launch the version that wrote it, or move ` +
        `${dirname(path)} away and launch as a new host (docs/IPAM.md, "The state directory")`,
    );
  }
  database.transactionSync(() => void database.put(FORMAT_KEY, Buffer.from(utf8(FORMAT))));
}

function guarded<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (error instanceof StoreError) throw error;
    throw new StoreError(
      `cannot use ${path}: ${systemReason(error)}; mend that, or choose another --state-dir (docs/IPAM.md, "The state directory")`,
    );
  }
}
