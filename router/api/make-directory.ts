import { mkdirSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

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
    const reason = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new Error(`the directory ${whole} cannot be made (${reason}): choose another place`, {
      cause: error,
    });
  }
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}
