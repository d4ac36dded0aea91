import { mkdirSync, statSync } from 'node:fs';
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
 * As {@link makeDirectory}, for what is this user's alone. One that is there is left as it is, and refused if others could
 * put their files in place of ours. Throws a sentence.
 */
export function makePrivateDirectory(path: string): void {
  makeDirectory(path, 0o700);
  const { mode, uid } = statSync(path);
  const others = othersWho(mode, uid);
  if (others === undefined) return;
  throw new Error(
    `the directory ${path} is not safe for keys, as ${others} may put files there: choose one of its own, ` +
      'or, if nobody else uses it, chown it to this user and chmod 700 it',
  );
}

/** Who beside this user and root could replace what is in a directory of this mode and owner. */
function othersWho(mode: number, uid: number): string | undefined {
  if ((mode & 0o002) !== 0) return 'everybody';
  if ((mode & 0o020) !== 0) return 'its group';
  return uid === 0 || uid === process.geteuid?.() ? undefined : `the user ${uid}`;
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}
