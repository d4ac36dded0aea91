import { chmodSync, mkdirSync, readdirSync, realpathSync, statSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { systemReason } from '../../core/system-error.ts';

/**
 * Makes a directory and what is missing above it. Step by step, as mkdirSync's own `recursive` never returns where the
 * system says ENOENT for a directory that it does not let anybody make (/proc). Throws a sentence that names the path.
 */
export function makeDirectory(path: string, mode = 0o777): void {
  const whole = resolve(path);
  if (isDirectory(whole)) return;
  if (dirname(whole) !== whole) makeDirectory(dirname(whole), mode);
  try {
    mkdirSync(whole, { mode });
  } catch (error) {
    // Another process may have been quicker.
    if (isDirectory(whole)) return;
    throw new Error(`the directory ${whole} cannot be made: ${systemReason(error)}; choose another place`, {
      cause: error,
    });
  }
}

/**
 * As {@link makeDirectory}, for what is this user's alone; `flag` names it. One that is there and empty is made private, if
 * it is this user's; one with files is left as it is. Throws a sentence if others could put their files in place of ours.
 */
export function makePrivateDirectory(path: string, flag: string): void {
  makeDirectory(path, 0o700);
  const stats = statSync(path);
  const others = othersWho(stats);
  const isOpen = (stats.mode & 0o077) !== 0;
  if (isOpen && stats.uid === process.geteuid?.() && readdirSync(path).length === 0) {
    chmodSync(path, 0o700);
  } else if (others !== undefined) {
    throw new Error(
      `the directory ${path} is not safe for keys, as ${others} may put files there: choose another ${flag}, ` +
        'or, if nobody else uses it, chown it to this user and chmod 700 it',
    );
  }
  const above = dirname(realpathSync(path));
  const renamers = renamersIn(statSync(above));
  if (renamers === undefined) return;
  throw new Error(
    `the directory ${path} is not safe for keys, as ${renamers} may rename what is in ${above}: choose another ${flag}, ` +
      `or chmod go-w ${above}`,
  );
}

type Ownership = Pick<Stats, 'mode' | 'uid' | 'gid'>;

/** Who beside this user and root could replace what is in a directory. */
export function othersWho({ mode, uid, gid }: Ownership): string | undefined {
  return (
    writersOf({ mode, gid }) ?? (uid === 0 || uid === process.geteuid?.() ? undefined : `the user ${uid}`)
  );
}

/** Who could rename what others have in a directory: nobody where the sticky bit is set. */
export function renamersIn({ mode, gid }: Omit<Ownership, 'uid'>): string | undefined {
  return (mode & 0o1000) === 0 ? writersOf({ mode, gid }) : undefined;
}

function writersOf({ mode, gid }: Omit<Ownership, 'uid'>): string | undefined {
  if ((mode & 0o002) !== 0) return 'everybody';
  return (mode & 0o020) !== 0 && gid !== 0 ? 'its group' : undefined;
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}
