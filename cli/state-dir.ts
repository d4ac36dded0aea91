import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { join } from 'node:path';
import type { StorePort } from '../core/store.ts';
import { openLmdbStore } from '../ipam/lmdb-store.ts';
import { makeDirectory } from '../router/api/make-directory.ts';
import { loadAddon } from '../router/engine/addon.ts';
import { BadValue } from './exit.ts';

export interface State {
  readonly store: StorePort;
  close(): Promise<void>;
}

const LOCK_PATIENCE_MS = 10_000;
const LOCK_RETRY_MS = 100;

/** Opens the state directory for this process alone; waits 10 s for another to leave it, then names that one. */
export async function openState(directory: string): Promise<State> {
  try {
    makeDirectory(directory, 0o700);
  } catch (error) {
    throw new BadValue(`cannot make the state directory ${directory}: ${(error as Error).message}`);
  }
  const addon = loadAddon();
  const lock = await acquire(join(directory, 'lock'));
  try {
    const store = openLmdbStore(directory);
    return {
      store,
      close: async () => {
        await store.close();
        addon.unlock(lock);
      },
    };
  } catch (error) {
    addon.unlock(lock);
    throw error;
  }
}

async function acquire(path: string): Promise<number> {
  const addon = loadAddon();
  for (let waited = 0; ; waited += LOCK_RETRY_MS) {
    const lock = addon.tryLock(path);
    if (lock !== undefined) {
      writeFileSync(path, `${process.pid}\n`);
      return lock;
    }
    if (waited >= LOCK_PATIENCE_MS) {
      throw new BadValue(
        `${path} is held by ${holderOf(path)}: stop that daemon, or choose another --state-dir`,
      );
    }
    await setTimeout(LOCK_RETRY_MS);
  }
}

/** Whoever has the lock wrote its process id into the file. */
function holderOf(path: string): string {
  const pid = readFileSync(path, 'utf8').trim();
  return /^\d+$/.test(pid) ? `process ${pid}` : 'another process';
}
