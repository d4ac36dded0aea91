import type { Endpoint } from '../../core/address.ts';
import type { EngineDrop, EngineEvent } from './port.ts';

interface Traffic {
  datagrams: number;
  bytes: number;
}

interface Failures {
  errno: string;
  frames: number;
  messages: number;
}

/**
 * Events between two drains, summed: at most one per drop reason, session, path and label, so that a flood of
 * datagrams is not a flood of events.
 */
export class MemoryEvents {
  readonly #drops = new Map<EngineDrop, number>();
  readonly #roamed = new Map<number, Endpoint>();
  readonly #tooBig = new Map<number, number>();
  readonly #sendFailed = new Map<number, Failures>();
  readonly #labels = new Map<number, Traffic>();
  readonly #sent = new Map<number, Traffic>();
  readonly #received = new Map<number, Traffic>();

  dropped(reason: EngineDrop, count = 1): void {
    if (count > 0) this.#drops.set(reason, (this.#drops.get(reason) ?? 0) + count);
  }

  /** The last address counts. */
  roamed(session: number, from: Endpoint): void {
    this.#roamed.set(session, from);
  }

  /** The smallest size counts: it says most. */
  tooBig(path: number, size: number): void {
    this.#tooBig.set(path, Math.min(size, this.#tooBig.get(path) ?? size));
  }

  /** One datagram. The last error counts; messages of links are counted apart. */
  sendFailed(path: number, errno: string, ofLink: boolean): void {
    const { frames, messages } = this.#sendFailed.get(path) ?? { frames: 0, messages: 0 };
    const [more, others] = ofLink ? [0, 1] : [1, 0];
    this.#sendFailed.set(path, { errno, frames: frames + more, messages: messages + others });
  }

  labelUsed(index: number, bytes: number): void {
    add(this.#labels, index, bytes);
  }

  /** A datagram of a session that was sent without asking the switch. */
  sent(session: number, bytes: number): void {
    add(this.#sent, session, bytes);
  }

  /** A datagram of a session whose frame was written without asking the switch. */
  received(session: number, bytes: number): void {
    add(this.#received, session, bytes);
  }

  drain(): EngineEvent[] {
    const events: EngineEvent[] = [];
    for (const [session, from] of this.#roamed) events.push({ type: 'roamed', session, from });
    for (const [path, size] of this.#tooBig) events.push({ type: 'too-big', path, size });
    for (const [path, sum] of this.#sendFailed) events.push({ type: 'send-failed', path, ...sum });
    for (const [index, sum] of this.#labels) events.push({ type: 'label-used', index, ...sum });
    for (const [session, sum] of this.#sent) events.push({ type: 'sent', session, ...sum });
    for (const [session, sum] of this.#received) events.push({ type: 'received', session, ...sum });
    for (const [reason, count] of this.#drops) events.push({ type: 'dropped', reason, count });
    this.#roamed.clear();
    this.#tooBig.clear();
    this.#sendFailed.clear();
    this.#labels.clear();
    this.#sent.clear();
    this.#received.clear();
    this.#drops.clear();
    return events;
  }
}

function add(sums: Map<number, Traffic>, key: number, bytes: number): void {
  const sum = sums.get(key);
  if (sum === undefined) sums.set(key, { datagrams: 1, bytes });
  else {
    sum.datagrams++;
    sum.bytes += bytes;
  }
}
