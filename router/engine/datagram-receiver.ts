import { equalEndpoint, type Endpoint } from '../../core/address.ts';
import { equalBytes } from '../../core/bytes.ts';
import {
  COUNTER_LIMIT,
  DATAGRAM_OVERHEAD,
  HEADER_BYTES,
  TAG_BYTES,
  TYPE_PLAIN,
  datagramCounter,
  datagramFault,
  datagramIndex,
  datagramPhase,
  datagramType,
} from '../wire/datagram.ts';
import type { BufferCipher } from './datagram-cipher.ts';
import type { MemoryMessages } from './memory-batches.ts';
import type { MemoryEvents } from './memory-events.ts';
import type { EngineSession, MemoryState, PhaseKeys, ReceiveIndex } from './memory-state.ts';
import type { EngineDrop } from './port.ts';

/** Sends a datagram that belongs to a label on to `path`; the bytes stay the caller's. */
export type Relay = (path: number, to: Endpoint, nextIndex: number, datagram: Uint8Array) => void;

/**
 * Asked for every sealed message that no other waits before, whose plaintext of `bytes` bytes lies at `at` of the batch's
 * data: true = it has been dealt with and need not be in the batch.
 */
export type Repeat = (entry: ReceiveIndex, phase: number, at: number, bytes: number) => boolean;

/** What the rules of the wire make of datagrams that arrive: messages of a batch, or relayed. */
export class DatagramReceiver {
  readonly #state: MemoryState;
  readonly #events: MemoryEvents;
  readonly #cipher: BufferCipher;
  readonly #messages: MemoryMessages;
  readonly #relay: Relay;
  readonly #repeat: Repeat | undefined;

  constructor(
    state: MemoryState,
    events: MemoryEvents,
    cipher: BufferCipher,
    messages: MemoryMessages,
    relay: Relay,
    repeat?: Repeat,
  ) {
    this.#state = state;
    this.#events = events;
    this.#cipher = cipher;
    this.#messages = messages;
    this.#relay = relay;
    this.#repeat = repeat;
  }

  /** Takes one datagram, which stays as it is; says why it was dropped, if it was. */
  take(datagram: Uint8Array, from: Endpoint): EngineDrop | undefined {
    const fault = datagramFault(datagram);
    if (fault !== undefined) return fault;
    const index = datagramIndex(datagram);
    const entry = this.#state.indexes.get(index);
    if (entry === undefined) return this.#takeLabelled(index, datagram, from);
    const session = this.#state.sessions.get(entry.session)!;
    if (datagramType(datagram) === TYPE_PLAIN) return this.#takePlain(session, entry, datagram, from);
    return this.#takeSealed(session, entry, datagram, from);
  }

  #takeLabelled(index: number, datagram: Uint8Array, from: Endpoint): EngineDrop | undefined {
    const label = this.#state.labels.get(index);
    if (label === undefined) return 'index-unknown';
    const previous = this.#state.paths.get(label.from);
    const next = this.#state.paths.get(label.to);
    if (previous === undefined || next === undefined) return 'path-unknown';
    if (!equalEndpoint(previous.to, from)) return 'label-source-wrong';
    this.#events.labelUsed(index, datagram.length);
    this.#relay(label.to, next.to, label.nextIndex, datagram);
    return undefined;
  }

  #takePlain(
    session: EngineSession,
    entry: ReceiveIndex,
    datagram: Uint8Array,
    from: Endpoint,
  ): EngineDrop | undefined {
    const payloadEnd = datagram.length - TAG_BYTES;
    const cookie = session.cookies?.receive;
    if (cookie === undefined || !equalBytes(datagram.subarray(payloadEnd), cookie)) return 'cookie-invalid';
    const at = this.#messages.reserve(datagram.length - DATAGRAM_OVERHEAD);
    this.#messages.data.set(datagram.subarray(HEADER_BYTES, payloadEnd), at);
    this.#messages.add(entry.session, entry.tag, 0, true, datagram.length, from);
    return undefined;
  }

  #takeSealed(
    session: EngineSession,
    entry: ReceiveIndex,
    datagram: Uint8Array,
    from: Endpoint,
  ): EngineDrop | undefined {
    const phase = datagramPhase(datagram);
    const keys = session.phases.get(phase);
    if (keys === undefined) return 'key-unknown';
    const counter = datagramCounter(datagram);
    if (counter >= COUNTER_LIMIT) return 'counter-exhausted';
    const at = this.#messages.reserve(datagram.length - DATAGRAM_OVERHEAD);
    const { data } = this.#messages;
    const sealed = datagram.length - HEADER_BYTES;
    if (!this.#cipher.open(keys.receive, counter, datagram, HEADER_BYTES, sealed, data, at))
      return 'tag-invalid';
    const before = keys.window.highest;
    const verdict = keys.window.accept(counter);
    if (verdict !== 'new') return verdict === 'replayed' ? 'counter-replayed' : 'counter-too-old';
    if (entry.roams && counter > before) this.#noteSource(entry.session, session, keys, from);
    // None may overtake one that is in the batch already.
    const plaintext = datagram.length - DATAGRAM_OVERHEAD;
    if (this.#messages.count === 0 && this.#repeat?.(entry, phase, at, plaintext) === true) return undefined;
    this.#messages.add(entry.session, entry.tag, phase, false, datagram.length, from);
    return undefined;
  }

  /** The highest counter says where the peer is now; a late datagram of a phase before the newest one does not. */
  #noteSource(number: number, session: EngineSession, keys: PhaseKeys, from: Endpoint): void {
    if (session.directAddress !== undefined && equalEndpoint(session.directAddress, from)) return;
    for (const other of session.phases.values()) {
      if (other.order > keys.order && other.window.highest >= 0) return;
    }
    this.#events.roamed(number, from);
  }
}
