import type { Channel } from './channel.ts';
import { encodeMessage, MAX_DELTA } from './messages.ts';

/** Deltas that wait for one neighbour before they are joined. */
const JOIN_ABOVE = 16;
/** Channels that one neighbour may have deltas pending for. */
const MAX_CHANNELS = 32;

/** A delta, numbered so that neighbours with the same pending deltas share one encoding. */
export interface NumberedDelta {
  readonly id: number;
  readonly bytes: Uint8Array;
}

/**
 * What is to go to one neighbour, by channel. A slow neighbour's deltas are joined, so that what waits is bounded by
 * the size of the state and not by traffic; a channel that we do not run cannot be joined and loses its oldest.
 */
export class Pending {
  readonly #byChannel = new Map<string, NumberedDelta[]>();

  get isEmpty(): boolean {
    return this.#byChannel.size === 0;
  }

  add(name: string, channel: Channel | undefined, delta: NumberedDelta): void {
    const deltas = this.#byChannel.get(name);
    if (deltas === undefined) {
      if (this.#byChannel.size < MAX_CHANNELS) this.#byChannel.set(name, [delta]);
      return;
    }
    deltas.push(delta);
    if (deltas.length <= JOIN_ABOVE) return;
    if (channel === undefined) deltas.shift();
    else this.#byChannel.set(name, [{ id: delta.id, bytes: joinAll(channel, deltas) }]);
  }

  /** Everything that waits, channels in order of name; nothing waits afterwards. */
  take(): [string, readonly NumberedDelta[]][] {
    const all = [...this.#byChannel].sort(([a], [b]) => (a < b ? -1 : 1));
    this.#byChannel.clear();
    return all;
  }
}

/** Encodes what is pending as messages, once for all neighbours that wait for the same deltas. */
export class PendingEncoder {
  readonly #memo = new Map<string, readonly Uint8Array[]>();

  /** Gossip messages that carry `deltas`. */
  encode(
    name: string,
    channel: Channel | undefined,
    deltas: readonly NumberedDelta[],
  ): readonly Uint8Array[] {
    const key = `${name} ${deltas.map(({ id }) => id).join()}`;
    const known = this.#memo.get(key);
    if (known !== undefined) return known;
    const messages = payloads(channel, deltas).map((delta) =>
      encodeMessage({ type: 'gossip', channel: name, delta }),
    );
    this.#memo.set(key, messages);
    return messages;
  }
}

/** One delta where they can be joined into one that fits a message. */
function payloads(channel: Channel | undefined, deltas: readonly NumberedDelta[]): readonly Uint8Array[] {
  if (channel !== undefined && deltas.length > 1) {
    const joined = joinAll(channel, deltas);
    if (joined.length <= MAX_DELTA) return [joined];
  }
  return deltas.map(({ bytes }) => bytes).filter((bytes) => bytes.length <= MAX_DELTA);
}

function joinAll(channel: Channel, deltas: readonly NumberedDelta[]): Uint8Array {
  return channel.join(deltas.map(({ bytes }) => bytes));
}
