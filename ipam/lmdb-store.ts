import { chmodSync, closeSync, existsSync, mkdirSync, openSync, readSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import type { RootDatabase } from 'lmdb';
import { open } from 'lmdb';
import { utf8 } from '../core/bytes.ts';
import type { StoreChange, StorePort } from '../core/store.ts';

const FILE = 'store.mdb';
const FORMAT_KEY = 'format';
const FORMAT = 'weave-ts/1';
/** More than one transaction needs. */
const RESERVE_BYTES = 512 * 1024;

/** A meta page begins with a page header; the stamp of LMDB follows it. */
const MAGIC_OFFSETS = [16, 24];
const MAGIC = 0xbeefc0de;

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
  const path = join(directory, FILE);
  refuseForeign(path);
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
    this.#refuseFullDisk();
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
      throw new StoreError(`cannot write ${this.#path}: ${textOf(cause ?? error)}`);
    }
  }

  /** A transaction that runs into a full disk leaves lmdb with a failure that nobody can catch: it is not begun. */
  #refuseFullDisk(): void {
    const { bfree, bsize } = guarded(this.#path, () => statfsSync(this.#path));
    if (bfree * bsize >= RESERVE_BYTES) return;
    throw new StoreError(`cannot write ${this.#path}: no space left on its file system`);
  }

  async close(): Promise<void> {
    await this.#database.close();
  }
}

/** LMDB maps a file before it looks at it; so the stamp is checked first. */
function refuseForeign(path: string): void {
  if (!existsSync(path)) return;
  const head = Buffer.alloc(64);
  const file = openSync(path, 'r');
  const length = readSync(file, head, 0, head.length, 0);
  closeSync(file);
  // A crash may come between creating the file and its first page.
  if (length === 0) return;
  if (MAGIC_OFFSETS.some((offset) => head.readUInt32LE(offset) === MAGIC)) return;
  throw new StoreError(`${path} is damaged or is not a store of weave-ts: move it away to start afresh`);
}

function checkFormat(database: RootDatabase<Uint8Array, string>, path: string): void {
  const format = database.get(FORMAT_KEY);
  if (format !== undefined && Buffer.from(format).toString() === FORMAT) return;
  if (format !== undefined || database.getKeysCount({ limit: 1 }) > 0) {
    throw new StoreError(`${path} was not written by this version of weave-ts: move it away to start afresh`);
  }
  database.transactionSync(() => void database.put(FORMAT_KEY, Buffer.from(utf8(FORMAT))));
}

function guarded<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (error instanceof StoreError) throw error;
    throw new StoreError(`cannot use ${path}: ${textOf(error)}`);
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
