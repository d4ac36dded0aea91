import { toHex } from '../../core/bytes.ts';

export const SESSION_NAME_BYTES = 8;

/**
 * What both ends, and they alone, call a session, as hexadecimal digits: the first bytes of its first handshake's hash,
 * which is no secret (Noise, section 11.2).
 */
export function sessionName(handshakeHash: Uint8Array): string {
  return toHex(handshakeHash.subarray(0, SESSION_NAME_BYTES));
}
