import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { MAX_PASSWORDS } from '../gossip/secure-channel.ts';
import { BadValue, UsageError } from './exit.ts';

/** Where a password may come from; at most one of them may be given. */
export interface PasswordSources {
  readonly file: string | undefined;
  readonly flag: string | undefined;
  /** WEAVE_PASSWORD, whose line end is trimmed; empty = none. */
  readonly environment: string | undefined;
}

export interface Passwords {
  /** None, or the one that is dialled with, then the other that is accepted. */
  readonly accepted: readonly string[];
  readonly warning: string | undefined;
}

/**
 * The passwords of this daemon. Throws {@link UsageError} for two sources, {@link BadValue} for a file that cannot be
 * used, see {@link readPasswordFile}.
 */
export function readPasswords(sources: PasswordSources): Passwords {
  const environment = withoutLineEnd(sources.environment ?? '');
  const given = [
    sources.file === undefined ? [] : ['--password-file'],
    sources.flag === undefined ? [] : ['--password'],
    environment === '' ? [] : ['WEAVE_PASSWORD'],
  ].flat();
  if (given.length > 1) throw new UsageError(`${given.join(' and ')} are both given: use one of them`);
  if (sources.file !== undefined) return readPasswordFile(sources.file);
  if (environment.includes('\uFFFD')) throw new BadValue(`WEAVE_PASSWORD ${NOT_UTF8}`);
  if (sources.flag === '') throw new BadValue('--password is empty: leave it out for a mesh without one');
  const single = sources.flag ?? environment;
  return { accepted: single === '' ? [] : [single], warning: undefined };
}

/** As of a file: a secret that was written with a line end is the same password from either. */
function withoutLineEnd(text: string): string {
  return text.replace(/\r?\n$/, '');
}

/**
 * One or two lines; blank lines are ignored and only line ends trimmed. Throws {@link BadValue} for an unreadable or empty
 * file, one that is not UTF-8 (what stands for its bad bytes would be another password, and a weaker one), more than two
 * lines, or the same one twice.
 */
export function readPasswordFile(path: string): Passwords {
  return passwordsIn(path, (name) => openSync(name, 'r'));
}

/** As {@link readPasswordFile}, for a daemon, which may not wait: what is no regular file, such as a pipe, is refused. */
export function readRegularPasswordFile(path: string): Passwords {
  return passwordsIn(path, (name) => {
    const descriptor = openSync(name, constants.O_RDONLY | constants.O_NONBLOCK);
    if (fstatSync(descriptor).isFile()) return descriptor;
    closeSync(descriptor);
    throw new Error('it is no regular file, and a daemon does not wait for what comes through a pipe');
  });
}

function passwordsIn(path: string, openFile: (path: string) => number): Passwords {
  let bytes: Uint8Array;
  let mode: number;
  try {
    const descriptor = openFile(path);
    try {
      bytes = readFileSync(descriptor);
      mode = fstatSync(descriptor).mode;
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    throw new BadValue(`cannot read the password file "${path}": ${whyUnreadable(error)}`);
  }
  const accepted = decode(bytes, path)
    .split(/\r?\n/)
    .filter((line) => line.trim() !== '');
  if (accepted.length === 0)
    throw new BadValue(`the password file ${path} is empty: write the password on its first line`);
  if (accepted.length > MAX_PASSWORDS) {
    throw new BadValue(
      `the password file ${path} holds ${accepted.length} passwords: at most ${MAX_PASSWORDS}, the current and the previous one`,
    );
  }
  if (accepted[0] === accepted[1]) throw new BadValue(`both lines of ${path} are the same password`);
  const open = (mode & 0o077) !== 0;
  return {
    accepted,
    warning: open ? `the password file ${path} can be read by others: chmod 600 ${path}` : undefined,
  };
}

/** What stands for bad bytes would be another password, and a weaker one. */
const NOT_UTF8 = 'is not UTF-8 text: write the password in that encoding';

/** Wipes the bytes. */
function decode(bytes: Uint8Array, path: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new BadValue(`the password file ${path} ${NOT_UTF8}`);
  } finally {
    bytes.fill(0);
  }
}

const UNREADABLE: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EISDIR: 'it is a directory, name a file in it',
  EACCES: 'this user may not read it',
};

function whyUnreadable(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return UNREADABLE[code ?? ''] ?? message;
}
