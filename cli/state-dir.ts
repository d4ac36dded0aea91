import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { join } from 'node:path';
import type { StorePort } from '../core/store.ts';
import { systemReason } from '../core/system-error.ts';
import { openLmdbStore } from '../ipam/lmdb-store.ts';
import { makePrivateDirectory } from '../router/api/make-directory.ts';
import { loadAddon } from '../router/engine/addon.ts';
import { BadValue } from './exit.ts';

export interface State {
  readonly store: StorePort;
  close(): Promise<void>;
}

const LOCK_PATIENCE_MS = 10_000;
const LOCK_RETRY_MS = 100;

/** Opens the state directory for this process alone; waits so long for another to leave it, then names that one. */
export async function openState(directory: string, patienceMs = LOCK_PATIENCE_MS): Promise<State> {
  makePrivateDirectory(directory, '--state-dir');
  const addon = loadAddon();
  const lock = await acquire(join(directory, 'lock'), patienceMs);
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

async function acquire(path: string, patienceMs: number): Promise<number> {
  for (let waited = 0; ; waited += LOCK_RETRY_MS) {
    const lock = tryLock(path);
    if (lock !== undefined) return lock;
    if (waited >= patienceMs) {
      throw new BadValue(
        `${path} is held by ${holderOf(path)}: stop that daemon, or choose another --state-dir`,
      );
    }
    await setTimeout(LOCK_RETRY_MS);
  }
}

function tryLock(path: string): number | undefined {
  try {
    const lock = loadAddon().tryLock(path);
    if (lock !== undefined) writeFileSync(path, `${process.pid}\n`);
    return lock;
  } catch (error) {
    throw new BadValue(
      `cannot write ${path}: ${systemReason(error)}; mend that, or choose another --state-dir`,
    );
  }
}

/** Whoever has the lock wrote its process id into the file. */
function holderOf(path: string): string {
  const pid = readFileSync(path, 'utf8').trim();
  return /^\d+$/.test(pid) ? `process ${pid}` : 'another process';
}
