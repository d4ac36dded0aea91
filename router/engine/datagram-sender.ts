import type { Endpoint } from '../../core/address.ts';
import {
  COUNTER_LIMIT,
  DATAGRAM_OVERHEAD,
  HEADER_BYTES,
  LONGEST_DATAGRAM,
  TYPE_PLAIN,
  TYPE_SEALED,
  rewriteDatagramIndex,
  writeDatagramHeader,
} from '../wire/datagram.ts';
import { carriesFrame } from '../wire/inner.ts';
import type { BufferCipher } from './datagram-cipher.ts';
import type { EngineSession, MemoryState } from './memory-state.ts';
import { PREFIX_STRIDE, type EngineDrop, type SendPlan } from './port.ts';

/** Where datagrams go that are ready. */
export interface DatagramSink {
  /** Memory for a datagram of `bytes` bytes, which is sent next or not at all; undefined if too many wait. */
  reserve(bytes: number): Uint8Array | undefined;
  /**
   * Takes what {@link reserve} gave last, filled. `path` is the one that `to` belongs to; `ofLink`: it is a message of a
   * link, neither with a frame nor relayed.
   */
  transmit(path: number, to: Endpoint, datagram: Uint8Array, ofLink: boolean): void;
}

/** Makes datagrams of inner messages by the rules of the wire; it alone moves send counters on. */
export class DatagramSender {
  readonly #state: MemoryState;
  readonly #cipher: BufferCipher;
  readonly #counterLimit: number;
  readonly #sink: DatagramSink;

  /** `counterLimit`: datagrams that one key may seal. */
  constructor(state: MemoryState, cipher: BufferCipher, counterLimit: number, sink: DatagramSink) {
    this.#state = state;
    this.#cipher = cipher;
    this.#counterLimit = Math.min(counterLimit, COUNTER_LIMIT);
    this.#sink = sink;
  }

  /**
   * Seals entry `i` of a plan with `length` bytes at `offset` of `data` behind its prefix, and sends it. Says why it was
   * dropped, if it was.
   */
  send(plan: SendPlan, i: number, data: Uint8Array, offset: number, length: number): EngineDrop | undefined {
    const path = this.#state.paths.get(plan.path[i]!);
    if (path === undefined) return 'path-unknown';
    const session = this.#state.sessions.get(plan.session[i]!);
    if (session === undefined) return 'key-unknown';
    const prefix = plan.prefixLength[i]!;
    const inner = prefix + length;
    if (offset + length > data.length || prefix > PREFIX_STRIDE || inner < 2) return 'frame-malformed';
    if (inner + DATAGRAM_OVERHEAD > LONGEST_DATAGRAM) return 'frame-too-long';
    const datagram = this.#sink.reserve(inner + DATAGRAM_OVERHEAD);
    if (datagram === undefined) return 'socket-queue-full';
    copy(plan.prefixes, i * PREFIX_STRIDE, prefix, datagram, HEADER_BYTES);
    datagram.set(data.subarray(offset, offset + length), HEADER_BYTES + prefix);
    const ofLink = !carriesFrame(datagram[HEADER_BYTES]!);
    const drop =
      plan.plain[i] === 1
        ? this.#finishPlain(session, path.sendIndex, datagram)
        : this.#finishSealed(session, path.sendIndex, datagram);
    if (drop === undefined) this.#sink.transmit(plan.path[i]!, path.to, datagram, ofLink);
    return drop;
  }

  /** Sends a datagram on to the next hop under `nextIndex`. */
  relay(path: number, to: Endpoint, nextIndex: number, datagram: Uint8Array): EngineDrop | undefined {
    const next = this.#sink.reserve(datagram.length);
    if (next === undefined) return 'socket-queue-full';
    next.set(datagram);
    rewriteDatagramIndex(next, nextIndex);
    this.#sink.transmit(path, to, next, false);
    return undefined;
  }

  #finishSealed(session: EngineSession, index: number, datagram: Uint8Array): EngineDrop | undefined {
    const phase = session.sendPhase;
    const keys = phase === undefined ? undefined : session.phases.get(phase);
    if (phase === undefined || keys === undefined) return 'key-unknown';
    if (keys.sendCounter >= this.#counterLimit) return 'counter-exhausted';
    const counter = keys.sendCounter++;
    writeDatagramHeader(datagram, TYPE_SEALED, phase, index, counter);
    this.#cipher.seal(keys.send, counter, datagram, HEADER_BYTES, datagram.length - DATAGRAM_OVERHEAD);
    return undefined;
  }

  #finishPlain(session: EngineSession, index: number, datagram: Uint8Array): EngineDrop | undefined {
    if (session.cookies === undefined) return 'key-unknown';
    if (session.plainCounter >= this.#counterLimit) return 'counter-exhausted';
    writeDatagramHeader(datagram, TYPE_PLAIN, 0, index, session.plainCounter++);
    datagram.set(session.cookies.send, datagram.length - session.cookies.send.length);
    return undefined;
  }
}

/** For a few bytes, where a view would cost more than they do. */
function copy(from: Uint8Array, at: number, length: number, to: Uint8Array, toAt: number): void {
  for (let k = 0; k < length; k++) to[toAt + k] = from[at + k]!;
}
