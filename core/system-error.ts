import { getSystemErrorName } from 'node:util';

/** What the system says of a file or directory that cannot be used, for an operator. */
const WORDS: Readonly<Record<string, string>> = {
  EACCES: 'access is denied',
  EDQUOT: 'the quota is used up',
  EEXIST: 'something else has that name',
  EFBIG: 'it would be larger than allowed',
  EIO: 'its disk fails',
  EISDIR: 'it is a directory',
  ELOOP: 'its links lead in circles',
  EMFILE: 'this process has too many files open',
  ENAMETOOLONG: 'the name is too long',
  ENFILE: 'the system has too many files open',
  ENOENT: 'there is no such place',
  ENOSPC: 'no space is left on its file system',
  ENOTDIR: 'a part of the path is no directory',
  EPERM: 'the system does not permit it',
  EROFS: 'its file system is read-only',
};

/** Why something failed, with the name of the errno if there is one; else the message of whatever was thrown. */
export function systemReason(error: unknown): string {
  const name = errnoName(error);
  if (name !== undefined) return name in WORDS ? `${WORDS[name]} (${name})` : name;
  return error instanceof Error ? error.message : String(error);
}

/** Node gives the name as `code`, lmdb the number. */
function errnoName(error: unknown): string | undefined {
  const code: unknown = (error as { readonly code?: unknown } | undefined)?.code;
  if (typeof code === 'string' && /^E[A-Z0-9]+$/.test(code)) return code;
  if (typeof code !== 'number' || !(code > 0 && code < 4_096)) return undefined;
  const name = getSystemErrorName(-code);
  return name.startsWith('E') ? name : undefined;
}
