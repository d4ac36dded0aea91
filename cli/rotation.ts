import { secretUtf8 } from '../core/bytes.ts';
import type { RotateResult } from '../router/api/daemon.ts';
import type { Rotation } from '../router/control-node.ts';
import { BadValue } from './exit.ts';
import { readRegularPasswordFile } from './passwords.ts';

/**
 * Reads the password file again and hands its passwords to `apply`, which returns a sentence if it refuses them.
 * Throws {@link BadValue}, having changed nothing, without a file, for one that cannot be used, or if it is refused.
 */
export function rotatePasswords(
  file: string | undefined,
  encrypted: boolean,
  apply: (passwords: readonly Uint8Array[]) => Rotation | string,
): RotateResult {
  if (file === undefined) throw new BadValue(encrypted ? WITHOUT_FILE : WITHOUT_PASSWORD);
  const { accepted, warning } = readRegularPasswordFile(file);
  const rotation = apply(accepted.map(secretUtf8));
  if (typeof rotation === 'string') throw new BadValue(rotation);
  return { ...rotation, notes: warning === undefined ? [] : [warning] };
}

const WITHOUT_FILE =
  'the password came from WEAVE_PASSWORD or --password, which cannot be read again: launch with --password-file to rotate';
const WITHOUT_PASSWORD =
  'no password is set, so there is none to rotate: launch with --password-file on all hosts to turn encryption on';
