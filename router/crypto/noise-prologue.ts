import { concatBytes, utf8 } from '../../core/bytes.ts';
import { PEER_NAME_BYTES, writePeerName } from '../../core/peer-name.ts';
import type { PeerName } from '../../core/peer-name.ts';

const LINK_LABEL = utf8('weave-ts link 1');
const UID_BYTES = 8;

export interface LinkEnds {
  readonly initiatorName: PeerName;
  readonly responderName: PeerName;
  /** Process uids, 8 bytes each: a handshake with an earlier run of either end is of no use. */
  readonly initiatorUid: Uint8Array;
  readonly responderUid: Uint8Array;
}

/** "weave-ts link 1" | initiator name 6 | responder name 6 | initiator uid 8 | responder uid 8. */
export function linkPrologue(ends: LinkEnds): Uint8Array {
  if (ends.initiatorUid.length !== UID_BYTES || ends.responderUid.length !== UID_BYTES) {
    throw new RangeError('A process uid is 8 bytes.');
  }
  const names = new Uint8Array(2 * PEER_NAME_BYTES);
  writePeerName(ends.initiatorName, names, 0);
  writePeerName(ends.responderName, names, PEER_NAME_BYTES);
  return concatBytes(LINK_LABEL, names, ends.initiatorUid, ends.responderUid);
}

/** Hash of the handshake that is replaced, 64 bytes | new phase u8. */
export function rekeyPrologue(previousHandshakeHash: Uint8Array, phase: number): Uint8Array {
  return concatBytes(previousHandshakeHash, Uint8Array.of(phase));
}
