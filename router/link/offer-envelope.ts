import type { PeerName } from '../../core/peer-name.ts';
import { ByteReader, ByteWriter } from './byte-cursor.ts';

/**
 * What carries a session handshake over the control plane:
 *
 *   from 6 | to 6 | offer id u64 LE | Noise message
 *
 * Whoever routes it can read and forge the first three, so they are only a hint; the handshake proves them.
 */
export interface OfferEnvelope {
  readonly from: PeerName;
  readonly to: PeerName;
  /** A running number of the offering process; the answer repeats it. */
  readonly offer: number;
  readonly bytes: Uint8Array;
}

/** More than the largest payload and the handshake's own bytes. */
export const MAX_HANDSHAKE_BYTES = 4_096;

export function encodeEnvelope(envelope: OfferEnvelope): Uint8Array {
  const { from, to, offer, bytes } = envelope;
  return new ByteWriter().name(from).name(to).u64(offer).bytes(bytes).done();
}

/** Undefined if malformed, or if the Noise message is empty or too long. */
export function parseEnvelope(bytes: Uint8Array): OfferEnvelope | undefined {
  const reader = new ByteReader(bytes);
  const envelope = { from: reader.name(), to: reader.name(), offer: reader.u64(), bytes: reader.rest() };
  const length = envelope.bytes.length;
  return reader.failed || length === 0 || length > MAX_HANDSHAKE_BYTES ? undefined : envelope;
}
