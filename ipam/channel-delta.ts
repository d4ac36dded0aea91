import { MalformedDelta } from '../gossip/channel.ts';
import { SchemaViolation } from './closed-schema.ts';
import { decodeEntries } from './delta-codec.ts';
import type { Entry } from './entries.ts';

/** Reads a delta of the channel. Throws {@link MalformedDelta}. */
export function decodeDelta(delta: Uint8Array): Entry[] {
  try {
    return decodeEntries(delta);
  } catch (error) {
    if (error instanceof SchemaViolation) throw new MalformedDelta(`ipam: ${error.message}`);
    throw error;
  }
}
